"""Active health checks: after how many results in a row a server is up or down, and why, as text.

Pure: `l7.workers.monitor.health_checks` passes in each result and is told whether the state changed. A result is one
integer, so that it fits into a cell of shared memory and every process can describe it.
"""

from __future__ import annotations

from enum import IntEnum

from l7.config.sections.backends import Health
from l7.config.values.backend import show_statuses
from l7.oserrors import describe_connect
from l7.sharedmem import layout
from l7.tls.servers import failure_numbers
from l7.units import show_duration


class HealthState(IntEnum):
    """The state of a server by its health checks."""

    UNKNOWN = 0
    UP = layout.UP
    DOWN = layout.DOWN


class Fault(IntEnum):
    """Why a check failed; the numbers are stored in shared memory."""

    NONE = 0
    REFUSED = 1
    UNREACHABLE = 2
    """``connect`` failed; the detail is the error number."""
    NO_CONNECTION = 3
    NO_ANSWER = 4
    CLOSED = 5
    RESET = 6
    INVALID = 7
    STATUS = 8
    """The detail is the status."""
    BODY = 9
    LARGE = 10
    TLS = 11
    """TLS failed; the detail is a number of `l7.tls.servers.failure_numbers`."""


def finding(fault: Fault, detail: int = 0) -> int:
    """Pack the result of a check into a number; 0 is a success."""
    return layout.pack(fault, detail)


HEALTHY = finding(Fault.NONE)


def has_failed(why: int) -> bool:
    """Whether the result is a failure."""
    return layout.unpack(why)[0] != Fault.NONE


def words(why: int, check: Health | None, tls: str = "") -> str:
    """A result and its count in a row as text; ``check`` is the configured check, None where it is not known any more.

    :param tls: what is known of TLS that failed, beyond what the number says.
    """
    fault, detail, count = layout.unpack(why)
    return _describe(Fault(fault), detail, check, tls) + (f" ×{count}" if count > 1 else "")


def _describe(fault: Fault, detail: int, check: Health | None, tls: str) -> str:
    if fault is Fault.UNREACHABLE:
        return describe_connect(detail)
    if fault is Fault.STATUS:
        return f"status {detail}" + (f", expected {show_statuses(check.expect)}" if check else "")
    if fault is Fault.TLS:
        return f"TLS: {tls or failure_numbers.describe(detail)}"
    if fault is Fault.BODY:
        return f"the body lacks {check.body!r}" if check else "the body lacks what it has to contain"
    if fault in (Fault.NO_CONNECTION, Fault.NO_ANSWER):
        what = "connection" if fault is Fault.NO_CONNECTION else "answer"
        return f"no {what} " + (f"within {show_duration(check.timeout)}" if check else "in time")
    return _WORDS[fault]


_WORDS = {
    Fault.NONE: "checks passed",
    Fault.REFUSED: "connect refused",
    Fault.CLOSED: "closed without an answer",
    Fault.RESET: "connection reset",
    Fault.INVALID: "invalid response",
    Fault.LARGE: "response head beyond limits.response-head or limits.response-headers",
}


class HealthStatus:
    """The health of one server: ``state``, and ``why`` as a number for `words`.

    The first result decides at once; after that it takes ``rise`` successes in a row to be up again and ``fall``
    failures to be down. A state that was reached before is kept at the start.
    """

    __slots__ = ("_fall", "_rise", "_streak", "state", "why")

    def __init__(self, rise: int, fall: int, state: HealthState = HealthState.UNKNOWN, why: int = 0) -> None:
        self._rise = rise
        self._fall = fall
        self._streak = 0
        """Results in a row that contradict the state."""
        self.state = state
        self.why = why

    @property
    def returning(self) -> bool:
        """Whether the server is down and its last checks succeeded."""
        return self.state is HealthState.DOWN and self._streak > 0

    def note(self, found: int) -> bool:
        """Take one more result into account; returns whether the state has changed."""
        self._remember(found)
        wanted = HealthState.UP if found == HEALTHY else HealthState.DOWN
        if wanted is self.state:
            self._streak = 0
            return False
        self._streak += 1
        if self.state is not HealthState.UNKNOWN and self._streak < (self._rise if found == HEALTHY else self._fall):
            return False
        self.state, self._streak = wanted, 0
        return True

    def _remember(self, found: int) -> None:
        fault, detail, _ = layout.unpack(found)
        *last, count = layout.unpack(self.why)
        self.why = layout.pack(fault, detail, count + 1 if last == [fault, detail] else 1)
