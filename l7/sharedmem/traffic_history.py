"""How much traffic there was in the last minutes, and how it went: a sample every `INTERVAL` seconds for each row of
the shared memory (`l7.sharedmem.memory`) that had any, in memory of its own.

One process writes and reads it, the monitor process; the master takes out a row that it gives to another server. It
outlives both, so a reload leaves no gap but that of the moment in which no monitor process is at work.

Time is cut into *rounds* of `INTERVAL` seconds of the monotonic clock. Which rounds were looked at, and how long each
look was behind the one before, is noted once for all rows: a row without a sample of a round that was looked at had no
traffic in it, so rows without traffic cost nothing. A row gets a place when it has traffic, and the places are bounded:
one whose last sample is older than what is shown is given away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from l7.sharedmem.mapping import SharedFile

INTERVAL = 2.0
"""Seconds of a round."""
SHOWN = 150
"""Rounds that are shown: five minutes."""
TOTALS = 0
"""Stands for the row of all traffic together; the row of this number is no server's."""
PLACES = 4096
"""Rows that have samples at the same time: 4 KiB each."""

_WORDS = 3
_KEPT = 170
"""Rounds that are kept: what fits into a page."""
_PAGE = 512
_HEADS_AT = _PAGE
"""Behind the rounds stands for each place the row that it is of and the round of its last sample; 0: of none."""
_PLACES_AT = _HEADS_AT + PLACES
_LOW = 0xFFFFFFFF
_SIZE = _PLACES_AT + PLACES * _PAGE

_EMPTY = memoryview(bytes(_PAGE * 8)).cast("q")

assert SHOWN < _KEPT
assert _KEPT * _WORDS <= _PAGE


class TrafficSample(NamedTuple):
    """What there was in one round: counts, and quantiles in microseconds, -1 where there are none."""

    requests: int = 0
    errors: int = 0
    refused: int = 0
    p50: int = -1
    p99: int = -1


class TrafficHistory:
    """The samples of all rows, shared with each process forked after it was made.

    :raises OSError: the system has no descriptor, memory or address space left.
    """

    def __init__(self) -> None:
        self._words = SharedFile("l7-traffic-history").map(0, _SIZE)
        self._places: dict[int, int] | None = None
        """Where rows are: found when this process looks for the first time."""
        self._free: list[int] = []
        self._looked = -1
        """The round in which free places were last looked for."""

    # --- for the monitor process ------------------------------------------------------------------------------------

    def note_round(self, number: int, seconds: float) -> None:
        """Note that a round was looked at, ``seconds`` after the look before."""
        self._words[number % _KEPT] = number << 32 | min(int(seconds * 1000), _LOW)

    def rounds(self, last: int) -> list[tuple[int, float]]:
        """The last `SHOWN` rounds up to ``last``, the oldest first: its number, and its seconds; 0 if not looked at."""
        found = []
        for number in range(last - SHOWN + 1, last + 1):
            word = self._words[number % _KEPT] if number >= 0 else 0
            found.append((number, (word & _LOW) / 1000 if word >> 32 == number else 0.0))
        return found

    def write(self, row: int, number: int, sample: TrafficSample) -> bool:
        """Write the sample of a round; False where all places are taken by rows that had traffic just now."""
        place = self._find(row)
        if place is None:
            place = self._take(row, number)
        if place is None:
            return False
        at = _PLACES_AT + place * _PAGE + number % _KEPT * _WORDS
        self._words[at] = number << 32 | min(sample.requests, _LOW)
        self._words[at + 1] = min(sample.errors, 0x7FFFFFFF) << 32 | min(sample.refused, _LOW)
        self._words[at + 2] = min(sample.p50, 0x7FFFFFFF) << 32 | sample.p99 & _LOW
        self._words[_HEADS_AT + place] = number << 32 | row + 1
        return True

    def samples(self, row: int, first: int = 0) -> dict[int, TrafficSample]:
        """The samples of a row that are there, by round, from the round ``first`` on; old ones may be among them."""
        place = self._find(row)
        return {} if place is None else dict(self._of(place, first))

    def _of(self, place: int, first: int) -> Iterator[tuple[int, TrafficSample]]:
        begin = _PLACES_AT + place * _PAGE
        words = iter(self._words[begin : begin + _KEPT * _WORDS].tolist())
        least = first << 32 or 1
        for head, second, third in zip(words, words, words, strict=True):
            if head >= least:
                p99 = third & _LOW
                yield (
                    head >> 32,
                    TrafficSample(head & _LOW, second >> 32, second & _LOW, third >> 32, -1 if p99 == _LOW else p99),
                )

    def _find(self, row: int) -> int | None:
        if self._places is None:
            heads = self._words[_HEADS_AT:_PLACES_AT].tolist()
            self._places = {(head & _LOW) - 1: place for place, head in enumerate(heads) if head}
        place = self._places.get(row)
        # The master may have taken it out.
        return place if place is not None and (self._words[_HEADS_AT + place] & _LOW) - 1 == row else None

    def _take(self, row: int, number: int) -> int | None:
        """A place for a row: a free one, or one that has been without traffic for longer than is shown."""
        assert self._places is not None
        if not self._free and number > self._looked:
            self._looked = number
            heads = self._words[_HEADS_AT:_PLACES_AT].tolist()
            old = [place for place in range(PLACES) if not heads[place] or heads[place] >> 32 <= number - SHOWN]
            self._free = sorted(old, key=heads.__getitem__, reverse=True)
        while self._free:
            place = self._free.pop()
            head = self._words[_HEADS_AT + place]
            if not head or head >> 32 <= number - SHOWN:  # else its row had traffic again meanwhile
                break
        else:
            return None
        self._places.pop((head & _LOW) - 1, None)
        begin = _PLACES_AT + place * _PAGE
        if self._words[begin : begin + _PAGE] != _EMPTY:
            self._words[begin : begin + _PAGE] = _EMPTY
        self._places[row] = place
        return place

    # --- for the master ---------------------------------------------------------------------------------------------

    def clear(self, rows: Collection[int]) -> None:
        """Forget rows, because they are given to other servers."""
        for place, head in enumerate(self._words[_HEADS_AT:_PLACES_AT].tolist()):
            if head and (head & _LOW) - 1 in rows:
                self._words[_HEADS_AT + place] = 0
