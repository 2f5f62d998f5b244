"""Outlier detection: workers count failed requests in the shared memory and eject a server that fails too often.

Failures are summed over all workers, so a server is ejected after three failures, not after three in each worker. The
last usable server is never ejected, nor one whose loss would leave fewer than the panic share; ejections that other
workers have just made are counted in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from l7.balancing import ejection
from l7.balancing.ejection import EjectionLimits, EjectionReason, OutcomeCounts, OutcomeWindow
from l7.balancing.members import Member
from l7.config.sections.backends import Ejection
from l7.errors import (
    BAD_RESPONSE,
    BODY_STALLED,
    CLOSED_EARLY,
    CLOSED_UNSENT,
    CONNECT_REFUSED,
    CONNECT_TIMEOUT,
    NO_RESOURCES,
    RESPONSE_TIMEOUT,
    TLS_FAILED,
    TLS_REFUSED,
    TLS_TIMEOUT,
    TOTAL_CUT,
    TOTAL_TIMEOUT,
    TRUNCATED,
    ProxyError,
)
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.units import show_duration

REST = 50_000_000
"""Nanoseconds between two computations of the failure rates of one backend."""

LOOKS = 16
"""Errors of a streak after which the failure rate is computed even within `REST`. A single time is not enough: the
other servers may not have answered since the window began, and workers that count at once may both skip the number."""

_FAILURES: dict[str, tuple[int, EjectionReason]] = {
    CONNECT_REFUSED.name: (layout.FAILED_CONNECT, EjectionReason.REFUSED),
    CONNECT_TIMEOUT.name: (layout.FAILED_TIMEOUT, EjectionReason.NO_CONNECTION),
    TLS_FAILED.name: (layout.FAILED_CONNECT, EjectionReason.TLS),
    TLS_REFUSED.name: (layout.FAILED_CONNECT, EjectionReason.TLS),
    TLS_TIMEOUT.name: (layout.FAILED_TIMEOUT, EjectionReason.TLS),
    RESPONSE_TIMEOUT.name: (layout.FAILED_TIMEOUT, EjectionReason.NO_ANSWER),
    TOTAL_TIMEOUT.name: (layout.FAILED_TIMEOUT, EjectionReason.NO_ANSWER),
    TOTAL_CUT.name: (layout.FAILED_TIMEOUT, EjectionReason.STALLED),
    BODY_STALLED.name: (layout.FAILED_TIMEOUT, EjectionReason.STALLED),
    CLOSED_UNSENT.name: (layout.FAILED_RESPONSE, EjectionReason.LOST),
    CLOSED_EARLY.name: (layout.FAILED_RESPONSE, EjectionReason.LOST),
    BAD_RESPONSE.name: (layout.FAILED_RESPONSE, EjectionReason.INVALID),
    TRUNCATED.name: (layout.FAILED_RESPONSE, EjectionReason.CUT),
}
"""The rows of the failure table that count against a server, each with its cell and its reason."""


def count_failure(member: Member, failure: ProxyError) -> EjectionReason | None:
    """Count a failed request against its server; None when the failure is not the server's."""
    found = _FAILURES.get(failure.kind.name)
    if found is None:
        if failure.kind is NO_RESOURCES:
            _note_error(member, EjectionReason.NO_RESOURCES, failure.errno)
        return None
    _note_error(member, found[1], failure.errno)
    member.writer.add(member.at + found[0], 1)
    return found[1]


def _note_error(member: Member, reason: EjectionReason, number: int) -> None:
    """Store the server's last error, for status and explanations."""
    member.writer.put(member.at + layout.LAST_ERROR, ejection.why(reason, number))
    member.writer.put(member.at + layout.LAST_ERROR_AT, time.monotonic_ns())


class OutlierDetector:
    """Ejects members of one backend. ``refresh`` brings their `ServerStatus` up to date."""

    __slots__ = ("_clock", "_limits", "_looked", "_members", "_panic", "_refresh", "_seconds", "_window", "_writer")

    def __init__(
        self,
        settings: Ejection,
        panic: float,
        writer: CounterWriter,
        refresh: Callable[[], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._limits = EjectionLimits(settings.failures, settings.rate, settings.time, settings.max_time)
        self._panic = panic
        self._writer = writer
        self._refresh = refresh
        self._clock = clock
        self._seconds = settings.window
        self._window = OutcomeWindow(settings.window)
        self._members: Sequence[Member] = ()
        self._looked = 0

    def arrange(self, members: Sequence[Member]) -> None:
        """Set the members to watch."""
        self._members = tuple(members)
        self._window = OutcomeWindow(self._seconds)

    def failed(self, member: Member, failure: ProxyError, available: Sequence[Member]) -> str:
        """Count a failed request; returns the text of an event if the member was ejected for it, else an empty one."""
        reason = count_failure(member, failure)
        return "" if reason is None else self._weigh(member, reason, failure.errno, available)

    def answered(self, member: Member, status: int, available: Sequence[Member]) -> str:
        """As `failed`, for a response with a status of 500 or more, which `Member.answered` has counted."""
        return self._weigh(member, EjectionReason.STATUS, status, available)

    def _weigh(self, member: Member, reason: EjectionReason, detail: int, available: Sequence[Member]) -> str:
        streak = self._lengthen(member)
        if not self._may_leave(member):
            return ""
        now = self._clock()
        soft = reason is EjectionReason.STATUS
        over = streak - self._limits.failures
        enough = 0 <= over < LOOKS if soft else over >= 0
        if not enough and not member.half_open and now - self._looked < REST:
            return ""
        self._looked = now
        if member.half_open:
            streak = max(streak, self._limits.failures)
        scores = self._window.since([_score(self._writer, one) for one in self._members], now / 1e9)
        own = OutcomeCounts(0, 0)
        others = []
        for one, score in zip(self._members, scores, strict=True):
            if one is member:
                own = score
            elif one in available:
                others.append(score)
        if not ejection.is_out(self._limits, streak, own, others, soft=soft):
            return ""
        self._refresh()
        if not self._may_leave(member):
            return ""
        if streak < self._limits.failures:
            why = ejection.why(EjectionReason.RATE, round(own.share * 100), own.good + own.bad)
            return self._eject(member, why, now)
        return self._eject(member, ejection.why(reason, detail, streak), now)

    def _lengthen(self, member: Member) -> int:
        """Add a failure to the member's streak; returns its length over all workers."""
        writer, at = self._writer, member.at
        good = writer.total(at + layout.GOOD)
        if writer.get(at + layout.STREAK_AT) != good:
            writer.put(at + layout.STREAK, 0)
            writer.put(at + layout.STREAK_AT, good)
        writer.add(at + layout.STREAK, 1)
        return writer.total_where(at + layout.STREAK, at + layout.STREAK_AT, good)

    def _may_leave(self, member: Member) -> bool:
        """Whether enough other members are left that are not half-open; for the last one a backup is enough."""
        if not member.verdict.pickable:
            return False
        left = [
            one
            for one in self._members
            if one is not member and one.verdict.pickable and not one.half_open and not one.verdict.unreachable
        ]
        wanted = [one for one in self._members if one.backup == member.backup and one.verdict.weight > 0]
        beside = [one for one in left if one.backup == member.backup]
        return len(beside) >= self._panic * len(wanted) if beside else bool(left)

    def _eject(self, member: Member, why: int, now: int) -> str:
        writer, at = self._writer, member.at
        last = writer.latest(at + layout.EJECTED_AT, at + layout.EJECTED_UNTIL)
        times, until = writer.read(last, at + layout.EJECTED_TIMES), writer.read(last, at + layout.EJECTED_UNTIL)
        times, seconds = ejection.term(self._limits, times, until, now)
        how_long = f"for {show_duration(seconds)}"
        if ejection.is_refusal(why):
            # The time does not grow: connect probes soon find out whether it listens again, and cost little.
            times, seconds, how_long = times - 1, self._limits.time, "until it takes connections"
        for cell, value in (
            (layout.EJECTED_UNTIL, now + int(seconds * 1e9)),
            (layout.EJECTED_TIMES, times),
            (layout.EJECTED_WHY, why),
            (layout.EJECTED_GOOD, writer.total(at + layout.GOOD)),
            (layout.EJECTED_AT, now),  # written last: readers look for the lane with the highest value
        ):
            writer.put(at + cell, value)
        writer.add(at + layout.EJECTIONS, 1)
        writer.changed(member.row)
        return f"server {member.label} is ejected {how_long}: {ejection.words(why)}"


def _score(writer: CounterWriter, member: Member) -> OutcomeCounts:
    at = member.at
    bad = (layout.FAILED_CONNECT, layout.FAILED_TIMEOUT, layout.FAILED_RESPONSE, layout.ANSWERED_5XX)
    return OutcomeCounts(writer.total(at + layout.GOOD), sum(writer.total(at + cell) for cell in bad))
