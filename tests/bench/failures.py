"""What clients see of a server that fails: nginx, HAProxy and l7 before three servers, one of which is made to fail.

``python -m tests.bench.failures`` runs every scene before every proxy, without active checks and with them. A run is a
second of peace, four seconds in which the server fails, and three in which it is well again, under 24 clients. Counted
is what the clients see; timed is when traffic left the server and when it came back.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Protocol

from tests.bench import campaign, machine, packages
from tests.bench.actors import Actor, Attempt, Mode, Sniffer
from tests.bench.callers import Callers, Outcome
from tests.bench.processes import BenchError, free_port, running, tail, wait_for
from tests.bench.rivals import RIVALS, Rival

PEACE, FAILING, AFTER = 1.0, 4.0, 3.0
"""Seconds of the three parts of a run."""
PATIENCE = 30.0
"""Seconds that first checks may take."""
FLAP = 0.5
"""Seconds in which a flapping server is gone, and as many in which it is there."""
BURST, WITHIN = 4, 0.5
"""So many tries within so many seconds are traffic: fewer are checks, or one request that looks whether it is well."""
ENDLESS = 0.3
"""Seconds before the end of the failing in which traffic shows that it never left."""


@dataclass(frozen=True)
class Scene:
    """One way to fail."""

    title: str
    mode: Mode
    always: bool = False
    """From before the start to the end."""
    flaps: bool = False
    rivals: tuple[str, ...] = ("nginx", "haproxy", "l7")


SCENES = {
    "refuses": Scene("refuses, from the start", Mode.GONE, always=True),
    "gone": Scene("gone and back", Mode.GONE),
    "hole": Scene("black-holed: no answer to a SYN", Mode.HOLE),
    "silent": Scene("silent: accepts and says nothing", Mode.SILENT),
    "reset": Scene("resets in mid-response", Mode.RESET),
    "error": Scene("answers 500", Mode.ERROR, rivals=("nginx", "nginx-500", "haproxy", "l7")),
    "slow": Scene("slow: 700 ms an answer", Mode.SLOW),
    "flapping": Scene("flapping: gone every other half second", Mode.GONE, flaps=True),
}


@dataclass
class Result:
    """What came of one run, or of several of the same."""

    rival: Rival
    checks: bool
    sent: int = 0
    gets: int = 0
    posts: int = 0
    fooled: int = 0
    twice: int = 0
    longest: float = 0.0
    left: list[float | None] = field(default_factory=list)
    back: list[float | None] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: Result) -> None:
        """Take another run of the same in."""
        self.sent += other.sent
        self.gets += other.gets
        self.posts += other.posts
        self.fooled += other.fooled
        self.twice += other.twice
        self.longest = max(self.longest, other.longest)
        self.left += other.left
        self.back += other.back
        self.reasons += other.reasons


class Noting(Protocol):
    """A server that notes what came to it."""

    attempts: list[Attempt]


NEVER = float("inf")


def left(attempts: Sequence[Attempt], begin: float, end: float) -> float:
    """Seconds from *begin* to the end of the last burst of tries; `NEVER` when it lasts to the *end*."""
    moments = [attempt.at for attempt in attempts if begin <= attempt.at < end]
    bursts = [
        moment for place, moment in enumerate(moments)
        if place + 1 >= BURST and moment - moments[place + 1 - BURST] <= WITHIN
    ]  # fmt: skip
    if not bursts:
        return 0.0
    return NEVER if bursts[-1] > end - ENDLESS else bursts[-1] - begin


def back(attempts: Sequence[Attempt], end: float) -> float:
    """Seconds from *end* to the first request that the server got afterwards."""
    return next((attempt.at - end for attempt in attempts if attempt.at >= end and attempt.number >= 0), NEVER)


def tally(result: Result, outcomes: Sequence[Outcome], actors: Sequence[Noting]) -> None:
    """Count what clients saw and what servers got."""
    posts = {outcome.number for outcome in outcomes if outcome.method == "POST"}
    result.sent = len(outcomes)
    for outcome in outcomes:
        result.longest = max(result.longest, outcome.took)
        if outcome.why:
            result.reasons[f"{outcome.method} {outcome.why}"] += 1
            result.gets += outcome.method == "GET"
            result.posts += outcome.method == "POST"
            result.fooled += outcome.fooled
    came = Counter(attempt.number for actor in actors for attempt in actor.attempts)
    result.twice = sum(came[number] > 1 for number in posts)


class Run:
    """One proxy in one scene."""

    def __init__(self, scene: Scene, rival: Rival, checks: bool, scale: float = 1.0) -> None:
        self._scene, self._rival, self._checks = scene, rival, checks
        self._peace, self._failing, self._after = (part * scale for part in (PEACE, FAILING, AFTER))

    async def play(self) -> Result:
        """Start it, let the clients call and the server fail.

        :raises BenchError: the proxy did not start.
        """
        actors = [Actor() for _ in range(3)]
        sniffer = Sniffer(actors[0])
        try:
            for actor in actors:
                actor.become(Mode.GOOD)
            if self._scene.always:
                actors[0].become(self._scene.mode)
            with tempfile.TemporaryDirectory(prefix="l7-failures-") as name:
                return await self._before(Path(name), actors, sniffer)
        finally:
            sniffer.close()
            for actor in actors:
                await actor.close()

    async def _before(self, directory: Path, actors: list[Actor], sniffer: Sniffer) -> Result:
        port, file = free_port(), directory / "config"
        file.write_text(self._rival.write(directory, port, [actor.port for actor in actors], self._checks))
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("L7_", "LISTEN_"))}
        cores = sorted(os.sched_getaffinity(0))
        log = directory / "log"
        proxy = running(self._rival.command(str(file)), cores, log, port=port, environment=environment)
        with await asyncio.to_thread(proxy.__enter__):
            try:
                await asyncio.to_thread(wait_for, lambda: self._rival.ready in tail(log), f"{self._rival.title}: ready")
                await asyncio.wait_for(self._checked(actors), PATIENCE)
                callers = Callers(port)
                call = asyncio.ensure_future(callers.call(self._peace + self._failing + self._after))
                begin, end = await self._fail(actors[0])
                await call
            finally:
                await asyncio.to_thread(proxy.__exit__, None, None, None)
        result = Result(self._rival, self._checks)
        tally(result, callers.outcomes, actors)
        if not self._scene.flaps:
            seen = sniffer.sees or self._scene.mode is not Mode.GONE
            result.left = [left(actors[0].attempts, begin, end) if seen else None]
            result.back = [None if self._scene.always else back(actors[0].attempts, end)]
        return result

    async def _checked(self, actors: list[Actor]) -> None:
        """Wait until all servers were found well: what first checks find counts at once, and not what they are for."""
        while self._checks and not self._scene.always and not all(actor.checked for actor in actors):
            await asyncio.sleep(0.01)

    async def _fail(self, actor: Actor) -> tuple[float, float]:
        """Make the server fail in its time; when that began and ended."""
        scene = self._scene
        begin = monotonic()
        if scene.always:
            await asyncio.sleep(self._peace + self._failing + self._after)
            return begin, monotonic()
        await asyncio.sleep(self._peace)
        begin = monotonic()
        mode = scene.mode
        while (now := monotonic()) < begin + self._failing:
            actor.become(mode)
            if not scene.flaps:
                await asyncio.sleep(self._failing)
                break
            mode = Mode.GOOD if mode is scene.mode else scene.mode
            await asyncio.sleep(min(FLAP, begin + self._failing - now))
        actor.become(Mode.GOOD)
        return begin, monotonic()


def measure(scene: Scene, rival: Rival, checks: bool, rounds: int = 1, scale: float = 1.0) -> Result:
    """Play a scene so often.

    :raises BenchError: the proxy did not start.
    """
    result = Result(rival, checks)
    for _ in range(rounds):
        result.add(asyncio.run(Run(scene, rival, checks, scale).play()))
    return result


def seconds(values: Sequence[float | None], never: str) -> str:
    """The middle of some times, as people read it."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    middle = median(known)
    return never if middle == NEVER else f"{middle:.1f} s"


def cells(result: Result) -> list[str]:
    """The figures of a result."""
    went = seconds(result.left, "never")
    return [
        f"{result.sent:,}",
        f"{result.gets:,}",
        f"{result.posts:,}",
        f"{result.fooled:,}",
        went,
        "–" if went == "never" else seconds(result.back, "not in 3 s"),
        f"{result.longest:.1f} s",
    ]


COLUMNS = ["sent", "GETs failed", "POSTs failed", "damaged", "left after", "back after", "longest"]


def line(scene: Scene, result: Result) -> str:
    """A result as one line for a terminal."""
    why = "; ".join(f"{count:,} {what}" for what, count in result.reasons.most_common())
    twice = f"; {result.twice} POSTs came twice" if result.twice else ""
    values = "".join(cell.rjust(13) for cell in cells(result))
    return f"{scene.title:40}{'checks' if result.checks else '':8}{result.rival.title:16}{values}  {why}{twice}"


def rst(results: dict[str, list[Result]], command: str) -> str:
    """The tables for the documentation, one for each scene."""
    described = machine.description()
    versions = f"{described['nginx']}, {described['HAProxy']}, {described['l7']}"
    rows = [f"``{command}``, {campaign.now()}, {described['cores']} cores, {versions}.", ""]
    for name, found in results.items():
        rows += ["", f"One server {SCENES[name].title}", "~" * 60, "", ".. list-table::", "   :header-rows: 1", ""]
        rows += _row(["", "checks", *COLUMNS])
        for result in found:
            rows += _row([result.rival.title, "yes" if result.checks else "no", *cells(result)])
    return "\n".join(rows) + "\n"


def _row(words: Sequence[str]) -> Iterator[str]:
    for place, word in enumerate(words):
        yield f"   {'*' if place == 0 else ' '} - {word}".rstrip()


def options(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.failures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=1, help="runs of each, summed up (default: 1)")
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
    print(f"{'':64}{''.join(column.rjust(13) for column in COLUMNS)}", flush=True)
    results: dict[str, list[Result]] = {}
    for name in parsed.scenes:
        scene = SCENES[name]
        for checks in (False, True):
            for key in [key for key in scene.rivals if key in parsed.proxies and (RIVALS[key].checks or not checks)]:
                result = measure(scene, RIVALS[key], checks, parsed.rounds)
                results.setdefault(name, []).append(result)
                print(line(scene, result), flush=True)
    return results


def main() -> int:
    """Measure and print; 1 when it could not be done."""
    parsed = options()
    try:
        results = play(parsed)
        if parsed.rst:
            parsed.rst.write_text(rst(results, f"python -m tests.bench.failures --rounds {parsed.rounds}"))
    except BenchError as error:
        print(f"failures: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
