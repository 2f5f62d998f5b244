"""The shared-memory scoreboard: what workers count and the master reads, without a lock.

One anonymous ``mmap`` made before the first fork, one slot a worker, each slot written by one process only: a worker
that dies cannot corrupt what others wrote, and nothing is left behind on disk. A cell is a signed 64-bit integer;
aligned 8-byte stores are atomic on every machine that Linux runs on.
"""

from __future__ import annotations

import mmap

BEAT = 0
"""When the worker's loop last turned: ``time.monotonic`` in nanoseconds."""
BEAT_INTERVAL = 0.5
"""Seconds between two heartbeats: what is longer is lag."""
CONNECTIONS = 1
"""Client connections open now."""
IN_FLIGHT = 2
"""Requests being served now, tunnels among them."""
REQUESTS = 3
"""Requests served since the worker started."""
LAG = 4
"""How late the last beat came, in microseconds."""
ANSWERS = 5
"""Requests that came to their end since the worker started, whatever the answer."""
FAULTS = 6
"""Answers 5xx among them that l7 made itself, for reasons that are not the client's: a server that cannot be reached
counts, one that says 500 does not."""
ACCEPTING = 7
"""1 while the worker takes connections from the listening sockets."""
TUNNELS = 8
"""Upgraded connections among the requests being served."""
RATE = 9
"""Requests a thousand seconds, over the last two seconds."""
ADOPTED = 10
"""Connections that came from other workers since the worker started."""
CHECKED = 11
"""In the row of a monitor process: servers that it checks."""
NAMES = 12
"""In the row of a monitor process: names that it looks up."""
PLACES = 13
"""Client connections that the worker may have, 0 once it takes no more."""
CELLS = 16
"""Cells in a slot: two cache lines, so that no two workers write to one line."""


class Scoreboard:
    """``slots`` rows of `CELLS` integers, shared with every process forked after it was made."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._memory = mmap.mmap(-1, (slots + 1) * CELLS * 8)
        self._cells = memoryview(self._memory).cast("q")
        self._reach = slots * CELLS
        """The cell behind the slots: how many of them have ever been used."""

    def slot(self, index: int) -> memoryview:
        """The cells of one worker; raises ``IndexError`` for a slot that is not there."""
        if not 0 <= index < self.slots:
            raise IndexError(f"slot {index} of {self.slots}")
        if index >= self._cells[self._reach]:
            self._cells[self._reach] = index + 1  # only the master comes here: it clears a slot before anybody has it
        return self._cells[index * CELLS : (index + 1) * CELLS]

    def column(self, cell: int) -> list[int]:
        """One cell of every slot that has ever been used: a worker that accepts looks at it many times a second."""
        return self._cells[cell : self._cells[self._reach] * CELLS : CELLS].tolist()

    def idle(self, index: int) -> None:
        """The process of a slot is gone, and with it what it had open."""
        cells = self.slot(index)
        cells[CONNECTIONS] = cells[IN_FLIGHT] = cells[PLACES] = 0

    def clear(self, index: int) -> None:
        """Zero a slot before it is given to a new worker."""
        cells = self.slot(index)
        for cell in range(CELLS):
            cells[cell] = 0
