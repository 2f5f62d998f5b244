"""What only the master knows and others show, and what workers count that is of no backend: in a row of its own of the
shared memory, in the lane of who writes it.

So a scrape asks nobody, and is answered also while the master is busy.
"""

from __future__ import annotations

from typing import Final

from l7.sharedmem.memory import MASTER, OF_MASTER, SharedMemory

STARTED = 10
"""When l7 was started, as milliseconds since 1970; an upgrade in place is a start."""
GENERATION = 11
"""The generation that is served; the new one from the moment in which all workers have it."""
PHASE = 12
"""One of the three below."""
WANTED = 13
"""How many workers there are to be."""
RELOADS_DONE = 14
RELOADS_FAILED = 15
"""Refused, or brought back to the old generation."""
LAST_RELOAD_FAILED = 16
LAST_RELOAD_AT = 17
"""Milliseconds since 1970; the start is the first."""
WORKER_STARTS = 18
"""How often a worker was started."""
WORKERS = 19
"""How many workers are in each of `STATES`."""

IDLE_CLOSED = 24
"""Idle connections of clients that were closed because others needed their places, or their descriptors; this and the
following are counted by workers, each in its own lane."""
WAITED = 25
"""Connections of clients that had to wait for a place, because nobody was idle."""
IDLE_TOLD_AT = 26
"""When it was last told that idle connections make place; nanoseconds."""
BUSY_TOLD_AT = 27
"""When it was last told that clients wait."""

STARTING, SERVING, ENDING = range(3)

STATES: Final = ("starting", "ready", "draining", "stopping", "lost")
"""States of a worker as they are counted; ``lost`` is one whose heartbeat stays out, until it is gone."""

assert WORKERS + len(STATES) <= IDLE_CLOSED


class MasterGauges:
    """Reads and, in the master, writes these cells."""

    def __init__(self, shared_memory: SharedMemory) -> None:
        self._cells = shared_memory.cells
        self._base = shared_memory.base(MASTER, OF_MASTER)

    def __getitem__(self, cell: int) -> int:
        return self._cells[self._base + cell]

    def __setitem__(self, cell: int, value: int) -> None:
        self._cells[self._base + cell] = value

    def workers(self) -> dict[str, int]:
        """How many workers there are, by state."""
        return {state: self[WORKERS + place] for place, state in enumerate(STATES)}

    def unready(self) -> str:
        """Why no traffic should be sent here, in words; empty when there is no reason."""
        phase, ready = self[PHASE], self.workers()["ready"]
        if phase == ENDING:
            return "stopping"
        if phase == STARTING or not ready:
            return f"{ready} of {self[WANTED]} workers are ready"
        return ""
