"""Writes the master's gauges (`l7.sharedmem.master_gauges`)."""

from __future__ import annotations

import time
from typing import Any

from l7.master.supervision.lifecycle import ENDS, ChildState, MasterPhase
from l7.master.supervision.state import SupervisorState
from l7.sharedmem import master_gauges
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.master_gauges import STATES, MasterGauges

STATE_OF = {
    ChildState.STARTING: "starting",
    ChildState.READY: "ready",
    ChildState.DRAINING: "draining",
    ChildState.RELAYING: "draining",
    ChildState.STOPPING: "stopping",
    ChildState.ABORTED: "lost",
    ChildState.KILLED: "lost",
}


class MasterGaugeWriter:
    """Writes the master's gauges into the shared memory."""

    def __init__(self, writer: CounterWriter, generation: int) -> None:
        self._gauges = MasterGauges(writer)
        self._seen: dict[str, Any] | None = None
        self._gauges[master_gauges.STARTED] = self._gauges[master_gauges.LAST_RELOAD_AT] = time.time_ns() // 1_000_000
        self._gauges[master_gauges.GENERATION] = generation

    def look(self, state: SupervisorState, generation: int, verdict: dict[str, Any] | None) -> None:
        """Write the current state: the workers, the generation that is served, and the result of the last reload."""
        counts = dict.fromkeys(STATES, 0)
        for worker in state.workers:
            if worker.state in STATE_OF:
                counts[STATE_OF[worker.state]] += 1
        for place, name in enumerate(STATES):
            self._gauges[master_gauges.WORKERS + place] = counts[name]
        self._gauges[master_gauges.WANTED] = state.wanted
        self._gauges[master_gauges.GENERATION] = generation
        self._gauges[master_gauges.PHASE] = _phase(state.phase)
        if verdict is not None and verdict is not self._seen:
            self._seen = verdict
            self._gauges[master_gauges.RELOADS_DONE if verdict["ok"] else master_gauges.RELOADS_FAILED] += 1
            self._gauges[master_gauges.LAST_RELOAD_FAILED] = int(not verdict["ok"])
            self._gauges[master_gauges.LAST_RELOAD_AT] = int(verdict["at"] * 1000)

    def started(self) -> None:
        """Count a started worker."""
        self._gauges[master_gauges.WORKER_STARTS] += 1


def _phase(phase: MasterPhase) -> int:
    if phase is MasterPhase.STARTING:
        return master_gauges.STARTING
    return master_gauges.ENDING if phase in ENDS else master_gauges.SERVING
