"""The scoreboard: a slot of shared memory for each worker, which writes it; the master reads it, without a lock.

Made before the first fork, one slot a worker, each slot written by one process only: a worker that dies cannot corrupt
what others wrote. A cell is a signed 64-bit integer (`l7.sharedmem.mapping`). What is counted for good is not here but
in `l7.sharedmem.memory`: a slot begins anew with each worker.
"""

from __future__ import annotations

from l7.sharedmem.mapping import shared_cells

BEAT = 0
"""The worker's last heartbeat: ``time.monotonic`` in nanoseconds."""
BEAT_INTERVAL = 0.5
"""Seconds between two heartbeats; a longer interval is lag of the event loop."""
CONNECTIONS = 1
"""Client connections open now."""
IN_FLIGHT = 2
"""Requests being served now, tunnels among them."""
REQUESTS = 3
"""Requests served since the worker started."""
LAG = 4
"""How late the last beat came, in microseconds."""
ANSWERS = 5
"""Requests finished since the worker started, whatever the answer, and those that had to wait for a server."""
FAULTS = 6
"""Those of `ANSWERS` that l7 answered 5xx itself, not because of the client, or that waited as no server took them: an
unreachable server counts, a server's own 500 does not."""
ACCEPTING = 7
"""1 while the worker accepts connections."""
RATE = 8
"""Requests per 1000 seconds, measured over the last two seconds."""
ADOPTED = 9
"""Connections handed over to the worker by others since it started."""
CHECKED = 10
"""In the slot of a monitor process: servers that it checks."""
NAMES = 11
"""In the slot of a monitor process: names that it looks up."""
PLACES = 12
"""Client connections that the worker may have; 0 once it accepts no more."""
BUFFERED = 13
"""Bytes that the buffers of the worker hold."""
RELAYED = 14
"""Connections that other workers serve, while this one has their TLS; they count among the others' `CONNECTIONS`."""
CELLS = 16
"""Cells in a slot: two cache lines, so that no two workers write to one line."""


class Scoreboard:
    """``slots`` slots of `CELLS` integers, shared with every process forked after it was made.

    Behind them are those of ``monitors``, of which `column` tells nothing.
    """

    def __init__(self, slots: int, monitors: int = 0) -> None:
        self.slots = slots + monitors
        self._workers = slots
        self._cells = shared_cells((self.slots + 1) * CELLS)
        self._reach = self.slots * CELLS
        """The index of the cell behind the slots, which holds how many slots of workers have ever been used."""

    def slot(self, index: int) -> memoryview:
        """The cells of one worker; raises ``IndexError`` for an index out of range."""
        if not 0 <= index < self.slots:
            raise IndexError(f"slot {index} of {self.slots}")
        if self._cells[self._reach] <= index < self._workers:
            self._cells[self._reach] = index + 1  # only the master: it clears a slot before a worker gets it
        return self._cells[index * CELLS : (index + 1) * CELLS]

    def column(self, cell: int) -> list[int]:
        """One cell of every slot that a worker has ever used; accepting workers read one many times a second."""
        return self._cells[cell : self._cells[self._reach] * CELLS : CELLS].tolist()

    def idle(self, index: int) -> None:
        """Zero the gauges of a slot whose process has ended."""
        cells = self.slot(index)
        cells[CONNECTIONS] = cells[IN_FLIGHT] = cells[PLACES] = cells[BUFFERED] = cells[RELAYED] = 0

    def clear(self, index: int) -> None:
        """Zero a slot before it is assigned to a new worker."""
        cells = self.slot(index)
        for cell in range(CELLS):
            cells[cell] = 0
