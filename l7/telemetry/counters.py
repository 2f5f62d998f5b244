"""What every request adds to the counters of its backend and its server in the shared memory.

Hot: a few additions to memory.
"""

from __future__ import annotations

from array import array

from l7.errors import BODY_TOO_LARGE, RATE_LIMITED, UNAUTHORIZED, ProxyError
from l7.exchange import Exchange
from l7.sharedmem import integers
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import (
    BOUNDS,
    CUT,
    DURATION,
    DURATION_SUM,
    FIRST_BYTE,
    FIRST_BYTE_SUM,
    RECEIVED,
    REFUSED,
    ROW,
    RULES,
    SENT,
    STATUS,
    TILE,
)
from l7.sharedmem.memory import UNROUTED

# Numbers of cells as the compiler's own integers: see the .pxd.
_DURATION = DURATION
_DURATION_SUM = DURATION_SUM
_FIRST_BYTE = FIRST_BYTE
_FIRST_BYTE_SUM = FIRST_BYTE_SUM
_LONGER = len(BOUNDS)
_RECEIVED = RECEIVED
_ROW = ROW
_SENT = SENT
_STATUS = STATUS
_TILE = TILE
_UNROUTED = UNROUTED

_RULE_OF = {RATE_LIMITED.name: "rate-limit", UNAUTHORIZED.name: "users", BODY_TOO_LARGE.name: "limits.body"}
"""The rule that a failure comes from, where it does not say so itself."""


class RequestCounters:
    """Counts the requests of one worker."""

    __slots__ = ("_bounds", "_writer", "muted")

    def __init__(self, writer: CounterWriter) -> None:
        self._writer = writer
        self._bounds = integers.view(memoryview(array("q", [round(bound * 1e6) for bound in BOUNDS])))
        self.muted = False
        """Whether nothing is counted: during a worker's self-test."""

    def cut(self, exchange: Exchange) -> None:
        """Count a request that l7 cuts off."""
        self._writer.add(self._place(exchange.row or _UNROUTED) + CUT, 1)

    def count(self, exchange: Exchange) -> None:
        """Count a finished request."""
        if self.muted:
            return
        writer = self._writer
        at = self._place(exchange.row or _UNROUTED)
        digit = exchange.status // 100
        writer.add(at + _STATUS + (digit if digit < 6 and exchange.status != 499 else 0), 1)
        duration = int(exchange.total_time * 1e6)
        writer.add(at + _DURATION + self._bucket(duration), 1)
        writer.add(at + _DURATION_SUM, duration)
        if exchange.received:
            writer.add(at + _RECEIVED, exchange.received)
        writer.add(at + _SENT, exchange.sent)
        if exchange.failure is not None:
            cell = _refused(exchange.failure)
            if cell:
                writer.add(at + cell, 1)

    def answered(self, row: int, seconds: float) -> None:
        """Count how long the first byte of an answer took, for the server in ``row``."""
        if self.muted:
            return
        at = self._place(row)
        duration = int(seconds * 1e6)
        self._writer.add(at + _FIRST_BYTE + self._bucket(duration), 1)
        self._writer.add(at + _FIRST_BYTE_SUM, duration)

    def _place(self, row: int) -> int:
        """`layout.place`, compiled."""
        return (row >> 3) * _TILE + (row & 7) * _ROW

    def _bucket(self, duration: int) -> int:
        """The number of the first bound, in microseconds, that a duration does not exceed."""
        place = 0
        while place < _LONGER and duration > integers.load(self._bounds, place):
            place += 1
        return place


def _refused(failure: ProxyError) -> int:
    """The cell that counts what a rule has refused; 0 for a failure that is no rule's."""
    rule = failure.rule or _RULE_OF.get(failure.kind.name, "")
    return REFUSED + RULES.index(rule) if rule in RULES else 0
