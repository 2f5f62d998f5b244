"""What visitors notice of a deployment: nginx, HAProxy, Caddy and l7 before servers that are restarted.

``python -m tests.bench.deployments`` plays every scene before every proxy, with kept connections and with new ones. A
server that stops does so gracefully, except where it is killed: it listens no more, answers what it is asked, ends each
connection with its answer, and is gone after 0.3 s. 24 clients send a request every 25 ms, one in three a POST.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from tests.bench import campaign, machine, packages
from tests.bench.actors import Actor, Mode
from tests.bench.callers import Callers
from tests.bench.processes import BenchError, free_port, running, tail, wait_for
from tests.bench.rivals import NGINX

PATIENCE = 10.0
"""Seconds after which a client gives a request up."""


@dataclass(frozen=True)
class Scene:
    """One deployment: at so many seconds a server, by its number, stops or is there again."""

    title: str
    servers: int
    steps: tuple[tuple[float, int, Mode], ...]
    seconds: float
    variants: bool = False
    """Whether also variants of settings are played, and not only the defaults."""


STOPPED, BACK, KILLED, DYING = Mode.LEFT, Mode.GOOD, Mode.GONE, Mode.DYING
SCENES = {
    "rolling": Scene(
        "two servers, one after the other: each is gone for 2.2 s",
        2,
        ((1.0, 0, STOPPED), (3.2, 0, BACK), (4.2, 1, STOPPED), (6.4, 1, BACK)),
        7.5,
        variants=True,
    ),
    "boot": Scene(
        "two servers, the first boots for 8 s, the second is stopped a second later",
        2,
        ((1.0, 0, STOPPED), (9.0, 0, BACK), (10.0, 1, STOPPED)),
        13.0,
        variants=True,
    ),
    "single": Scene("one server, gone for a second", 1, ((1.0, 0, STOPPED), (2.0, 0, BACK)), 3.5),
    "long": Scene("one server, gone for 3 s", 1, ((1.0, 0, STOPPED), (4.0, 0, BACK)), 6.0),
    "killed": Scene(
        "the same two servers, killed with what they are at",
        2,
        ((1.0, 0, KILLED), (3.2, 0, BACK), (4.2, 1, KILLED), (6.4, 1, BACK)),
        7.5,
    ),
    "dying": Scene(
        "two servers, one accepts and dies at once, over and over", 2, ((1.0, 0, DYING), (5.0, 0, BACK)), 6.0
    ),
}

HAPROXY = """\
global
    nbthread {workers}
    maxconn 2000
defaults
    mode http
    option http-keep-alive
    option redispatch 1
    timeout connect 3s
    timeout client 60s
    timeout server 60s
    timeout check 1s
frontend clients
    bind 127.0.0.1:{port}
    default_backend app
backend app
{servers}
"""

CADDY = """\
{{
    admin off
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy {servers} {{
        lb_policy round_robin
{settings}
    }}
}}
"""

L7 = """\
port: {port}
bind: 127.0.0.1
workers: {workers}
{run_as}
access-log: off
control: off
backends:
  '*':
    servers: [{servers}]
{settings}
"""


def _haproxy(check: str) -> Callable[[Path, int, Sequence[int], int], str]:
    def write(_directory: Path, port: int, servers: Sequence[int], workers: int) -> str:
        lines = [f"    server s{place} 127.0.0.1:{one}{check}" for place, one in enumerate(servers)]
        return HAPROXY.format(port=port, servers="\n".join(lines), workers=workers)

    return write


def _nginx(directory: Path, port: int, servers: Sequence[int], workers: int) -> str:
    text = NGINX.format(
        directory=directory, port=port, servers="\n".join(f"        server 127.0.0.1:{one};" for one in servers),
        again="error timeout", workers=workers, user="user root;" if os.geteuid() == 0 else "",
    )  # fmt: skip
    return text.replace("timeout 1s;", "timeout 60s;")


def _caddy(settings: str) -> Callable[[Path, int, Sequence[int], int], str]:
    def write(_directory: Path, port: int, servers: Sequence[int], _workers: int) -> str:
        return CADDY.format(port=port, servers=" ".join(f"127.0.0.1:{one}" for one in servers), settings=settings)

    return write


def _l7(settings: str) -> Callable[[Path, int, Sequence[int], int], str]:
    def write(_directory: Path, port: int, servers: Sequence[int], workers: int) -> str:
        return L7.format(
            port=port, servers=", ".join(f"'127.0.0.1:{one}'" for one in servers), settings=settings,
            workers=workers, run_as="run-as: root" if os.geteuid() == 0 else "",
        )  # fmt: skip

    return write


@dataclass(frozen=True)
class Rival:
    """A proxy: how its file is written and how it is started."""

    title: str
    write: Callable[[Path, int, Sequence[int], int], str]
    command: Callable[[str], list[str]]
    workers: tuple[int, ...] = (4,)
    ready: str = ""
    """What it logs when it serves, if it listens before that."""
    variant: bool = False
    """Whether it is another one with other settings."""


def _start_l7(file: str) -> list[str]:
    return [sys.executable, "-m", "l7", "--config", file]


def _start_caddy(file: str) -> list[str]:
    return ["caddy", "run", "--adapter", "caddyfile", "--config", file]


def _start_haproxy(file: str) -> list[str]:
    return ["haproxy", "-db", "-f", file]


RIVALS = {
    "nginx": Rival("nginx", _nginx, lambda file: ["nginx", "-c", file, "-e", "stderr"]),
    "haproxy": Rival("HAProxy", _haproxy(""), _start_haproxy),
    "haproxy-checks": Rival("HAProxy, checks", _haproxy(" check"), _start_haproxy, variant=True),
    "caddy": Rival("Caddy", _caddy(""), _start_caddy),
    "caddy-try": Rival("Caddy, lb_try_duration 2s", _caddy("        lb_try_duration 2s"), _start_caddy),
    "l7": Rival("l7", _l7(""), _start_l7, (1, 4), ": ready"),
    "l7-health": Rival("l7, health: {}", _l7("    health: {}"), _start_l7, (1, 4), ": ready", variant=True),
    "l7-ejection": Rival("l7, ejection: off", _l7("    ejection: off"), _start_l7, (1, 4), ": ready", variant=True),
}


@dataclass
class Result:
    """What came of one run."""

    rival: Rival
    workers: int
    kept: bool
    sent: int = 0
    gets: int = 0
    posts: int = 0
    longest: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)


class Run:
    """One proxy in one scene."""

    def __init__(self, scene: Scene, rival: Rival, workers: int, *, kept: bool) -> None:
        self._scene, self._rival, self._workers, self._kept = scene, rival, workers, kept

    async def play(self) -> Result:
        """Start it, let the clients call and the servers come and go.

        :raises BenchError: the proxy did not start.
        """
        actors = [Actor() for _ in range(self._scene.servers)]
        try:
            for actor in actors:
                actor.become(Mode.GOOD)
            with tempfile.TemporaryDirectory(prefix="l7-deployments-") as name:
                return await self._before(Path(name), actors)
        finally:
            for actor in actors:
                await actor.close()

    async def _before(self, directory: Path, actors: list[Actor]) -> Result:
        port, file, log = free_port(), directory / "config", directory / "log"
        file.write_text(self._rival.write(directory, port, [actor.port for actor in actors], self._workers))
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("L7_", "LISTEN_"))}
        environment |= {key: os.environ[key] for key in ("L7_PURE_PYTHON",) if key in os.environ}
        environment["HOME"] = str(directory)
        cores = sorted(os.sched_getaffinity(0))
        proxy = running(self._rival.command(str(file)), cores, log, port=port, environment=environment)
        with await asyncio.to_thread(proxy.__enter__):
            try:
                await asyncio.to_thread(wait_for, lambda: self._rival.ready in tail(log), f"{self._rival.title}: ready")
                callers = Callers(port, patience=PATIENCE, kept=self._kept)
                call = asyncio.ensure_future(callers.call(self._scene.seconds))
                await self._deploy(actors)
                await call
            finally:
                await asyncio.to_thread(proxy.__exit__, None, None, None)
        result = Result(self._rival, self._workers, self._kept, sent=len(callers.outcomes))
        for outcome in callers.outcomes:
            result.longest = max(result.longest, outcome.took)
            if outcome.why:
                result.gets += outcome.method == "GET"
                result.posts += outcome.method == "POST"
                result.reasons[f"{outcome.method} {outcome.why}"] += 1
        return result

    async def _deploy(self, actors: Sequence[Actor]) -> None:
        begin = monotonic()
        for moment, number, mode in self._scene.steps:
            await asyncio.sleep(max(0.0, begin + moment - monotonic()))
            actors[number].become(mode)


def measure(scene: Scene, rival: Rival, workers: int, *, kept: bool) -> Result:
    """Play a scene once.

    :raises BenchError: the proxy did not start.
    """
    return asyncio.run(Run(scene, rival, workers, kept=kept).play())


COLUMNS = ["workers", "connections", "sent", "GETs failed", "POSTs failed", "longest"]


def cells(result: Result) -> list[str]:
    """The figures of a result."""
    return [
        str(result.workers),
        "kept" if result.kept else "new",
        f"{result.sent:,}",
        f"{result.gets:,}",
        f"{result.posts:,}",
        f"{result.longest:.1f} s",
    ]


def line(name: str, result: Result) -> str:
    """A result as one line for a terminal."""
    why = "; ".join(f"{count:,} {what}" for what, count in result.reasons.most_common())
    return f"{name:10}{result.rival.title:28}{''.join(cell.rjust(13) for cell in cells(result))}  {why}"


def rst(results: dict[str, list[Result]], command: str) -> str:
    """The tables for the documentation, one for each scene."""
    described = machine.description()
    versions = f"{described['nginx']}, {described['HAProxy']}, Caddy 2.6, {described['l7']}"
    rows = [f"``{command}``, {campaign.now()}, {described['cores']} cores, {versions}.", ""]
    for name, found in results.items():
        title = SCENES[name].title
        rows += ["", title[0].upper() + title[1:], "~" * 80, "", ".. list-table::", "   :header-rows: 1", ""]
        rows += _row(["", *COLUMNS])
        for result in found:
            rows += _row([result.rival.title, *cells(result)])
    return "\n".join(rows) + "\n"


def _row(words: Sequence[str]) -> Iterator[str]:
    for place, word in enumerate(words):
        yield f"   {'*' if place == 0 else ' '} - {word}".rstrip()


def options(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.deployments", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--scenes", default=",".join(SCENES), metavar="NAME,...", help=", ".join(SCENES))
    parser.add_argument("--proxies", default=",".join(RIVALS), metavar="NAME,...", help=", ".join(RIVALS))
    parser.add_argument("--rst", type=Path, metavar="FILE", help="write the tables there, for the documentation")
    parsed = parser.parse_args(words)
    for given, known in (("scenes", SCENES), ("proxies", RIVALS)):
        names = [name.strip() for name in getattr(parsed, given).split(",")]
        if unknown := [name for name in names if name not in known]:
            parser.error(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        setattr(parsed, given, names)
    return parsed


def play(parsed: argparse.Namespace) -> dict[str, list[Result]]:
    """Play what was asked for, and print each result.

    :raises BenchError: it cannot be done here.
    """
    packages.require()
    if not shutil.which("caddy"):
        raise BenchError("caddy is missing; on Debian: apt-get install caddy")
    print(f"{'':38}{''.join(column.rjust(13) for column in COLUMNS)}", flush=True)
    results: dict[str, list[Result]] = {}
    for name in parsed.scenes:
        for key in [key for key in parsed.proxies if SCENES[name].variants or not RIVALS[key].variant]:
            for workers in RIVALS[key].workers:
                for kept in (True, False):
                    result = measure(SCENES[name], RIVALS[key], workers, kept=kept)
                    results.setdefault(name, []).append(result)
                    print(line(name, result), flush=True)
    return results


def main() -> int:
    """Measure and print; 1 when it could not be done."""
    parsed = options()
    try:
        results = play(parsed)
        if parsed.rst:
            parsed.rst.write_text(rst(results, "python -m tests.bench.deployments"))
    except BenchError as error:
        print(f"deployments: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
