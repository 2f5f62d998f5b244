"""Reads the recorder's memory while it is written, without a lock: never half a record.

Whoever reads takes nothing from those who write: a reader that is slow misses records, and knows how many.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from l7.ipc.processes import runs
from l7.telemetry.recorder import layout as words
from l7.telemetry.recorder.records import RequestRecord, record_of
from l7.telemetry.recorder.request_filter import RequestFilter

_RINGS = ((words.H_FAILURES, words.FAILURES_AT), (words.H_REQUESTS, words.REQUESTS_AT))


class LaneSource(Protocol):
    """What has the lanes of a recorder (`l7.telemetry.recorder.memory`)."""

    def lanes(self) -> list[memoryview]:
        """The words of each lane that was opened until now."""


AT_A_TIME = 16
"""Places of a ring that are read between two pauses: about a millisecond."""
SCANNED_AT_A_TIME = 1024
"""Places of which only times are read between two pauses."""


def _no_pause() -> None:
    """Go on at once."""


@dataclass(frozen=True)
class News:
    """Records that have ended since the last look, in the order of their ends, and how many others were missed."""

    records: list[RequestRecord]
    missed: int


class LaneReader:
    """Reads one lane; ``pause`` is called now and then, for those who have other things to do meanwhile."""

    def __init__(self, lane: memoryview, pause: Callable[[], None] = _no_pause) -> None:
        self._lane = lane
        self._pause = pause
        self._epoch = -1
        self._names: dict[int, str] = {}
        self._seen = self._count = 0
        """Cells and records of the ring of all requests that were read."""

    def _name(self, at: int) -> str:
        """A text of the configuration; empty for none."""
        if not 0 < at < words.TEXT_BYTES - 2:
            return ""
        found = self._names.get(at)
        if found is None:
            begin = words.TEXTS_AT + at // 8
            raw = bytes(self._lane[begin : begin + words.LONGEST_TEXT // 8 + 3])[at % 8 :]
            size = min(int.from_bytes(raw[:2], "little"), words.LONGEST_TEXT)
            found = self._names[at] = raw[2 : 2 + size].decode("utf-8", "replace")
        return found

    def _follow(self) -> None:
        """Forget what was known of a lane that was begun anew."""
        epoch = self._lane[words.H_EPOCH]
        if epoch != self._epoch:
            self._epoch = epoch
            self._names = {}
            self._seen = self._count = 0

    @property
    def is_written(self) -> bool:
        """Whether the process that writes it is there; True where that cannot be known."""
        return runs(self._lane[words.H_PID])

    def _in_ring(self, head: int, ring: int, places: Iterable[int], needle: bytes = b"") -> Iterator[RequestRecord]:
        """The records that begin at some places of a ring; with a ``needle`` those that may hold it."""
        capacity = self._lane[head + words.CAPACITY]
        for number, place in enumerate(places, 1):
            if not number % AT_A_TIME:
                self._pause()
            state = self._lane[ring + place]
            if not state or state % 2:
                continue
            begin = ring + capacity + place * words.CELL
            end = min(begin + words.SLOT, ring + capacity + capacity * words.CELL)
            raw = bytes(self._lane[begin:end])
            if self._lane[ring + place] == state and needle in raw:
                with contextlib.suppress(IndexError, ValueError):  # of a lane that is begun anew just now
                    yield record_of(memoryview(raw).cast("q"), None, self._name)

    def finished(self, needle: bytes = b"") -> Iterator[RequestRecord]:
        """Yield all records of requests that have ended, failures twice, in no order.

        With a ``needle`` all in which it stands are among them, and few others.
        """
        self._follow()
        for head, ring in _RINGS:
            yield from self._in_ring(head, ring, range(self._lane[head + words.CAPACITY]), needle)

    def during(self, first: float, last: float) -> Iterator[RequestRecord]:
        """Yield the requests, failures twice, that were there at some moment from ``first`` to ``last``.

        Times are seconds since 1970. Few others are looked at, so it costs milliseconds.
        """
        self._follow()
        begin, end = int(first * 1e6), int(last * 1e6)
        for head, ring in _RINGS:
            capacity = self._lane[head + words.CAPACITY]
            for first_place in range(0, capacity, SCANNED_AT_A_TIME):
                self._pause()
                at = ring + first_place
                states = self._lane[at : min(at + SCANNED_AT_A_TIME, ring + capacity)].tolist()
                places = [
                    place
                    for place, state in enumerate(states, first_place)
                    if state and self._was_there(ring + capacity + place * words.CELL, begin, end)
                ]
                yield from self._in_ring(head, ring, places)
        yield from (one for one in self.under_way() if one.started <= last)

    def _was_there(self, at: int, begin: int, end: int) -> bool:
        """Whether the request of a cell was there within a time, in microseconds."""
        started = self._lane[at + words.STARTED]
        return started <= end and started + self._lane[at + words.TOTAL] >= begin

    def newest(self, wanted: RequestFilter, *, failed: bool = False) -> Iterator[RequestRecord]:
        """Yield the records of ended requests that a filter takes, or of those alone that failed, the last one first.

        What cannot be wanted is not read: a record is a tenth of a millisecond.
        """
        self._follow()
        head, ring = _RINGS[0 if failed else 1]
        capacity, written = self._lane[head + words.CAPACITY], self._lane[head + words.WRITTEN]
        places: Iterable[int] = (at % capacity for at in range(written - 1, max(written - capacity, 0) - 1, -1))
        if wanted.status or wanted.slower:
            places = self._that_may_fit(places, ring + capacity, wanted)
        yield from filter(wanted.takes, self._in_ring(head, ring, places, wanted.needle))

    def _that_may_fit(self, places: Iterable[int], cells: int, wanted: RequestFilter) -> Iterator[int]:
        """Those of some places whose status and time are wanted; some have none, and are left to who reads them."""
        least = int(wanted.slower * 1e6) - 1
        for number, place in enumerate(places, 1):
            if not number % SCANNED_AT_A_TIME:
                self._pause()
            at = cells + place * words.CELL
            if self._lane[at + words.TOTAL] >= least and wanted.takes_status(self._lane[at + words.WORKER] >> 48):
                yield place

    def under_way(self) -> Iterator[RequestRecord]:
        """Yield what is known of requests that have not ended."""
        self._follow()
        for slot in range(1, min(self._lane[words.H_SLOTS], words.MOST_UNDER_WAY)):
            base = words.UNDER_WAY_AT + slot * words.SLOT
            state = self._lane[base]
            if state and state % 2 == 0:
                copied = memoryview(bytes(self._lane[base : base + words.SLOT])).cast("q")
                # Another request in the slot has other words there.
                same = [self._lane[base + at] == copied[at] for at in (words.STATE, words.STARTED, words.CONNECTION)]
                if all(same):
                    yield record_of(copied, words.TEXTS, self._name)

    def lost(self) -> Iterator[RequestRecord]:
        """Yield the requests that were under way when the process that wrote it ended."""
        if not self.is_written:
            for one in self.under_way():
                yield replace(one, under_way=False, died=True, code="IH" if one.attempts else "IR")

    def skip(self) -> None:
        """Take all that is there for read."""
        self._follow()
        self._count = self._lane[words.H_REQUESTS + words.COUNT]
        self._seen = self._lane[words.H_REQUESTS + words.WRITTEN]

    def news(self) -> News:
        """What has ended since the last look."""
        self._follow()
        capacity, written, count = self._lane[words.H_REQUESTS : words.H_REQUESTS + 3].tolist()
        if written <= self._seen or not capacity:
            return News([], 0)
        first = max(self._seen, written - capacity)
        places = [at % capacity for at in range(first, written)]
        records = list(self._in_ring(words.H_REQUESTS, words.REQUESTS_AT, places))
        missed = max(count - self._count - len(records), 0)
        self._seen, self._count = written, count
        return News(records, missed)


class RecorderReader:
    """Reads all lanes; ``pause`` as for one."""

    def __init__(self, source: LaneSource, pause: Callable[[], None] = _no_pause) -> None:
        self._source = source
        self._pause = pause
        self._readers: list[LaneReader] = []

    def lanes(self) -> list[LaneReader]:
        """A reader of each lane that was opened until now."""
        self._readers += [LaneReader(lane, self._pause) for lane in self._source.lanes()[len(self._readers) :]]
        return self._readers

    def finished(self, needle: bytes = b"") -> list[RequestRecord]:
        """All requests that have ended and are still there, in the order of their ends; ``needle`` as for a lane."""
        found = {one.identity: one for lane in self.lanes() for one in (*lane.lost(), *lane.finished(needle))}
        return sorted(found.values(), key=lambda one: one.ended)

    def newest(self, wanted: RequestFilter, most: int, *, failed: bool = False) -> list[RequestRecord]:
        """At most ``most`` requests that have ended, and that a filter takes, the last one first.

        :param failed: those alone that failed; they are found sooner.
        """
        found: dict[tuple[object, ...], RequestRecord] = {}
        for lane in self.lanes():
            lost = [one for one in lane.lost() if wanted.takes(one)]
            kept = itertools.islice(lane.newest(wanted, failed=failed), most)
            found.update({one.identity: one for one in (*lost, *kept)})
        return sorted(found.values(), key=lambda one: one.ended, reverse=True)[:most]

    def under_way(self) -> list[RequestRecord]:
        """All requests that have not ended, in the order of their beginnings."""
        found = [one for lane in self.lanes() if lane.is_written for one in lane.under_way()]
        return sorted(found, key=lambda one: one.started)

    def during(self, first: float, last: float) -> list[RequestRecord]:
        """The requests that were there at some moment from ``first`` to ``last``, seconds since 1970."""
        found = {one.identity: one for lane in self.lanes() for one in lane.during(first, last)}
        return list(found.values())

    def find(self, end: str) -> list[RequestRecord]:
        """The requests whose id is ``end``, or ends so, by when they began."""
        found = {one.identity: one for one in self.under_way() if one.request_id.endswith(end)}
        for one in self.finished(end.encode()):
            if one.request_id.endswith(end):
                found[one.identity] = one
        return sorted(found.values(), key=lambda one: one.started)

    def is_written(self) -> bool:
        """Whether any of the processes that write it is there; True where that cannot be known."""
        return any(lane.is_written for lane in self.lanes())

    def skip(self) -> None:
        """Take all that is there for read."""
        for lane in self.lanes():
            lane.skip()

    def news(self) -> News:
        """What has ended since the last look, or since `skip`."""
        found = [lane.news() for lane in self.lanes()]
        records = sorted((record for one in found for record in one.records), key=lambda one: one.ended)
        return News(records, sum(one.missed for one in found))
