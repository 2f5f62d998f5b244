"""The retry budget of a backend: when many requests fail, retries must not make it worse.

Retries may be a share of the requests that all workers have answered lately, and a number that is always allowed, so
that a site with little traffic can retry, too.
"""

from __future__ import annotations

from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import NOT_RETRIED, RETRIED, RETRIED_FREE, STATUS, place

WINDOW = 10.0
"""Seconds of requests and retries that count; at least half of that time is looked at."""
ALWAYS = 100
"""Retries within the window that are always allowed."""


class RetryBudget:
    """The budget of the backend in ``row`` of the shared memory."""

    __slots__ = ("_at", "_before", "_latest", "_share", "_taken", "_writer")

    def __init__(self, writer: CounterWriter, row: int, share: float, now: float) -> None:
        self._writer = writer
        self._at = place(row)
        self._share = share
        self._before: tuple[float, int]
        self._before = self._latest = self._now()
        self._taken = now

    def _now(self) -> tuple[int, int]:
        """Requests answered and retries made that count, by all workers since l7 started."""
        answered = sum(self._writer.total(self._at + STATUS + digit) for digit in range(6))
        retried = self._writer.total(self._at + RETRIED) - self._writer.total(self._at + RETRIED_FREE)
        return answered, retried

    def pass_by(self) -> None:
        """Count a retry that the budget does not limit: a server refused the connection."""
        self._writer.add(self._at + RETRIED_FREE, 1)
        self._writer.add(self._at + RETRIED, 1)

    def take(self, now: float) -> bool:
        """Take one retry out of the budget at ``now`` (seconds); returns whether there was one."""
        answered, retried = self._now()
        passed = now - self._taken
        if passed >= WINDOW / 2:
            # After a long time without retries, what is answered in one window is known from the mean.
            lately = (answered - self._latest[0]) * WINDOW / passed
            self._before = self._latest if passed < WINDOW else (answered - lately, retried)
            self._latest, self._taken = (answered, retried), now
        spent = retried - self._before[1]
        if spent >= ALWAYS and spent >= self._share * (answered - self._before[0]):
            self._writer.add(self._at + NOT_RETRIED, 1)
            return False
        self._writer.add(self._at + RETRIED, 1)
        return True
