"""One process's view of the ledger's cells: it reads those of all lanes and writes those of its own.

Hot: what is counted for a request is a handful of additions to memory. ``at`` is ``row * ROW + cell`` throughout.
"""

from __future__ import annotations

from l7.balancing.cells import CHANGES, LANES
from l7.compiled import take_over

# Numbers of cells as the compiler's own integers: see the .pxd.
_LANES = LANES
_CHANGES = CHANGES


class Lane:
    """The cells of a ledger with ``stride`` cells a lane, for the writer of lane ``number``."""

    __slots__ = ("_cells", "_own", "_stride")

    def __init__(self, cells: memoryview, stride: int, number: int) -> None:
        self._cells = cells
        self._stride = stride
        self._own = number * stride

    def add(self, at: int, amount: int) -> None:
        """Add to a cell of our own."""
        self._cells[self._own + at] += amount

    def put(self, at: int, value: int) -> None:
        """Set a cell of our own."""
        self._cells[self._own + at] = value

    def get(self, at: int) -> int:
        """A cell of our own."""
        return self._cells[self._own + at]

    def read(self, number: int, at: int) -> int:
        """A cell of lane ``number``."""
        return self._cells[number * self._stride + at]

    def total(self, at: int) -> int:
        """One cell, summed over all lanes."""
        cells = self._cells
        stride = self._stride
        total = 0
        place = at
        for _ in range(cells[_LANES]):
            total += cells[place]
            place += stride
        return total

    def total_where(self, at: int, key_at: int, key: int) -> int:
        """One cell, summed over the lanes in which another one is ``key``."""
        return sum(self.read(lane, at) for lane in range(self.used) if self.read(lane, key_at) == key)

    def latest(self, at: int) -> int:
        """The lane in which a cell is highest."""
        return max(range(self.used), key=lambda lane: self.read(lane, at))

    @property
    def used(self) -> int:
        """How many lanes there may be something in."""
        return self._cells[_LANES]

    @property
    def changes(self) -> int:
        """A number that is another one when somebody has changed who may be picked."""
        return self.total(_CHANGES)

    def changed(self) -> None:
        """Let everybody look again at who may be picked."""
        self.add(_CHANGES, 1)


take_over(globals())
