"""One process's access to the shared memory's cells: it reads those of all lanes and writes those of its own.

Hot: what is counted for a request is a handful of additions to memory. ``at`` is ``row * ROW + cell`` throughout.
"""

from __future__ import annotations

from l7.sharedmem import integers
from l7.sharedmem.layout import CHANGED, CHANGES, REMEMBERED, WRITERS

# Numbers of cells as the compiler's own integers: see the .pxd.
_LANES = WRITERS
_CHANGES = CHANGES


class CounterWriter:
    """Reads and writes a shared memory with ``stride`` cells a lane, as the writer of lane ``number``."""

    __slots__ = ("_cells", "_own", "_stride", "moment")

    def __init__(self, cells: memoryview, stride: int, number: int) -> None:
        self._cells = integers.view(cells)
        self._stride = stride
        self._own = number * stride
        self.moment = 0.0
        """The monotonic time in seconds as last set by its owner: in a worker it is at most some 50 ms old."""

    def add(self, at: int, amount: int) -> None:
        """Add to a cell of this lane."""
        integers.add(self._cells, self._own + at, amount)

    def put(self, at: int, value: int) -> None:
        """Set a cell of this lane."""
        integers.store(self._cells, self._own + at, value)

    def get(self, at: int) -> int:
        """A cell of this lane."""
        return integers.load(self._cells, self._own + at)

    def read(self, number: int, at: int) -> int:
        """A cell of lane ``number``."""
        return integers.load(self._cells, number * self._stride + at)

    def total(self, at: int) -> int:
        """One cell, summed over all lanes."""
        cells = self._cells
        stride = self._stride
        total = 0
        place = at
        for _ in range(integers.load(cells, _LANES)):
            total += integers.load(cells, place)
            place += stride
        return total

    def total_where(self, at: int, key_at: int, key: int) -> int:
        """One cell, summed over the lanes in which another one is ``key``."""
        total = 0
        for writer in range(self.used):
            if self.read(writer, key_at) == key:
                total += self.read(writer, at)
        return total

    def latest(self, at: int, then: int = 0) -> int:
        """The lane in which a cell is highest; among equals the one in which the cell ``then`` is, if one is given."""
        found, highest = 0, None
        for writer in range(self.used):
            standing = (self.read(writer, at), then and self.read(writer, then))
            if highest is None or standing > highest:
                found, highest = writer, standing
        return found

    def highest(self, at: int) -> int:
        """The highest value that a cell has in any lane."""
        return max([self.read(writer, at) for writer in range(self.used)])

    @property
    def used(self) -> int:
        """How many lanes have ever been used."""
        return integers.load(self._cells, _LANES)

    @property
    def changes(self) -> int:
        """A number that differs from an earlier one when any process has changed which servers may be picked."""
        return self.total(_CHANGES)

    def changed(self, row: int) -> None:
        """Make all processes evaluate the server in ``row`` again; 0: all servers."""
        count = self.get(_CHANGES)
        self.put(CHANGED + count % REMEMBERED, row)
        self.put(_CHANGES, count + 1)

    def changed_since(self, seen: list[int]) -> set[int] | None:
        """The rows that were changed since the counts in ``seen``, one for each lane, which are brought up to date.

        None when it may be any row: a change concerned all, or there were too many to remember.
        """
        rows: set[int] = set()
        seen += [0] * (self.used - len(seen))
        for writer in range(self.used):
            before, now = seen[writer], self.read(writer, _CHANGES)
            seen[writer] = now
            # One entry less: the writer may be overwriting the oldest.
            if now - before >= REMEMBERED:
                rows.add(0)
            else:
                rows.update([self.read(writer, CHANGED + count % REMEMBERED) for count in range(before, now)])
        return None if 0 in rows else rows
