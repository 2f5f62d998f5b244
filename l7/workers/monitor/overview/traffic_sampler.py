"""Looks every few seconds at what routes and servers have counted, and keeps what came of it (`TrafficHistory`).

Only rows of the shared memory that anybody has written to are looked at, and of those one number unless it has grown.
"""

from __future__ import annotations

import sys
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import gevent

from l7.clock import monotonic
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import RowKey
from l7.sharedmem.memory import UNROUTED
from l7.sharedmem.traffic_history import INTERVAL, TOTALS, TrafficHistory, TrafficSample
from l7.telemetry.quantiles import quantile
from l7.workers.runtime.pause import pause

WINDOW = 5
"""Rounds over which present rates and quantiles are taken: ten seconds."""
ROWS = 25
"""Rows that are read in one go: about a millisecond."""
LOOKED = 400
"""Rows that are looked at in one go."""

_NEITHER, _ROUTE, _SERVER = range(3)
_LOOK = {_ROUTE: layout.DURATION_SUM, _SERVER: layout.REQUESTS}
"""What has grown of a row if anything has: no request takes less than a microsecond."""
_REQUESTS, _ERRORS, _REFUSED, _BUCKETS = range(4)
_COUNTS = _BUCKETS + len(layout.BOUNDS) + 1
_ZEROS = array("q", bytes(8 * _COUNTS))
_MICRO = [bound * 1e6 for bound in layout.BOUNDS]


class PresentTraffic(NamedTuple):
    """How much there was in the last rounds, a second, and how long it took, in seconds; None where there was none."""

    rate: float = 0.0
    errors: float = 0.0
    refused: float = 0.0
    p50: float | None = None
    p99: float | None = None


class _RowCounts:
    """What a row had counted when it was last read, and what it did in the last rounds."""

    __slots__ = ("counts", "look_at", "recent", "seen", "under_way")

    def __init__(self, look_at: int = 0) -> None:
        self.look_at = look_at
        """The cell that has grown if anything has: see `_LOOK`."""
        self.seen = 0
        """What it was."""
        self.under_way = False
        """Whether requests were under way, whose outcome may come without another one."""
        self.counts: array[int] = _ZEROS
        self.recent: tuple[tuple[int, array[int]], ...] = ()

    def remember(self, number: int, grown: array[int]) -> None:
        """Note what was counted in a round."""
        self.recent = (*(one for one in self.recent if one[0] > number - WINDOW), (number, grown))


class TrafficSampler:
    """The samples of all rows.

    :param rows: finds the rows that anybody has written to.
    :param key_of: what a row is of; a key of no parts or an empty one where it is of no route and no server.
    """

    def __init__(
        self, writer: CounterWriter, history: TrafficHistory, rows: Callable[[], Iterable[int]],
        key_of: Callable[[int], RowKey],
    ) -> None:  # fmt: skip
        self._writer = writer
        self._history = history
        self._rows = rows
        self._key_of = key_of
        self._known: dict[int, _RowCounts] = {}
        self._kinds: dict[int, int] = {UNROUTED: _ROUTE}
        self._total = _RowCounts()
        self._looks: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        """The last rounds that were looked at, and how many seconds each was."""
        self._rounds: list[tuple[int, float]] = []
        """Those that are shown."""
        self._unplaced: set[int] = set()
        """Rows that had traffic and for whose samples there was no room."""

    def start(self) -> None:
        """Begin. What was counted before is of no round: nobody knows when it was."""
        gevent.spawn(self._run)

    @property
    def last(self) -> int:
        """The last round that was looked at; that which has just ended where there is none."""
        return self._looks[-1][0] if self._looks else int(monotonic() / INTERVAL) - 1

    def forget(self, row: int) -> None:
        """Forget what is known of a row, because it is given to another server."""
        self._known.pop(row, None)
        self._kinds.pop(row, None)

    # --- looking ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self.begin()
        before = monotonic()
        while True:
            gevent.sleep(INTERVAL - monotonic() % INTERVAL)
            now = monotonic()
            if now - before > INTERVAL / 10:
                try:
                    self.look(int(now / INTERVAL) - 1, now - before)
                except Exception:  # a fault of ours costs one round, and is told to the operator
                    sys.excepthook(*sys.exc_info())
                before = now

    def begin(self) -> None:
        """Take what is counted now for the beginning."""
        for number, row in enumerate(self._rows(), 1):
            known = self._of(row)
            if known is not None and self._has_changed(known):
                grown = self._difference(row, known)
                if self._kinds[row] == _ROUTE:
                    self._total.counts = _sum(self._total.counts, grown)
            if number % ROWS == 0:
                pause()

    def look(self, number: int, seconds: float) -> None:
        """Note what was counted in a round, the last look before which was ``seconds`` ago."""
        total, read = _ZEROS, 0
        for looked, row in enumerate(self._rows(), 1):
            known = self._known.get(row) or self._of(row)
            if known is not None and self._has_changed(known):
                grown = self._difference(row, known)
                if any(grown):
                    self._note(row, known, number, grown)
                    if self._kinds[row] == _ROUTE:
                        total = _sum(total, grown)
                read += 1
            if read == ROWS or looked % LOOKED == 0:
                read = 0
                pause()
        self._total.counts = _sum(self._total.counts, total)
        self._total.remember(number, total)
        self._history.write(TOTALS, number, _sample_of(total))
        self._history.note_round(number, seconds)
        self._looks.append((number, seconds))

    def _note(self, row: int, known: _RowCounts, number: int, grown: array[int]) -> None:
        known.remember(number, grown)
        if self._history.write(row, number, _sample_of(grown)):
            self._unplaced.discard(row)
        else:
            self._unplaced.add(row)

    def _has_changed(self, known: _RowCounts) -> bool:
        return known.under_way or self._writer.total(known.look_at) != known.seen

    def _of(self, row: int) -> _RowCounts | None:
        """What is known of a row; None where it is of no route and no server."""
        known = self._known.get(row)
        if known is None:
            kind = self._kind(row)
            if kind == _NEITHER:
                return None
            known = self._known[row] = _RowCounts(layout.place(row, _LOOK[kind]))
        return known

    def _difference(self, row: int, known: _RowCounts) -> array[int]:
        """What a row has counted since it was last read."""
        kind, cells = self._kinds[row], self._writer.row(layout.place(row))
        now = _counts_of_server(cells) if kind == _SERVER else _counts_of_route(cells)
        before, known.counts, known.seen = known.counts, now, cells[_LOOK[kind]]
        known.under_way = kind == _SERVER and cells[layout.IN_FLIGHT] > 0
        grown = array("q", map(int.__sub__, now, before))
        # Only a row that was given to another server counts less than before.
        return now if min(grown) < 0 else grown

    def _kind(self, row: int) -> int:
        found = self._kinds.get(row)
        if found is None:
            key = self._key_of(row)
            found = _SERVER if len(key) > 1 else _ROUTE if key and key[0] else _NEITHER
            if found != _NEITHER:  # else it may yet be given to something
                self._kinds[row] = found
        return found

    # --- telling ------------------------------------------------------------------------------------------------------

    def requests(self, row: int) -> int:
        """The requests that a row had counted at the last look; of a server each attempt, of `TOTALS` all."""
        if row == TOTALS:
            return self._total.counts[_REQUESTS]
        known = self._known.get(row)
        return 0 if known is None else known.counts[_REQUESTS]

    def lately(self, row: int) -> tuple[int, int]:
        """How many errors and requests a row had in the last rounds, to put rows in an order by: cheaper than `now`."""
        known = self._known.get(row)
        if known is None or not known.recent:
            return 0, 0
        after = self.last - WINDOW
        grown = [one for number, one in known.recent if number > after]
        return sum([one[_ERRORS] for one in grown]), sum([one[_REQUESTS] for one in grown])

    def now(self, row: int) -> PresentTraffic:
        """What a row has done in the last `WINDOW` rounds; `TOTALS` for all routes together."""
        known = self._total if row == TOTALS else self._known.get(row)
        if known is None or not known.recent or not self._looks:
            return PresentTraffic()
        seconds = dict(self._looks)
        grown = [one for number, one in known.recent if number in seconds]
        if not grown:
            return PresentTraffic()
        sums = [sum(column) for column in zip(*grown, strict=True)]
        time = sum(seconds.values())
        buckets = sums[_BUCKETS:]
        return PresentTraffic(
            sums[_REQUESTS] / time, sums[_ERRORS] / time, sums[_REFUSED] / time,
            _seconds(quantile(0.5, buckets, layout.BOUNDS)), _seconds(quantile(0.99, buckets, layout.BOUNDS)),
        )  # fmt: skip

    def plot(self, row: int, most: int) -> dict[str, list[float | None]]:
        """The last ``most`` rounds of a row, oldest first: None where not known, nothing without traffic."""
        if not self._rounds or self._rounds[-1][0] != self.last:
            self._rounds = self._history.rounds(self.last)
        rounds = self._rounds[-most:]
        samples = {} if row in self._unplaced else self._history.samples(row, rounds[0][0])
        found = [(samples.get(number, _NOTHING) if seconds else None, seconds) for number, seconds in rounds]
        if not any(number in samples for number, _ in rounds):
            found = []
        return {
            "rate": [one and _a_second(one.requests, seconds) for one, seconds in found],
            "errors": [one and _a_second(one.errors, seconds) for one, seconds in found],
            "p50": [one.p50 / 1e6 if one and one.p50 >= 0 else None for one, _ in found],
            "p99": [one.p99 / 1e6 if one and one.p99 >= 0 else None for one, _ in found],
        }


def _a_second(count: int, seconds: float) -> float:
    """A count as a rate; most are 0."""
    return round(count / seconds, 2) if count else 0.0


_NOTHING = TrafficSample()


def _seconds(value: float | None) -> float | None:
    """A time as it is shown: in microseconds."""
    return None if value is None else round(value, 6)


def _sum(one: array[int], other: array[int]) -> array[int]:
    return array("q", map(int.__add__, one, other))


def _counts_of_route(cells: Sequence[int]) -> array[int]:
    statuses = cells[layout.STATUS : layout.STATUS + 6]
    refused = sum(cells[layout.REFUSED : layout.REFUSED + len(layout.RULES)])
    buckets = cells[layout.DURATION : layout.DURATION + len(layout.BOUNDS) + 1]
    # A request without an answer (0) is none: nearly all of those are clients that left.
    return array("q", [sum(statuses), statuses[5], refused, *buckets])


def _counts_of_server(cells: Sequence[int]) -> array[int]:
    failed = (layout.FAILED_CONNECT, layout.FAILED_TIMEOUT, layout.FAILED_RESPONSE, layout.ANSWERED_5XX)
    buckets = cells[layout.FIRST_BYTE : layout.FIRST_BYTE + len(layout.BOUNDS) + 1]
    return array("q", [cells[layout.REQUESTS], sum([cells[one] for one in failed]), 0, *buckets])


def _sample_of(grown: Sequence[int]) -> TrafficSample:
    buckets = grown[_BUCKETS:]
    p50, p99 = quantile(0.5, buckets, _MICRO), quantile(0.99, buckets, _MICRO)
    return TrafficSample(
        grown[_REQUESTS], grown[_ERRORS], grown[_REFUSED], -1 if p50 is None else round(p50),
        -1 if p99 is None else round(p99),
    )  # fmt: skip
