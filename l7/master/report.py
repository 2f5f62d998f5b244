"""What `l7 status` shows: every worker and the configuration that runs, as one plain value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from l7.clock import monotonic
from l7.master.control import Visitor
from l7.master.fleet import Fleet, Worker
from l7.master.handles import Handle
from l7.telemetry.board import BEAT, CONNECTIONS, IN_FLIGHT, LAG, REQUESTS, Board

LISTEN_FOR = 1.2
"""Seconds in which two heartbeats of a healthy worker can be heard: between them its requests are counted."""
LOOK_EVERY = 0.1
BEAT_EVERY = 0.5
"""Seconds between two heartbeats: what is longer is lag."""


@dataclass(frozen=True)
class _Sample:
    beat: int
    requests: int


class Survey:
    """One look at all workers that takes as long as their heartbeats: for who asked, until ``deadline``."""

    def __init__(self, visitor: Visitor, board: Board, fleet: Fleet) -> None:
        self.visitor = visitor
        self.deadline = monotonic() + LISTEN_FOR
        self._board = board
        self._first = {worker.slot: self._sample(worker.slot) for worker in fleet.workers}

    @property
    def due(self) -> float:
        """When to look again."""
        return min(self.deadline, monotonic() + LOOK_EVERY)

    def over(self, fleet: Fleet) -> bool:
        """Whether every worker that serves has been heard again, or time is up."""
        if monotonic() >= self.deadline:
            return True
        ready = (worker.slot for worker in fleet.workers if worker.ready and worker.slot in self._first)
        return all(self._board.slot(slot)[BEAT] > self._first[slot].beat for slot in ready)

    def workers(self, fleet: Fleet, handles: Mapping[int, Handle]) -> list[dict[str, Any]]:
        """One entry for each worker, those that drain too."""
        order = sorted(fleet.workers, key=lambda worker: (-worker.generation, worker.index, worker.slot))
        return [self._entry(worker, handles[worker.slot]) for worker in order if worker.slot in handles]

    def _entry(self, worker: Worker, handle: Handle) -> dict[str, Any]:
        cells = self._board.slot(worker.slot)
        now = monotonic()
        silence = now - cells[BEAT] / 1e9 - BEAT_EVERY if cells[BEAT] else 0.0
        return {
            "worker": worker.index + 1,
            "pid": handle.pid,
            "generation": worker.generation,
            "age": round(now - handle.started, 1),
            "state": worker.state.value,
            "connections": cells[CONNECTIONS],
            "in-flight": cells[IN_FLIGHT],
            "requests": cells[REQUESTS],
            "requests-per-second": round(self._rate(worker.slot, now - handle.started), 1),
            "lag": round(max(cells[LAG] / 1e6, silence, 0.0), 4),
            "memory": memory(handle.pid),
        }

    def _rate(self, slot: int, age: float) -> float:
        before, after = self._first.get(slot), self._sample(slot)
        if before is not None and before.beat and after.beat > before.beat:
            return max(0, after.requests - before.requests) * 1e9 / (after.beat - before.beat)
        return after.requests / age if before is None and age > 0 else 0.0

    def _sample(self, slot: int) -> _Sample:
        cells = self._board.slot(slot)
        return _Sample(cells[BEAT], cells[REQUESTS])


def memory(pid: int) -> int | None:
    """Resident bytes of a process, shared ones too; None when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", encoding="utf-8") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def moment(seconds: float) -> str:
    """A time of day for people and programs."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
