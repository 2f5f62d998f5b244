"""Ejection rules (outlier detection): when a server that fails requests is ejected, for how long, and why.

Pure. A failure counts towards a streak, which one good answer anywhere ends, and towards the share of failures within
a window. A response with a status of 500 or more is a failure of the softer kind: it may be the application's answer
to a bad request, so it takes a server out only when it fails `WORSE` times as often as the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from l7 import oserrors
from l7.sharedmem import layout
from l7.tls.servers import failure_numbers

LEAST = 10
"""Requests within the window below which no failure rate is computed."""
WORSE = 2.0
"""A server's responses of 500 and more eject it when their rate is this many times that of the others."""


class EjectionReason(IntEnum):
    """Why a request to a server failed; the numbers are stored in shared memory."""

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
    """Not the server's fault: l7 has no descriptor, memory or local port for a connection."""
    TLS = 11
    """TLS failed; the detail is a number of `l7.tls.servers.failure_numbers`."""


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
    """Pack a reason into one cell: ``detail`` is a status, per cent, or an error number."""
    return layout.pack(reason, detail, count)


def words(number: int) -> str:
    """A packed reason as text: ``connect refused ×3``."""
    reason, detail, count = layout.unpack(number)
    if not reason:
        return ""
    if reason == EjectionReason.RATE:
        return f"{detail} % of {count} requests failed"
    return f"{_describe(EjectionReason(reason), detail)} ×{count}"


def describe(number: int) -> str:
    """As `words`, without the count."""
    reason, detail, _ = layout.unpack(number)
    return _describe(EjectionReason(reason), detail) if reason else ""


def _describe(reason: EjectionReason, detail: int) -> str:
    if reason is EjectionReason.REFUSED:
        return oserrors.describe_connect(detail)
    if reason is EjectionReason.TLS:
        return f"TLS: {failure_numbers.describe(detail)}"
    if reason is EjectionReason.STATUS:
        return f"status {detail}"
    return f"{_WORDS[reason]}: {oserrors.describe(detail)}" if detail else _WORDS[reason]


def is_refusal(number: int) -> bool:
    """Whether the reason is a refused connection: such an ejection ends as soon as the server listens."""
    return number & 0xFF == EjectionReason.REFUSED


@dataclass(frozen=True)
class OutcomeCounts:
    """Good and failed requests of one server since some moment."""

    good: int
    bad: int

    @property
    def share(self) -> float:
        """The failure rate, 0 to 1."""
        return self.bad / (self.good + self.bad) if self.good + self.bad else 0.0

    def since(self, before: OutcomeCounts) -> OutcomeCounts:
        """The difference to the earlier counts ``before``."""
        return OutcomeCounts(max(0, self.good - before.good), max(0, self.bad - before.bad))


class OutcomeWindow:
    """The counts of all servers of a backend as they were between half a window and a whole one ago.

    It is read only when a request fails, so a backend whose servers answer pays nothing for it.
    """

    __slots__ = ("_before", "_half", "_latest", "_taken")

    def __init__(self, seconds: float) -> None:
        self._half = seconds / 2
        self._taken = float("-inf")
        self._before: Sequence[OutcomeCounts] = ()
        self._latest: Sequence[OutcomeCounts] = ()

    def since(self, scores: Sequence[OutcomeCounts], now: float) -> list[OutcomeCounts]:
        """The counts of each server since the window began."""
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
    """Whether a server whose request just failed is to be ejected; ``soft``: it answered with 500 or more."""
    failing = streak >= limits.failures or (own.good + own.bad >= LEAST and own.share >= limits.rate)
    if not failing or not soft:
        return failing
    all_others = OutcomeCounts(sum(one.good for one in others), sum(one.bad for one in others))
    return all_others.good > 0 and own.share >= WORSE * all_others.share


def term(limits: EjectionLimits, times: int, until: int, now: int) -> tuple[int, float]:
    """The number of this ejection in a row, and its length in seconds.

    Each ejection is twice as long as the one before; for each of these times that passed without one, it is halved.

    :param times: ejections in a row so far; the last one ended at ``until`` (nanoseconds, as ``now``).
    """
    while times > 0 and (now - until) / 1e9 > _length(limits, times):
        until += int(_length(limits, times) * 1e9)
        times -= 1
    return times + 1, _length(limits, times + 1)


def _length(limits: EjectionLimits, times: int) -> float:
    return min(limits.time * 2.0 ** min(times - 1, 60), limits.max_time)
