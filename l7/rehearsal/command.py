"""``l7 rehearse``: the programme and the verdict."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from l7.clock import monotonic
from l7.config.generation import Loaded
from l7.rehearsal.clients import Client, Downloads, Fresh, Kept, Slow, Stage, Talks, Thinking
from l7.rehearsal.house import BROKEN, WITHIN, House
from l7.rehearsal.ledger import Ledger

SECONDS = 20.0
"""How long the load runs when nothing is said."""
RELOADS = 4
"""How often the configuration is reloaded when nothing is said."""
CAST: tuple[tuple[type[Client], int], ...] = (
    (Kept, 16), (Thinking, 16), (Fresh, 8), (Slow, 4), (Downloads, 1), (Talks, 4),
)  # fmt: skip
"""The clients, and how many of each."""
BAR = 24
REFRESH = 0.2
"""Seconds between two looks at the progress."""


@dataclass
class Programme:
    """What was asked for: ``requests`` sent, or else ``seconds``; and ``reloads`` meanwhile."""

    requests: int | None = None
    seconds: float = SECONDS
    reloads: int = RELOADS


@dataclass
class Score:
    """What was done to l7 so far."""

    reloads: int = 0
    refused: int = 0
    kills: int = 0
    upgrades: int = 0
    took: list[float] = field(default_factory=list)
    """Seconds of each reload."""


def rehearse(loaded: Loaded, programme: Programme) -> int:
    """Rehearse with a configuration, whose servers are replaced by our own; returns the exit code.

    Raises `StartError` when the private l7 does not do what it is told.
    """
    with tempfile.TemporaryDirectory(prefix="l7-rehearsal-") as name:
        try:
            return asyncio.run(_run(Path(name), loaded, programme))
        except asyncio.CancelledError:
            return 128 + signal.SIGTERM  # HUP, when a terminal is closed, ends it the same way


async def _run(directory: Path, loaded: Loaded, programme: Programme) -> int:
    house = House(directory, loaded)
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await house.start()
        rehearsal = Rehearsal(house, programme)
        await rehearsal.run()
        await house.stop()
    finally:
        await house.abandon()
    rehearsal.ledger.audit(directory)
    print("\n".join(rehearsal.report()))
    return 1 if rehearsal.ledger.failed else 0


class Rehearsal:
    """One rehearsal: clients that never rest, and what is done to l7 meanwhile."""

    def __init__(self, house: House, programme: Programme) -> None:
        self.ledger = Ledger()
        self.score = Score()
        self._house = house
        self._programme = programme
        self._stage = Stage(house.port, house.sites, self.ledger)
        self._began = 0.0
        self._ended = 0.0
        self._kept = (0, 0, 0)
        """Connections kept, those that ended with a worker that was killed, and all."""

    async def run(self) -> None:
        """Do it all; returns when every client has its answer."""
        stage = self._stage
        for client, count in CAST:
            for _ in range(count):
                stage.start(client)
        stay = sum(count for client, count in CAST if client in (Kept, Thinking))
        while len(stage.kept()) < stay and not self.ledger.failed:
            await asyncio.sleep(0.01)
        kept = stage.kept()
        self.ledger.begin()
        self._began = monotonic()
        watch = asyncio.ensure_future(self._watch())
        try:
            steps = self._steps()
            for place, step in enumerate(steps):
                await self._reach((place + 0.5) / len(steps))
                await step()
            await self._reach(1.0)
        finally:
            watch.cancel()
        self._ended = monotonic()
        self._kept = (len(kept & stage.clients), len(kept & stage.orphans), len(kept))
        stage.finish()
        await self._settle()
        self._show(end="\n")

    def _steps(self) -> list[Callable[[], Awaitable[None]]]:
        """What is done, in order: everything else happens between reloads."""
        steps: list[Callable[[], Awaitable[None]]] = [self._reload] * self._programme.reloads
        for place, step in ((1, self._break), (3, self._kill), (5, self._upgrade)):
            steps.insert(min(place, len(steps)), step)
        return steps

    @property
    def progress(self) -> float:
        """How much of the load is done, from 0 to 1."""
        programme = self._programme
        if programme.requests is not None:
            return self.ledger.sent / programme.requests
        return (monotonic() - self._began) / programme.seconds

    async def _reach(self, part: float) -> None:
        while self.progress < part:
            await asyncio.sleep(0.02)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(REFRESH)
            self._stage.give_up()
            self._show()

    def _show(self, end: str = "") -> None:
        if sys.stderr.isatty():
            done = min(self.progress, 1.0)
            bar = ("#" * int(done * BAR)).ljust(BAR)
            score = self.score
            sys.stderr.write(
                f"\r[{bar}] {done:4.0%} {self.ledger.sent:,} requests, {score.reloads} reloads,"
                f" {self.ledger.failed} failed {end}"
            )
            sys.stderr.flush()

    async def _settle(self) -> None:
        """Wait until no request is on its way and nobody is connecting."""
        until = monotonic() + WITHIN
        while self._stage.busy and monotonic() < until:
            self._stage.give_up()
            await asyncio.sleep(0.02)

    # --- what is done to l7 -----------------------------------------------------------------------------------------

    async def _reload(self) -> None:
        house, began = self._house, monotonic()
        mark = house.mark
        house.signal(signal.SIGHUP)
        await house.wait_for("reload done: |reload undone: |reload refused", mark)
        self.score.reloads += 1
        self.score.took.append(monotonic() - began)

    async def _break(self) -> None:
        """Break the file: l7 must refuse it and go on."""
        house = self._house
        mark = house.mark
        house.write(BROKEN)
        house.signal(signal.SIGHUP)
        await house.wait_for("reload refused", mark)
        house.write()
        self.score.refused += 1

    async def _kill(self) -> None:
        """Kill a worker that has no request of ours: those inside a process that is killed are lost by definition."""
        house, stage = self._house, self._stage
        stage.held = True
        self.ledger.pause()
        await self._settle()
        workers = house.workers()
        if workers and not stage.busy:
            stage.killing = True
            victim, mark = random.choice(workers), house.mark
            house.kill(victim)
            await house.gone(victim)
            await house.wait_for("died after", mark)
            self.score.kills += 1
        stage.resume()

    async def _upgrade(self) -> None:
        """Let another l7 take over."""
        house = self._house
        mark, master = house.mark, house.pid
        house.signal(signal.SIGUSR2)
        await house.wait_for("upgrade done: ", mark)
        while house.pid == master:
            await asyncio.sleep(0.02)
        self.score.upgrades += 1

    # --- the verdict ------------------------------------------------------------------------------------------------

    def report(self) -> list[str]:
        """What to tell, line by line."""
        ledger, score = self.ledger, self.score
        seconds = self._ended - self._began
        kept, orphans, all_of_them = self._kept
        took = f", {min(score.took):.1f} to {max(score.took):.1f} s each" if score.took else ""
        lines = [
            f"sent               {ledger.sent:,} requests in {seconds:.1f} s ({ledger.sent / seconds:,.0f} a second)",
            f"failed             {ledger.failed:,}",
            f"reloads            {score.reloads}{took}; {score.refused} broken files refused",
            f"workers killed     {score.kills}; with them ended {ledger.orphaned} idle connections and"
            f" {ledger.killed} requests",
            f"upgrades           {score.upgrades}",
            f"connections kept   {kept} of {all_of_them}, from the first request to the last"
            + (f"; {orphans} ended with a killed worker" if orphans else ""),
            f"clean closes       {ledger.announced} announced, {ledger.silent} idle ones without a word",
            f"longest pause      {ledger.longest_pause * 1000:.0f} ms without any answer;"
            f" the slowest quick answer took {ledger.slowest * 1000:.0f} ms",
        ]
        return lines + [f"  {failure}" for failure in ledger.failures]
