"""A soak: l7 under a steady load, reloaded every few seconds, while its memory, descriptors and processes are sampled.

``python -m tests.bench.soak --minutes 10 --every 5`` prints a line a minute and ends with 1 when a request failed or
when something grew: what a run of minutes can show of a leak.
"""

from __future__ import annotations

import argparse
import http.client
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply

CLIENTS = 8
"""Clients that keep their connection, and as many that make a new one for each request."""
PAUSE = 0.05
"""Seconds between two requests of one client."""


class Load:
    """Clients that ask until they are told to stop, and count."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.sent = self.failed = self.lost = 0
        kinds = [True] * CLIENTS + [False] * CLIENTS
        self._threads = [threading.Thread(target=self._ask, args=(kept,), daemon=True) for kept in kinds]
        for thread in self._threads:
            thread.start()

    def _ask(self, kept: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._stop.wait(PAUSE):
            self.sent += 1
            before = connection.sock
            try:
                connection.request("GET", "/", headers={} if kept else {"Connection": "close"})
                answer = connection.getresponse()
                self.failed += answer.read() != b"hello" or answer.status != 200
                self.lost += kept and before is not None and connection.sock is not before
            except (OSError, http.client.HTTPException):
                self.failed += 1
                connection.close()
        connection.close()

    def end(self) -> None:
        """Stop and wait for the last answers."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def sample(master: psutil.Process) -> tuple[int, int, int, int]:
    """Descriptors and KiB of the master, then of all processes together; last their number."""
    family = [master, *master.children()]
    memory = sum(process.memory_full_info().pss for process in family) // 1024
    return master.num_fds(), master.memory_info().rss // 1024, memory, len(family)


def main(argv: list[str]) -> int:
    """Run the soak; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two reloads")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, Origin(lambda _: Reply(200, body=b"hello")) as origin:
        config = f"access-log: off\nbackends: {{'*': {{servers: ['{origin.address}']}}}}\n"
        with L7Process(config, workers=2, directory=Path(folder)) as proxy:
            return soak(proxy, given.minutes * 60.0, given.every)


def soak(proxy: L7Process, seconds: float, every: float) -> int:
    """Reload and sample for ``seconds``, then compare the last quarter with the first."""
    load = Load(proxy.port)
    master = psutil.Process(proxy.pid)
    samples: list[tuple[int, int, int, int]] = []
    began = time.monotonic()
    reloads = 0
    while time.monotonic() - began < seconds:
        time.sleep(every)
        samples.append(sample(master))
        proxy.hup()
        reloads += 1
        if reloads % max(1, round(60 / every)) == 0:
            report(time.monotonic() - began, reloads, load, samples[-1])
    load.end()
    quarter = max(1, len(samples) // 4)
    first, last = (
        [sorted(column)[len(column) // 2] for column in zip(*part, strict=True)]
        for part in (samples[:quarter], samples[-quarter:])
    )
    print(f"medians of the first quarter {first}, of the last {last}: descriptors, KiB, KiB of all, processes")
    grown = last[0] > first[0] + 2 or last[1] > first[1] * 1.1 or last[2] > first[2] * 1.1 or last[3] > first[3]
    return 1 if load.failed or load.lost or grown else 0


def report(passed: float, reloads: int, load: Load, now: tuple[int, int, int, int]) -> None:
    """One line."""
    descriptors, memory, together, processes = now
    print(
        f"{passed / 60:4.1f} min: {reloads} reloads, {load.sent} sent, {load.failed} failed, {load.lost} kept"
        f" connections lost; master {descriptors} descriptors, {memory} KiB; {processes} processes, {together} KiB",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
