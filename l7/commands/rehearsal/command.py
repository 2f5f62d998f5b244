"""``l7 rehearse``: what is done to the private l7, and the report."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from l7.clock import monotonic
from l7.commands.rehearsal.clients import Clients
from l7.commands.rehearsal.instance import Instance
from l7.commands.rehearsal.origin import start_servers
from l7.commands.rehearsal.results import Results
from l7.config.generation import Loaded
from l7.errors import StartError
from l7.ipc.requests import Answer, ReloadRequest, StatusRequest

SECONDS = 20.0
"""How long the load runs when nothing is said."""
RELOADS = 4
"""How often the configuration is reloaded when nothing is said."""
BROKEN = "backends: {'*': {servers: [\n"
LONGEST_DIRECTORY = 70
"""Characters of a directory in which the path of a socket has room (unix(7))."""


def rehearse(loaded: Loaded, requests: int | None, reloads: int) -> int:
    """Rehearse with a configuration, whose servers are replaced by our own; returns the exit code.

    :param requests: how many are sent at least; None: as many as there are in `SECONDS`.
    :param reloads: how often l7 is reloaded meanwhile.
    :raises StartError: the private l7 does not do what it is told.
    """
    place = None if len(tempfile.gettempdir()) <= LONGEST_DIRECTORY else "/tmp"
    with tempfile.TemporaryDirectory(prefix="l7-rehearsal-", dir=place) as name:
        try:
            return asyncio.run(_run(Path(name), loaded, requests, reloads))
        except asyncio.CancelledError:
            return 128 + signal.SIGTERM  # HUP, when a terminal is closed, ends it the same way


async def _run(directory: Path, loaded: Loaded, requests: int | None, reloads: int) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    results = Results()
    instance = Instance(directory, loaded, await start_servers(results))
    rehearsal = Rehearsal(instance, requests, reloads, results)
    try:
        await instance.start()
        await rehearsal.run()
        await instance.stop()
    finally:
        await instance.abandon()
    results.audit()
    print("\n".join(rehearsal.report()))
    return 1 if results.failed or rehearsal.failed_reloads else 0


@dataclass
class Rehearsal:
    """Clients that never rest, and what is done to l7 meanwhile."""

    instance: Instance
    requests: int | None
    times: int
    """How often l7 is reloaded."""
    results: Results
    reloads: list[float] = field(default_factory=list)
    """Seconds of each."""
    failed_reloads: list[str] = field(default_factory=list)
    refused: int = 0
    kills: int = 0
    orphaned: int = 0
    """Idle connections that ended with a worker that was killed."""
    upgrades: int = 0
    seconds: float = 0.0
    kept: tuple[int, int, int] = (0, 0, 0)
    """Connections kept, those that ended with a worker that was killed, and all."""

    async def run(self) -> None:
        """Do it all; returns when every client has its answer."""
        clients = Clients(self.instance.port, self.instance.routes, self.results)
        await clients.start()
        kept, began = clients.kept(), monotonic()
        steps: list[Callable[[Clients], Awaitable[None]]] = [self._reload] * self.times
        for place, other in ((1, self._break), (3, self._kill), (5, self._upgrade)):
            steps.insert(min(place, len(steps)), other)
        for place, step in enumerate(steps):
            await self._reach((place + 0.5) / len(steps), began)
            await step(clients)
        await self._reach(1.0, began)
        self.seconds = monotonic() - began
        self.kept = (len(kept & clients.open()), len(kept & clients.killed), len(kept))
        await clients.finish()
        if sys.stderr.isatty():
            print(file=sys.stderr)

    async def _reach(self, part: float, began: float) -> None:
        """Wait until that part of the load is done, from 0 to 1."""
        done = 0.0
        while done < part:
            await asyncio.sleep(0.02)
            seconds = monotonic() - began
            done = seconds / SECONDS if self.requests is None else self.results.sent / self.requests
            if sys.stderr.isatty():
                counts = f"{self.results.sent:,} requests, {len(self.reloads)} reloads, {self.results.failed} failed"
                print(f"\r{min(done, 1.0):4.0%} {counts} ", end="", file=sys.stderr, flush=True)

    async def _reload(self, _: Clients) -> None:
        verdict = await self.instance.ask(ReloadRequest())
        self.reloads.append(verdict["seconds"])
        if not verdict["ok"]:
            self.failed_reloads.append("; ".join(verdict["reasons"]))

    async def _break(self, _: Clients) -> None:
        """Break the file: l7 must refuse it and go on."""
        self.instance.write(BROKEN)
        if (await self.instance.ask(ReloadRequest()))["ok"]:
            raise StartError("the private l7 has taken a file that is no YAML")
        self.instance.write()
        self.refused += 1

    async def _kill(self, clients: Clients) -> None:
        """Kill a worker that has no request of ours: those inside a process that is killed are lost by definition."""
        if await clients.hold():
            before = clients.open()
            workers = (await self.instance.ask(StatusRequest()))["workers"]
            ready = {worker["pid"] for worker in workers if worker["state"] == "ready"}
            victim = random.choice(list(ready))
            os.kill(victim, signal.SIGKILL)

            def replaced(status: Answer) -> bool:
                now = {worker["pid"] for worker in status["workers"] if worker["state"] == "ready"}
                return victim not in now and len(now) >= len(ready)

            await self.instance.wait_for("replaced a worker that was killed", replaced)
            clients.killed |= before - clients.open()
            self.orphaned = len(clients.killed)
            self.kills += 1
        clients.resume()

    async def _upgrade(self, _: Clients) -> None:
        """Let another l7 take over."""
        before = self.instance.pid
        os.kill(before, signal.SIGUSR2)
        await self.instance.wait_for("been replaced by another one", lambda status: status["pid"] != before)
        self.upgrades += 1

    def report(self) -> list[str]:
        """What to tell, line by line."""
        results, (kept, killed, all_of_them) = self.results, self.kept
        took = f", {min(self.reloads):.1f} to {max(self.reloads):.1f} s each" if self.reloads else ""
        lines = [
            f"sent               {results.sent:,} requests in {self.seconds:.1f} s"
            f" ({results.sent / self.seconds:,.0f} a second)",
            f"failed             {results.failed:,}",
            f"reloads            {len(self.reloads)}{took}; {self.refused} broken files refused",
            f"workers killed     {self.kills}; with them ended {self.orphaned} idle connections",
            f"upgrades           {self.upgrades}",
            f"connections kept   {kept} of {all_of_them}, from the first request to the last"
            + (f"; {killed} ended with a killed worker" if killed else ""),
            f"clean closes       {results.announced} announced, {results.silent} idle ones without a word",
            f"longest pause      {results.longest_pause * 1000:.0f} ms without any answer;"
            f" the slowest quick answer took {results.slowest * 1000:.0f} ms",
        ]
        failures = [*(f"a reload failed: {why}" for why in self.failed_reloads), *results.failures]
        return lines + [f"  {failure}" for failure in failures]
