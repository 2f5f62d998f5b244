"""One process's access to the shared memory's cells: it reads those of all lanes and writes those of its own.

Hot: what is counted for a request is a handful of additions to memory. ``at`` is what
`l7.sharedmem.layout.place` gives throughout.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from l7.sharedmem import integers
from l7.sharedmem.layout import CHANGED, CHANGES, LANE, LANES, REMEMBERED, ROW, WRITERS

# Numbers of cells as the compiler's own integers: see the .pxd.
_CHANGES = CHANGES
_LANE = LANE
_LANES = LANES
_WRITERS = WRITERS


def _maps_no_more(lanes: int) -> None:
    """Do not map ``lanes`` lanes: memory that does not grow."""


class CounterWriter:
    """Reads all lanes that were ever opened, and writes lane ``number``.

    :param blocks: the memory by blocks of `LANES` lanes.
    :param reserve_lanes: maps as many lanes as it is told, which calls `use`; raises ``OSError``.
    """

    __slots__ = ("_blocks", "_first", "_mapped", "_own", "_own_at", "_reserve_lanes", "moment", "number")

    def __init__(
        self, blocks: Sequence[memoryview], number: int, reserve_lanes: Callable[[int], None] = _maps_no_more
    ) -> None:
        self.number = number
        self._own_at = number % _LANES * _LANE
        self._reserve_lanes = reserve_lanes
        self.moment = 0.0
        """The monotonic time in seconds as last set by its owner: in a worker it is at most some 50 ms old."""
        self.use(blocks)

    def use(self, blocks: Sequence[memoryview]) -> None:
        """Go on with these views of the same memory, because more of it was mapped."""
        self._blocks = [integers.view(block) for block in blocks]
        self._first = self._blocks[0]
        self._own = self._blocks[self.number // _LANES]
        self._mapped = len(self._blocks) * _LANES

    # --- cells of this lane -----------------------------------------------------------------------------------------

    def add(self, at: int, amount: int) -> None:
        """Add to a cell of this lane."""
        integers.add(self._own, self._own_at + at, amount)

    def put(self, at: int, value: int) -> None:
        """Set a cell of this lane."""
        integers.store(self._own, self._own_at + at, value)

    def get(self, at: int) -> int:
        """A cell of this lane."""
        return integers.load(self._own, self._own_at + at)

    # --- cells of all lanes -----------------------------------------------------------------------------------------

    def lanes(self) -> int:
        """How many lanes were ever opened; those above are zero."""
        lanes = integers.load(self._first, _WRITERS)
        return lanes if lanes <= self._mapped else self._map(lanes)

    def _map(self, lanes: int) -> int:
        """Map lanes that were opened after this process was forked; returns how many can be read."""
        with contextlib.suppress(OSError):  # without memory for them, what they count is not seen
            self._reserve_lanes(lanes)
        return min(lanes, self._mapped)

    def read(self, lane: int, at: int) -> int:
        """A cell of a lane below `lanes`."""
        if lane < _LANES:
            return integers.load(self._first, lane * _LANE + at)
        return integers.load(self._blocks[lane // _LANES], lane % _LANES * _LANE + at)

    def total(self, at: int) -> int:
        """One cell, summed over all lanes."""
        left = self.lanes()
        total = 0
        if left <= _LANES:
            end = at + left * _LANE
            while at < end:
                total += integers.load(self._first, at)
                at += _LANE
            return total
        for block in self._blocks:
            place = at
            end = at + (left if left < _LANES else _LANES) * _LANE
            while place < end:
                total += integers.load(block, place)
                place += _LANE
            left -= _LANES
            if left <= 0:
                break
        return total

    def column(self, at: int) -> list[int]:
        """One cell in each lane."""
        return [self.read(lane, at) for lane in range(self.lanes())]

    def row(self, at: int) -> list[int]:
        """All cells of the row that begins at ``at``, each summed over all lanes."""
        lanes = [(self._blocks[lane // _LANES], lane % _LANES * _LANE + at) for lane in range(self.lanes())]
        return list(map(sum, zip(*(block[first : first + ROW].tolist() for block, first in lanes), strict=True)))

    def total_where(self, at: int, key_at: int, key: int) -> int:
        """One cell, summed over the lanes in which another one is ``key``."""
        return sum([self.read(lane, at) for lane in range(self.lanes()) if self.read(lane, key_at) == key])

    def latest(self, at: int, then: int = 0) -> int:
        """The lane in which a cell is highest; among equals the one in which the cell ``then`` is, if one is given."""
        return max(range(self.lanes()), key=lambda lane: (self.read(lane, at), then and self.read(lane, then)))

    def highest(self, at: int) -> int:
        """The highest value that a cell has in any lane."""
        return max(self.column(at))

    # --- changes of servers -----------------------------------------------------------------------------------------

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
        lanes = self.lanes()
        seen += [0] * (lanes - len(seen))
        for lane in range(lanes):
            before, now = seen[lane], self.read(lane, _CHANGES)
            seen[lane] = now
            # One entry less: the writer may be overwriting the oldest.
            if now - before >= REMEMBERED:
                rows.add(0)
            else:
                rows.update([self.read(lane, CHANGED + count % REMEMBERED) for count in range(before, now)])
        return None if 0 in rows else rows
