"""``python -m tests.incidents INCIDENT DIRECTORY``: play an incident through three proxies at once.

They go on when it is over, so that one can look into it by commands in ``l7``, ``haproxy`` and ``nginx`` there, until
Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.harness.l7process import ROOT
from tests.harness.ports import reserved
from tests.incidents import traffic
from tests.incidents.proxies import L7, HAProxy, Nginx, Proxy

INCIDENTS = ("slow-path", "retry-storm", "reload")
PROXIES = {"l7": L7, "haproxy": HAProxy, "nginx": Nginx}


def application(stack: ExitStack, number: int, incident: str) -> int:
    """Start one server; its port."""
    words = [sys.executable, "-m", "tests.incidents.application", "0", str(number), incident]
    process = stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT))
    stack.callback(process.terminate)
    assert process.stdout is not None
    return int(process.stdout.readline())


def wait_for(one: Proxy) -> None:
    """Wait until a proxy listens."""
    deadline = time.monotonic() + 30
    while True:
        # From another address: one that nobody listens on may connect to itself.
        with suppress(OSError), socket.create_connection(("127.0.0.1", one.port), 1, ("127.0.0.2", 0)):
            return
        ended = one.process is None or one.process.poll() is not None
        assert not ended and time.monotonic() < deadline, f"nobody listens on {one.port}: {one.said()}"
        time.sleep(0.05)


def play(incident: str, proxies: list[Proxy], seconds: float) -> None:
    """Send the traffic of an incident."""
    ports = [one.port for one in proxies]
    asyncio.run(traffic.customers(ports, seconds / 3, 1))
    print(f"{time.strftime('%H:%M:%S')} now: {incident}", flush=True)
    if incident == "reload":
        for one in proxies:
            one.configure(servers=2, most=1)
            one.reload()
        asyncio.run(traffic.customers(ports, seconds * 2 / 3, 2))
    elif incident == "retry-storm":
        asyncio.run(_with_script(ports, seconds / 3))
        asyncio.run(traffic.customers(ports, seconds / 3, 3))
    else:
        asyncio.run(traffic.customers(ports, seconds * 2 / 3, 2))


async def _with_script(ports: list[int], seconds: float) -> None:
    await asyncio.gather(traffic.customers(ports, seconds, 2), traffic.script(ports, seconds))


@contextmanager
def started(incident: str, directory: Path, names: Sequence[str], settings: str = "") -> Iterator[list[Proxy]]:
    """The proxies of these names, each before its three servers.

    :param settings: more lines of l7's configuration.
    """
    with ExitStack() as stack:
        proxies = []
        for name in names:
            servers = [application(stack, number, incident) for number in (1, 2, 3)]
            one = PROXIES[name](directory.absolute() / name, reserved(), servers, settings)
            stack.callback(one.stop)
            one.start()
            proxies.append(one)
        for one in proxies:
            wait_for(one)
        yield proxies


def main() -> None:
    """Play one, and wait."""
    parser = argparse.ArgumentParser(prog="python -m tests.incidents")
    parser.add_argument("incident", choices=INCIDENTS)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--proxies", nargs="*", choices=PROXIES, default=list(PROXIES))
    asked = parser.parse_args()
    asked.directory.mkdir(parents=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with started(asked.incident, asked.directory, asked.proxies) as proxies:
        play(asked.incident, proxies, asked.seconds)
        print(f"{time.strftime('%H:%M:%S')} over; look into {asked.directory}, then Ctrl-C", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
