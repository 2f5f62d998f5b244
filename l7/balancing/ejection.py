"""Passive checks: when a server that fails the requests it is given is left alone, for how long, and why.

Pure. A failure counts towards a streak, which one good answer anywhere ends, and towards the share of failures within
a window. A response with a status of 500 or more is a failure of the softer kind: it may be the application's answer
to a bad request, so it takes a server out only when it fails so much more often than the others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from l7 import oserrors
from l7.sharedmem import layout

LEAST = 10
"""Requests within the window below which no share is taken."""
WORSE = 2.0
"""A server's soft failures take it out when their share is so many times that of the others."""


class EjectionReason(IntEnum):
    """What a server did; the numbers are in shared memory."""

    REFUSED = 1
    NO_CONNECTION = 2
    NO_ANSWER = 3
    LOST = 4
    INVALID = 5
    CUT = 6
    STALLED = 7
    STATUS = 8
    RATE = 9
    NO_RESOURCES = 10
    """It did nothing: we have no descriptor, memory or local port for a connection to it."""


_WORDS = {
    EjectionReason.NO_CONNECTION: "connect timed out",
    EjectionReason.NO_ANSWER: "no response in time",
    EjectionReason.LOST: "connection lost",
    EjectionReason.INVALID: "invalid response",
    EjectionReason.CUT: "response cut short",
    EjectionReason.STALLED: "response stalled",
    EjectionReason.NO_RESOURCES: "out of resources",
}


def why(reason: EjectionReason, detail: int = 0, count: int = 1) -> int:
    """A reason as the number that stands in a cell: the detail is a status, per cent, or an error number."""
    return layout.pack(reason, detail, count)


def words(number: int) -> str:
    """The same for people: ``connect refused ×3``."""
    reason, detail, count = layout.unpack(number)
    if not reason:
        return ""
    if reason == EjectionReason.RATE:
        return f"{detail} % of {count} requests failed"
    return f"{_describe(EjectionReason(reason), detail)} ×{count}"


def describe(number: int) -> str:
    """As `words`, without how often."""
    reason, detail, _ = layout.unpack(number)
    return _describe(EjectionReason(reason), detail) if reason else ""


def _describe(reason: EjectionReason, detail: int) -> str:
    if reason is EjectionReason.REFUSED:
        return oserrors.describe_connect(detail)
    if reason is EjectionReason.STATUS:
        return f"status {detail}"
    return f"{_WORDS[reason]}: {oserrors.describe(detail)}" if detail else _WORDS[reason]


def is_refusal(number: int) -> bool:
    """Whether the reason is that nobody listened: that is over as soon as somebody does."""
    return number & 0xFF == EjectionReason.REFUSED


@dataclass(frozen=True)
class OutcomeCounts:
    """Requests of one server that were good and that were not, from some moment on."""

    good: int
    bad: int

    @property
    def share(self) -> float:
        """The share of those that were not."""
        return self.bad / (self.good + self.bad) if self.good + self.bad else 0.0

    def since(self, before: OutcomeCounts) -> OutcomeCounts:
        """What has come after ``before``."""
        return OutcomeCounts(max(0, self.good - before.good), max(0, self.bad - before.bad))


class OutcomeWindow:
    """The scores of all servers of a backend as they were between half a window and a whole one ago.

    It is looked at only when something fails, so a backend whose servers answer pays nothing for it.
    """

    __slots__ = ("_before", "_half", "_latest", "_taken")

    def __init__(self, seconds: float) -> None:
        self._half = seconds / 2
        self._taken = float("-inf")
        self._before: Sequence[OutcomeCounts] = ()
        self._latest: Sequence[OutcomeCounts] = ()

    def since(self, scores: Sequence[OutcomeCounts], now: float) -> list[OutcomeCounts]:
        """What came of each server since the window began."""
        if len(scores) != len(self._latest) or now - self._taken > 2 * self._half:
            self._before = self._latest = tuple(scores)
            self._taken = now
        elif now - self._taken > self._half:
            self._before, self._latest, self._taken = self._latest, tuple(scores), now
        return [score.since(before) for score, before in zip(scores, self._before, strict=True)]


@dataclass(frozen=True)
class EjectionLimits:
    """When a server is ejected and for how long; times are seconds."""

    failures: int
    rate: float
    time: float
    max_time: float


def is_out(
    limits: EjectionLimits, streak: int, own: OutcomeCounts, others: Sequence[OutcomeCounts], *, soft: bool
) -> bool:
    """Whether a server that has just failed is to be left alone; ``soft`` says that it answered with an error."""
    failing = streak >= limits.failures or (own.good + own.bad >= LEAST and own.share >= limits.rate)
    if not failing or not soft:
        return failing
    all_others = OutcomeCounts(sum(one.good for one in others), sum(one.bad for one in others))
    return all_others.good > 0 and own.share >= WORSE * all_others.share


def term(limits: EjectionLimits, times: int, until: int, now: int) -> tuple[int, float]:
    """How often in a row a server will have been ejected with this time, and for how many seconds it is.

    Each ejection is twice as long as the one before; for each of these times that passed without one, it is halved.

    :param times: how often it was until now; the last time ended at ``until`` (nanoseconds, as ``now``).
    """
    while times > 0 and (now - until) / 1e9 > _length(limits, times):
        until += int(_length(limits, times) * 1e9)
        times -= 1
    return times + 1, _length(limits, times + 1)


def _length(limits: EjectionLimits, times: int) -> float:
    return min(limits.time * 2.0 ** min(times - 1, 60), limits.max_time)
