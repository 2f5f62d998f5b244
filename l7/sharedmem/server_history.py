"""How the states of servers have changed, the last changes of each: in memory of its own, by the rows of the shared
memory (`l7.sharedmem.memory`).

A row has a history of the monitor process, which sees what workers, health checks and connect probes find out, and one
of the master, which knows what administrators want; so each has one writer, and a reader puts them together by time. It
is read and written by system calls, not mapped: it takes no address space, and of a server that never changed no
memory. Histories stand in pieces of `PIECE` bytes, the first pieces of all rows side by side, so that ten thousand
servers that go down at once take 3 MB. As a head is written after the change that it counts, a writer that dies leaves
what was there.
"""

from __future__ import annotations

import os
import struct
import weakref
from collections.abc import Iterator
from typing import NamedTuple

BY_MONITOR = 0
BY_MASTER = 1
WRITERS = 2

SHOWN = 100
"""The most changes of a row that are read, from both writers."""
HEAD = struct.Struct("=8q")
"""How many changes there were, and what the writer remembers (`HistoryHead`)."""
ENTRY = struct.Struct("=3q")
"""When (nanoseconds since 1970), what with an amount, and why."""
PIECE = 256
PER_PIECE = PIECE // ENTRY.size
KEPT = 11 * PER_PIECE
"""Changes that are kept of each writer: some more than are shown, because the oldest may be being overwritten."""
ROWS = 1 << 20
"""As many as `l7.sharedmem.memory.MOST_ROWS`: there is room for all, which takes nothing until it is written."""

_EVENT, _AMOUNT = 0xFF, 8
_PIECES_AT = ROWS * HEAD.size
_LANE = _PIECES_AT + KEPT // PER_PIECE * ROWS * PIECE
_LONGEST = (1 << 54) - 1

assert KEPT > SHOWN


class StateChange(NamedTuple):
    """One change of a server: when (nanoseconds since 1970), what (`l7.telemetry.servers.changes`), its evidence.

    ``amount`` is in microseconds where it is a time.
    """

    at: int
    event: int
    evidence: int
    amount: int


class HistoryHead(NamedTuple):
    """How many changes a writer has noted of a row, and what it remembers of it from one look to the next."""

    number: int = 0
    ejected_at: int = 0
    unreached_at: int = 0
    reached_at: int = 0
    phase: int = 0


class ServerHistory:
    """The histories of all servers, shared with each process forked after it was made.

    :raises OSError: the system has no descriptor or memory left.
    """

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("l7-server-history", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def head(self, row: int, writer: int = BY_MONITOR) -> HistoryHead:
        """What was noted of a row so far."""
        return _head_in(os.pread(self._descriptor, HEAD.size, _head_at(row, writer)), 0)

    def remember(self, row: int, head: HistoryHead, writer: int = BY_MONITOR) -> None:
        """Replace the head of a row; raises ``OSError`` where there is no memory."""
        os.pwrite(self._descriptor, HEAD.pack(*head, *[0] * (8 - len(head))), _head_at(row, writer))

    def append(self, row: int, change: StateChange, head: HistoryHead, writer: int = BY_MONITOR) -> HistoryHead:
        """Note one more change of a row whose head was ``head``; returns the head with it.

        :raises OSError: there is no memory; nothing is noted then.
        """
        what = change.event & _EVENT | min(max(change.amount, 0), _LONGEST) << _AMOUNT
        os.pwrite(self._descriptor, ENTRY.pack(change.at, what, change.evidence), _entry_at(row, head.number, writer))
        head = head._replace(number=head.number + 1)
        self.remember(row, head, writer)
        return head

    def changes(self, row: int, most: int = SHOWN) -> list[StateChange]:
        """The last changes of a row, ``most`` and not more than `SHOWN`, the oldest first."""
        found = [change for writer in range(WRITERS) for change in self._of(row, writer, most)]
        return sorted(found, key=lambda change: change.at)[-most:]

    def kept(self, row: int, writer: int) -> tuple[list[StateChange], bool]:
        """The last changes that one writer has noted of a row, the oldest first, and whether there were more."""
        if not self.head(row, writer).number:  # as most
            return [], False
        found = list(self._of(row, writer, SHOWN))
        return found, self.head(row, writer).number > len(found)

    def counted(self, rows: int) -> dict[int, int]:
        """How many changes there were of each row below ``rows`` that has changed."""
        counts: dict[int, int] = {}
        for writer in range(WRITERS):
            heads = os.pread(self._descriptor, rows * HEAD.size, _head_at(0, writer))
            whole = memoryview(heads)[: len(heads) // HEAD.size * HEAD.size]
            for row, count in enumerate(whole.cast("q")[:: HEAD.size // 8].tolist()):
                if count:
                    counts[row] = counts.get(row, 0) + count
        return counts

    def clear(self, row: int) -> None:
        """Forget a row, because it is given to another server."""
        for writer in range(WRITERS):
            if self.head(row, writer) != HistoryHead():
                self.remember(row, HistoryHead(), writer)

    def _of(self, row: int, writer: int, most: int) -> Iterator[StateChange]:
        last = self.head(row, writer).number
        wanted = range(max(0, last - most), last)
        pieces = {place: self._piece(row, place, writer) for place in {_place(number)[0] for number in wanted}}
        # What was written meanwhile, and is being written now, has taken the places of the oldest.
        kept = self.head(row, writer).number + 1 - KEPT
        for number in wanted:
            piece, place = _place(number)
            if number >= kept and len(pieces[piece]) >= (place + 1) * ENTRY.size:
                at, what, why = ENTRY.unpack_from(pieces[piece], place * ENTRY.size)
                yield StateChange(at, what & _EVENT, why, what >> _AMOUNT)

    def _piece(self, row: int, piece: int, writer: int) -> bytes:
        return os.pread(self._descriptor, PIECE, _piece_at(row, piece, writer))


def _head_in(data: bytes, at: int) -> HistoryHead:
    if len(data) < at + HEAD.size:
        return HistoryHead()
    return HistoryHead(*HEAD.unpack_from(data, at)[: len(HistoryHead._fields)])


def _head_at(row: int, writer: int) -> int:
    return writer * _LANE + row * HEAD.size


def _place(number: int) -> tuple[int, int]:
    """The piece that a change is in, and its place there."""
    return divmod(number % KEPT, PER_PIECE)


def _piece_at(row: int, piece: int, writer: int) -> int:
    return writer * _LANE + _PIECES_AT + (piece * ROWS + row) * PIECE


def _entry_at(row: int, number: int, writer: int) -> int:
    piece, place = _place(number)
    return _piece_at(row, piece, writer) + place * ENTRY.size
