"""Keeps the master's facts (`l7.telemetry.facts`) up to date, for whoever shows them."""

from __future__ import annotations

import time
from typing import Any

from l7.master.fleet import Fleet
from l7.master.lifecycle import ENDS, MasterState, WorkerState
from l7.telemetry import facts
from l7.telemetry.facts import STATES, Facts
from l7.telemetry.ledger import Ledger

STATE_OF = {
    WorkerState.STARTING: "starting",
    WorkerState.READY: "ready",
    WorkerState.DRAINING: "draining",
    WorkerState.STOPPING: "stopping",
    WorkerState.SILENT: "lost",
    WorkerState.ABORTED: "lost",
    WorkerState.KILLED: "lost",
}


class Notices:
    """What the master posts where everybody can read it."""

    def __init__(self, ledger: Ledger, generation: int) -> None:
        self._facts = Facts(ledger)
        self._seen: dict[str, Any] | None = None
        self._facts[facts.STARTED] = self._facts[facts.LAST_RELOAD_AT] = time.time_ns() // 1_000_000
        self._facts[facts.GENERATION] = generation

    def look(self, fleet: Fleet, generation: int, verdict: dict[str, Any] | None) -> None:
        """Post what is: the workers, the generation that is served, and how the last reload went."""
        counts = dict.fromkeys(STATES, 0)
        for worker in fleet.workers:
            if worker.state in STATE_OF:
                counts[STATE_OF[worker.state]] += 1
        for place, state in enumerate(STATES):
            self._facts[facts.WORKERS + place] = counts[state]
        self._facts[facts.WANTED] = fleet.wanted
        self._facts[facts.GENERATION] = generation
        self._facts[facts.PHASE] = _phase(fleet.phase)
        if verdict is not None and verdict is not self._seen:
            self._seen = verdict
            self._facts[facts.RELOADS_DONE if verdict["ok"] else facts.RELOADS_FAILED] += 1
            self._facts[facts.LAST_RELOAD_FAILED] = int(not verdict["ok"])
            self._facts[facts.LAST_RELOAD_AT] = int(verdict["at"] * 1000)

    def started(self) -> None:
        """A worker was started."""
        self._facts[facts.WORKER_STARTS] += 1


def _phase(phase: MasterState) -> int:
    if phase is MasterState.STARTING:
        return facts.STARTING
    return facts.ENDING if phase in ENDS else facts.SERVING
