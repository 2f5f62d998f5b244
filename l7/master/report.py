"""What `l7 status` shows: every worker and the configuration that runs, as one plain value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from l7.clock import monotonic
from l7.master.control import Visitor
from l7.master.fleet import Fleet, Worker
from l7.master.handles import Handle
from l7.telemetry.board import BEAT, CONNECTIONS, IN_FLIGHT, LAG, RATE, REQUESTS, Board

ANSWER_WITHIN = 0.3
"""Seconds that workers have to bring their figures up to date; of who hangs the last ones are shown."""
BEAT_EVERY = 0.5
"""Seconds between two heartbeats: what is longer is lag."""


class Survey:
    """One look at all workers, for who asked: each in ``asked``, by slot, writes what is true now before it is read."""

    def __init__(self, visitor: Visitor, board: Board, asked: set[int]) -> None:
        self.visitor = visitor
        self.due = monotonic() + ANSWER_WITHIN
        """When it is answered at the latest."""
        self._board = board
        self._asked = asked

    def heard(self, slot: int) -> None:
        """A worker has written its figures, or is gone."""
        self._asked.discard(slot)

    @property
    def over(self) -> bool:
        """Whether nobody is to be waited for."""
        return not self._asked or monotonic() >= self.due

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
            "requests-per-second": cells[RATE] / 1000,
            "lag": round(max(cells[LAG] / 1e6, silence, 0.0), 4),
            "memory": memory(handle.pid),
        }


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
