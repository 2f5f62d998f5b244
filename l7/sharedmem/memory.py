"""The shared memory: counters and states of servers and backends, written and read by all processes without a lock.

A row is a server or a backend, a lane is the part of one writer: lane 0 the master's, lane 1 the monitor process's,
then one for each slot of the scoreboard. Each cell has one writer, so a process that dies cannot corrupt what others
wrote; an aligned store of 8 bytes is atomic on every machine that Linux runs on. Counters are never cleared as long as
a row belongs to the same server: a lane that gets a new worker counts on where the last one ended, so sums never go
backwards.

The memory is reserved for all rows of all lanes, but a page takes memory only once it is written.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable

from l7.sharedmem.layout import (
    CHANGED,
    CHANGES,
    EJECTED_AT,
    EJECTED_GOOD,
    EJECTED_UNTIL,
    GAUGES,
    REMEMBERED,
    ROW,
    WRITERS,
)

MASTER = 0
MONITOR = 1
FIRST_WORKER = 2
"""The lane of the worker in slot 0 of the scoreboard."""

OF_LANE = 0
"""The row about the lane itself: heartbeat and changes."""
UNROUTED = 1
"""The row for requests without a backend."""
OF_MASTER = 2
"""The row of `l7.sharedmem.master_gauges`."""
FIRST_ROW = 3
"""The first row that can be given to a server or a backend."""


class SharedMemory:
    """``rows`` times ``writers`` times `ROW` integers of 64 bits, shared with each process forked after it was made."""

    def __init__(self, rows: int, writers: int) -> None:
        self.rows = rows
        self.writers = writers
        # A file in memory: an anonymous mapping would be charged for pages that nobody writes (overcommit).
        descriptor = os.memfd_create("l7-counters", os.MFD_CLOEXEC)
        try:
            os.ftruncate(descriptor, rows * writers * ROW * 8)
            self._memory = mmap.mmap(descriptor, 0)
        finally:
            os.close(descriptor)
        self.cells = memoryview(self._memory).cast("q")
        """All cells: a row's cell in a lane is at ``lane * rows * ROW + row * ROW + cell``."""
        self.cells[WRITERS] = FIRST_WORKER

    def base(self, writer: int, row: int = 0) -> int:
        """Where the cells of a row in a lane begin."""
        return (writer * self.rows + row) * ROW

    def writer(self, writer: int) -> memoryview:
        """All cells of one lane."""
        return self.cells[self.base(writer) : self.base(writer + 1)]

    @property
    def used(self) -> int:
        """How many lanes have ever been used: those above are zero."""
        return self.cells[WRITERS]

    def read(self, writer: int, row: int, cell: int) -> int:
        """One cell."""
        return self.cells[self.base(writer, row) + cell]

    def write(self, writer: int, row: int, cell: int, value: int) -> None:
        """Set one cell; only the lane's writer may."""
        self.cells[self.base(writer, row) + cell] = value

    def column(self, row: int, cell: int) -> list[int]:
        """One cell of a row in each lane that has been used."""
        first = self.base(0, row) + cell
        return self.cells[first : first + (self.used - 1) * self.rows * ROW + 1 : self.rows * ROW].tolist()

    def total(self, row: int, cell: int) -> int:
        """One cell of a row, summed over the lanes."""
        return sum(self.column(row, cell))

    def changed(self, writer: int, row: int) -> None:
        """Make all processes evaluate the server in ``row`` again (0: all servers); only the lane's writer may."""
        at = self.base(writer)
        self.cells[at + CHANGED + self.cells[at + CHANGES] % REMEMBERED] = row
        self.cells[at + CHANGES] += 1

    # --- for the master ---------------------------------------------------------------------------------------------

    def open(self, writer: int) -> None:
        """Prepare a lane for a new writer."""
        self.cells[WRITERS] = max(self.used, writer + 1)

    def retire(self, writer: int, rows: Iterable[int]) -> None:
        """Zero the gauges of a lane whose writer has ended; its ejections are copied to the master's lane."""
        for row in rows:
            at, kept = self.base(writer, row), self.base(MASTER, row)
            if self._ejection(at) > self._ejection(kept):
                for cell in range(EJECTED_AT, EJECTED_GOOD + 1):
                    self.cells[kept + cell] = self.cells[at + cell]
            for cell in range(GAUGES):
                if self.cells[at + cell]:
                    self.cells[at + cell] = 0
        self.changed(MASTER, OF_LANE)

    def _ejection(self, at: int) -> tuple[int, int]:
        """When, and until when, a server was last ejected."""
        return self.cells[at + EJECTED_AT], self.cells[at + EJECTED_UNTIL]

    def clear(self, row: int) -> None:
        """Zero a row in all lanes, because it is assigned to another server."""
        for writer in range(self.used):
            at = self.base(writer, row)
            for cell in range(ROW):
                if self.cells[at + cell]:
                    self.cells[at + cell] = 0
