"""What a reload costs: the clients of ``l7 rehearse`` against nginx, HAProxy and l7 while each is reloaded.

``python -m tests.bench.reloads`` starts one proxy after the other, each with two workers (HAProxy: two threads) before
the same two servers, and reloads it by HUP (HAProxy: USR2 to its master) until it has been reloaded often enough or the
time is up. Between two reloads is a pause, counted from the moment in which the new workers are there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from l7.commands.rehearsal.clients import KEPT, Clients, Route
from l7.commands.rehearsal.origin import start_servers
from l7.commands.rehearsal.results import Results
from tests.bench import campaign, machine, packages
from tests.bench.processes import TIMEOUT, BenchError, free_port, running, tail

RELOADS, SECONDS = 100, 75.0
PAUSE = 0.3
"""Seconds between a reload that is done and the next one."""
WORKERS = 2
LOST = "connection lost under a "
ROUTES = [Route(b"", b"Host: rehearsal.test\r\n")]

NGINX = """\
daemon off;
{user}
worker_processes {workers};
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 12000; }}
http {{
    access_log off;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    map $http_upgrade $upstream_connection {{ default upgrade; '' ''; }}
    upstream app {{
        server 127.0.0.1:{servers[0]};
        server 127.0.0.1:{servers[1]};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 300s;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_read_timeout 300s;
            proxy_set_header Host $host;
            proxy_set_header Connection $upstream_connection;
            proxy_set_header Upgrade $http_upgrade;
        }}
    }}
}}
"""

HAPROXY = """\
global
    nbthread {workers}
    maxconn 4000
    mworker-max-reloads 1000
    stats socket {directory}/admin.sock mode 600 level admin expose-fd listeners
defaults
    mode http
    option http-keep-alive
    {option}
    http-reuse always
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout tunnel 300s
    timeout http-keep-alive 300s
frontend clients
    bind 127.0.0.1:{port} backlog 4096
    default_backend app
backend app
    server one 127.0.0.1:{servers[0]}
    server two 127.0.0.1:{servers[1]}
"""

L7 = """\
port: {port}
bind: 127.0.0.1
workers: {workers}
{run_as}
access-log: off
log-level: info
control: off
pid-file: {directory}/l7.pid
backends:
  '*': {{servers: ['127.0.0.1:{servers[0]}', '127.0.0.1:{servers[1]}']}}
"""


@dataclass(frozen=True)
class Peer:
    """A proxy: its file, how it is started in its directory, how it is reloaded and when that is done."""

    title: str
    config: str
    command: Callable[[str], list[str]]
    signal: int = signal.SIGHUP
    fresh: int = WORKERS
    """New processes that a reload brings."""
    says: str = ""
    """What it logs when a reload is done; empty: it logs nothing of the kind, and its processes are looked at."""
    option: str = ""


def _haproxy(file: str) -> list[str]:
    return ["haproxy", "-W", "-db", "-f", file]


PEERS = {
    "nginx": Peer("nginx", NGINX, lambda file: ["nginx", "-c", file, "-e", "stderr"]),
    "haproxy": Peer("HAProxy", HAPROXY, _haproxy, signal.SIGUSR2, 1),
    "haproxy-idle": Peer(
        "HAProxy, idle-close-on-response", HAPROXY, _haproxy, signal.SIGUSR2, 1, option="option idle-close-on-response"
    ),
    "l7": Peer("l7", L7, lambda file: [sys.executable, "-m", "l7", "--config", file], says=" reload.done "),
}


@dataclass
class SortedResults(Results):
    """Results that sort what failed by its reason."""

    reasons: Counter[str] = field(default_factory=Counter)

    def bad(self, what: str) -> None:
        """A request, or a connection in use, was lost."""
        super().bad(what)
        self.reasons[reason(what)] += 1


@dataclass
class Result:
    """What came of one proxy."""

    peer: Peer
    results: SortedResults
    seconds: float
    took: list[float]
    kept: int
    stay: int

    @property
    def under(self) -> int:
        """Connections that were closed with a request on them."""
        return sum(count for why, count in self.results.reasons.items() if why.startswith(LOST))


def reason(what: str) -> str:
    """The kind of a failure, without what only this one has."""
    found = re.match(r"(GET|POST) \d+, after [\d.]+ s: (.*)", what, re.DOTALL)
    method, why = found.groups() if found else ("", what)
    if why.startswith("the connection was lost"):
        return LOST + method
    if status := re.match(r"""b['"]HTTP/1\.1 (\d+)""", why):
        return f"{method} answered with {status[1]}"
    return re.sub(r"\d+ ", "", f"{method} {why}".strip().partition(":")[0])


def children(pid: int) -> set[int]:
    """The processes that a master started and that are not about to end."""
    found = set()
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        with contextlib.suppress(OSError):
            if b"shutting down" not in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(child)
    return found


class Run:
    """One proxy under load."""

    def __init__(self, peer: Peer, results: SortedResults) -> None:
        self.results = results
        self._peer = peer
        self._pid = 0
        self._log = Path()

    async def load(self, pid: int, port: int, log: Path, reloads: int, seconds: float) -> Result:
        """Send requests and reload.

        :raises BenchError: a reload came to no end, or not every client could connect.
        """
        self._pid, self._log = pid, log
        clients = Clients(port, ROUTES, self.results)
        await clients.start()
        kept = clients.kept()
        if len(kept) < KEPT:
            raise BenchError(f"{self._peer.title}: not every client could connect: {self.results.failures}")
        began = time.monotonic()
        took: list[float] = []
        await asyncio.sleep(1)
        while len(took) < reloads and time.monotonic() - began < seconds:
            took.append(await self._reload())
            await asyncio.sleep(PAUSE)
        await asyncio.sleep(1)
        passed = time.monotonic() - began
        still = len(kept & clients.open())
        await clients.finish()
        return Result(self._peer, self.results, passed, took, still, KEPT)

    async def _reload(self) -> float:
        began = time.monotonic()
        done = self._done()
        os.kill(self._pid, self._peer.signal)
        while not done():
            if time.monotonic() - began > 2 * TIMEOUT:
                raise BenchError(f"{self._peer.title}: a reload came to no end\n{tail(self._log)}")
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    def _done(self) -> Callable[[], bool]:
        peer = self._peer
        if peer.says:
            said = self._log.read_text("utf-8", "replace").count(peer.says)
            return lambda: self._log.read_text("utf-8", "replace").count(peer.says) > said
        before = children(self._pid)
        return lambda: len(children(self._pid) - before) >= peer.fresh


async def measure(peer: Peer, reloads: int, seconds: float) -> Result:
    """Start a proxy, load it, reload it.

    :raises BenchError: it did not start, or a reload came to no end.
    """
    with tempfile.TemporaryDirectory(prefix="l7-reloads-") as name:
        directory, port = Path(name), free_port()
        log = directory / "log"
        root = os.geteuid() == 0
        results = SortedResults()
        servers = await start_servers(results)
        file = directory / "config"
        text = peer.config.format(
            directory=directory, port=port, servers=servers, workers=WORKERS, option=peer.option,
            user="user root;" if root else "", run_as="run-as: root" if root else "",
        )  # fmt: skip
        file.write_text(text)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("L7_", "LISTEN_"))}
        cores = sorted(os.sched_getaffinity(0))
        with running(peer.command(str(file)), cores, log, port=port, environment=environment) as child:
            result = await Run(peer, results).load(child.pid, port, log, reloads, seconds)
        results.audit()
        return result


def rows(result: Result) -> list[tuple[str, str]]:
    """The figures, with their names."""
    results = result.results
    why = "; ".join(f"{count:,} {what}" for what, count in results.reasons.most_common())
    low, high = (min(result.took), max(result.took)) if result.took else (0, 0)
    return [
        ("reloads", f"{len(result.took)}, {low:.2f} to {high:.2f} s each"),
        ("requests sent", f"{results.sent:,} in {result.seconds:.0f} s"),
        ("failed", f"{results.failed:,}" + (f": {why}" if why else "")),
        ("closed without a word", f"{results.silent + result.under:,}, of these {result.under:,} with a request on it"),
        ("closed with a word", f"{results.announced:,}"),
        ("connections kept", f"{result.kept} of {result.stay}"),
        ("longest pause", f"{results.longest_pause * 1000:.0f} ms"),
        ("slowest quick answer", f"{results.slowest * 1000:.0f} ms"),
    ]


def rst(results: list[Result], command: str) -> str:
    """A table for the documentation."""
    described = machine.description()
    versions = f"{described['nginx']}, {described['HAProxy']}, {described['l7']}"
    lines = [
        f"``{command}``, {campaign.now()}, {described['cores']} cores, {versions}:",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * -",
        *(f"     - {result.peer.title}" for result in results),
    ]
    for line in zip(*map(rows, results), strict=True):
        lines.append(f"   * - {line[0][0]}")
        lines += [f"     - {value}" for _, value in line]
    return "\n".join(lines) + "\n"


def options(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reloads", description="What a reload costs.")
    parser.add_argument("--reloads", type=int, default=RELOADS, help=f"of each proxy (default: {RELOADS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"at most, of each (default: {SECONDS:g})")
    parser.add_argument("--proxies", default=",".join(PEERS), metavar="NAME,...", help=", ".join(PEERS))
    parser.add_argument("--rst", type=Path, metavar="FILE", help="write the table there, for the documentation")
    parsed = parser.parse_args(words)
    parsed.proxies = [name.strip() for name in parsed.proxies.split(",")]
    if unknown := [name for name in parsed.proxies if name not in PEERS]:
        parser.error(f"{', '.join(unknown)}: not one of {', '.join(PEERS)}")
    return parsed


def main() -> int:
    """Measure and print; 1 when it could not be done."""
    parsed = options()
    results = []
    try:
        packages.require()
        for name in parsed.proxies:
            results.append(asyncio.run(measure(PEERS[name], parsed.reloads, parsed.seconds)))
            print(PEERS[name].title, *(f"  {key:22} {value}" for key, value in rows(results[-1])), sep="\n", flush=True)
        if parsed.rst:
            asked = f"python -m tests.bench.reloads --reloads {parsed.reloads} --seconds {parsed.seconds:g}"
            parsed.rst.write_text(rst(results, asked))
    except BenchError as error:
        print(f"reloads: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
