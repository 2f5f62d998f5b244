"""The shared memory: counters and states of servers and backends, written and read by all processes without a lock.

A row is a server or a backend, a lane is the part of one writer: lane 0 the master's, lane 1 the monitor process's,
then one for each slot of the scoreboard. Each cell has one writer, so a process that dies cannot corrupt what others
wrote; an aligned store of 8 bytes is atomic on every machine that Linux runs on. Counters are never cleared as long as
a row belongs to the same server: a lane that gets a new worker counts on where the last one ended, so sums never go
backwards.

It grows while it is used. A block is `LANES` lanes, tile after tile (`l7.sharedmem.layout`), so more rows are more of
the same file behind those that there are, and each block has its own place in the file: nothing that was written ever
moves. A process maps what it needs: the master before it gives away a row or a lane, others when they are told of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from l7.sharedmem.challenges import ChallengeTable
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import (
    EJECTED_AT,
    EJECTED_GOOD,
    EJECTED_UNTIL,
    GAUGES,
    LANE,
    LANES,
    ROW,
    ROWS_A_PAGE,
    TILE,
    WRITERS,
    place,
)
from l7.sharedmem.mapping import SharedFile
from l7.sharedmem.rate_limits import RateLimitTable
from l7.sharedmem.server_history import ServerHistory
from l7.sharedmem.span_channel import SpanChannel
from l7.sharedmem.traffic_history import TrafficHistory

MASTER = 0
MONITOR = 1
FIRST_WORKER = 2
"""The lane of the worker in slot 0 of the scoreboard."""

OF_LANE = 0
"""The row about the lane itself: changes."""
UNROUTED = 1
"""The row for requests without a backend."""
OF_MASTER = 2
"""The row of `l7.sharedmem.master_gauges`."""
OF_TLS = 3
"""The row of what clients' TLS handshakes came to: `l7.tls.counters`."""
FIRST_ROW = 4
"""The first row that can be given to a server or a backend."""

LEAST_ROWS = 512
"""Rows that are mapped at least: 16 MiB of address space for each `LANES` lanes."""
MOST_ROWS = 1 << 20
"""Rows that a block has room for in the file."""


class WrittenRows:
    """Which rows may hold more than zeros: known by the pages that the file has, so some of the others are among them.

    :param extents: the first cell of each run of pages within its block, and how many cells they are.
    """

    def __init__(self, extents: Iterable[tuple[int, int]]) -> None:
        self._tiles: set[int] = set()
        for first, count in extents:
            self._tiles.update(range(first // TILE, (first + count - 1) // TILE + 1))

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and row // ROWS_A_PAGE in self._tiles

    def __iter__(self) -> Iterator[int]:
        for tile in self._tiles:
            yield from range(tile * ROWS_A_PAGE, (tile + 1) * ROWS_A_PAGE)


class SharedMemory:
    """The rows and lanes of this process, shared with each process forked after it was made.

    :raises OSError: there is no memory, or no address space for it.
    """

    def __init__(self) -> None:
        self.rows = LEAST_ROWS
        """Rows that this process has mapped."""
        self.challenges = ChallengeTable()
        """What is answered to an authority that asks."""
        self.rate_limits = RateLimitTable()
        """What clients have used of rate limits: the one memory whose cells have several writers."""
        self.history = ServerHistory()
        """How the states of servers have changed."""
        self.traffic = TrafficHistory()
        """How much traffic there was in the last minutes."""
        self.spans = SpanChannel()
        """How spans get from workers to the monitor process."""
        self._file = SharedFile("l7-counters")
        self._blocks: list[memoryview] = []
        self._writers: dict[int, CounterWriter] = {}
        self.open(MONITOR)

    def writer(self, lane: int) -> CounterWriter:
        """The access to all cells as the writer of ``lane``, which is open; always the same object."""
        if lane not in self._writers:
            self._writers[lane] = CounterWriter(self._blocks, lane, self.reserve_lanes)
        return self._writers[lane]

    def reserve(self, rows: int) -> None:
        """Map at least ``rows`` rows; raises ``OSError``, and leaves what is mapped as it is, when that cannot be.

        Processes that have mapped fewer go on with those.
        """
        if rows > self.rows:
            room = self.rows
            while room < rows:
                room *= 2
            self._map(len(self._blocks), min(room, MOST_ROWS))

    def reserve_lanes(self, lanes: int) -> None:
        """Map at least ``lanes`` lanes; raises ``OSError``."""
        blocks = (lanes + LANES - 1) // LANES
        if blocks > len(self._blocks):
            self._map(blocks, self.rows)

    def _map(self, blocks: int, rows: int) -> None:
        size, room = rows // ROWS_A_PAGE * TILE, MOST_ROWS // ROWS_A_PAGE * TILE
        kept = self._blocks if rows == self.rows else []
        self._blocks = kept + [self._file.map(block * room, size) for block in range(len(kept), blocks)]
        self.rows = rows
        for writer in self._writers.values():
            writer.use(self._blocks)

    def written(self) -> WrittenRows:
        """The rows that any process has written to until now: to read another one would only take memory."""
        room = MOST_ROWS // ROWS_A_PAGE * TILE
        size = self.rows // ROWS_A_PAGE * TILE
        extents = [
            (first - block * room, count)
            for block in range(len(self._blocks))
            for first, count in self._file.extents(block * room, size)
        ]
        return WrittenRows(extents)

    # --- for the master ---------------------------------------------------------------------------------------------

    def open(self, lane: int) -> None:
        """Prepare a lane for a new writer; raises ``OSError`` when there is no room for it."""
        self.reserve_lanes(lane + 1)
        self._blocks[0][WRITERS] = max(self._blocks[0][WRITERS], lane + 1)

    def retire(self, lane: int, rows: Iterable[int]) -> None:
        """Zero the gauges of a lane whose writer has ended; its ejections are copied to the master's lane."""
        block, kept = self._blocks[lane // LANES], self._blocks[0]
        written = self.written()
        for row in rows:
            if row not in written:
                continue
            at, own = lane % LANES * LANE + place(row), MASTER * LANE + place(row)
            if _ejection(block, at) > _ejection(kept, own):
                for cell in range(EJECTED_AT, EJECTED_GOOD + 1):
                    kept[own + cell] = block[at + cell]
            for cell in range(GAUGES):
                if block[at + cell]:
                    block[at + cell] = 0
        self.writer(MASTER).changed(OF_LANE)

    def clear(self, *rows: int) -> None:
        """Zero rows in all lanes, because they are assigned to other servers.

        All that a reload assigns are cleared at once: to find out what there is to clear takes a millisecond.
        """
        self.traffic.clear(set(rows))
        written, zeros = self.written(), memoryview(bytes(ROW * 8)).cast("q")
        for row in rows:
            self.history.clear(row)
            for lane in range(self._blocks[0][WRITERS]) if row in written else ():
                at = lane % LANES * LANE + place(row)
                self._blocks[lane // LANES][at : at + ROW] = zeros


def _ejection(block: memoryview, at: int) -> tuple[int, int]:
    """When, and until when, a server was last ejected."""
    return block[at + EJECTED_AT], block[at + EJECTED_UNTIL]
