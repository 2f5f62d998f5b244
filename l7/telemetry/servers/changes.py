"""What the changes of servers are (`l7.sharedmem.server_history`), by number, and in words.

A number is never given to another change: those of an older l7 may still be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from enum import IntEnum
from typing import Any, Final, NamedTuple

from l7.balancing import ejection, health
from l7.sharedmem.server_history import StateChange
from l7.units import show_duration

CHECKS, TRAFFIC, PROBES, ORDERS = "health-check", "requests", "connect-probe", "administrator"
"""Who has found it out, or wants it."""
MICRO = 1_000_000


class ServerChange(IntEnum):
    """What has become of a server."""

    CHECKED_UP = 1
    CHECKED_DOWN = 2
    EJECTED = 3
    TERM_OVER = 4
    """The time of its ejection was over."""
    TAKES_CONNECTIONS = 5
    """It was ejected because it refused connections, and takes one."""
    ENDED_BY_CHECKS = 6
    """Its health checks have ended an ejection early."""
    PROVEN = 7
    """A request went well after an ejection."""
    UNREACHABLE = 8
    """A connection failed, and it was not ejected for it."""
    REACHABLE = 9
    READY = 10
    DRAIN = 11
    MAINT = 12
    WEIGHT = 13
    """The amount is the weight plus 1; 0 for that of the configuration."""


class _Kind(NamedTuple):
    state: str
    cause: str
    words: str = ""


_KINDS: Final[Mapping[ServerChange, _Kind]] = {
    ServerChange.CHECKED_UP: _Kind("up", CHECKS),
    ServerChange.CHECKED_DOWN: _Kind("down", CHECKS),
    ServerChange.EJECTED: _Kind("ejected", TRAFFIC),
    ServerChange.TERM_OVER: _Kind("up", TRAFFIC, "the time of its ejection is over: one request at a time"),
    ServerChange.TAKES_CONNECTIONS: _Kind("up", PROBES, "it takes connections again: one request at a time"),
    ServerChange.ENDED_BY_CHECKS: _Kind("up", CHECKS, "checks that passed end its ejection"),
    ServerChange.PROVEN: _Kind("up", TRAFFIC, "a request went well: it gets its share again"),
    ServerChange.UNREACHABLE: _Kind("unreachable", TRAFFIC),
    ServerChange.REACHABLE: _Kind("reachable", PROBES, "it takes connections again"),
    ServerChange.READY: _Kind("ready", ORDERS, "as an administrator wants"),
    ServerChange.DRAIN: _Kind("drain", ORDERS, "as an administrator wants"),
    ServerChange.MAINT: _Kind("maint", ORDERS, "as an administrator wants"),
    ServerChange.WEIGHT: _Kind("weight", ORDERS),
}
_TIMED = frozenset(
    (ServerChange.CHECKED_UP, ServerChange.CHECKED_DOWN, ServerChange.TERM_OVER, ServerChange.TAKES_CONNECTIONS,
     ServerChange.ENDED_BY_CHECKS, ServerChange.PROVEN, ServerChange.REACHABLE)
)  # fmt: skip
"""Their amount is how long the state before lasted."""


def plain(change: StateChange) -> dict[str, Any]:
    """A change as ``l7 server --json`` shows it; ``after`` is how many seconds the state before lasted, if known."""
    try:
        event = ServerChange(change.event)
    except ValueError:  # written by a newer l7
        return {"at": moment(change.at), "state": "unknown", "cause": "unknown", "why": "", "after": None}
    kind = _KINDS[event]
    timed = event in _TIMED and change.amount > 0
    return {
        "at": moment(change.at),
        "state": kind.state,
        "cause": kind.cause,
        "why": _why(event, change),
        "after": round(change.amount / MICRO, 3) if timed else None,
    }


def _why(event: ServerChange, change: StateChange) -> str:
    if event in (ServerChange.CHECKED_UP, ServerChange.CHECKED_DOWN):
        return health.words(change.evidence, None)
    if event is ServerChange.EJECTED:
        how_long = (
            f"for {show_duration(round(change.amount / MICRO, 3))}" if change.amount else "until it takes connections"
        )
        return f"{ejection.words(change.evidence)}; {how_long}"
    if event is ServerChange.UNREACHABLE:
        return ejection.describe(change.evidence) or "a connection failed"
    if event is ServerChange.WEIGHT:
        weight = str(change.amount - 1) if change.amount else "that of the configuration"
        return f"{weight}, as an administrator wants"
    return _KINDS[event].words


def moment(nanoseconds: int) -> str:
    """A time since 1970 as ISO 8601, in milliseconds."""
    time = datetime.fromtimestamp(nanoseconds // MICRO / 1000, timezone.utc)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
