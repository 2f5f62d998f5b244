"""The servers of a route at a past moment, by the changes that are kept of each (`l7.sharedmem.server_history`).

No request pays for it: nothing is written down for one that is not there anyhow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from l7.balancing.dns_records import ResolvedEndpoint
from l7.balancing.server_state import ServerRecord, read_record
from l7.balancing.server_view import PROVING
from l7.config.sections.backends import Backend, Server, merged
from l7.config.values.addresses import Address
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import RowKey
from l7.sharedmem.server_history import BY_MASTER, BY_MONITOR, ServerHistory, StateChange
from l7.telemetry.server_changes import ServerChange, plain

MOST_SERVERS = 20
"""Servers that are told of a moment: those that were not up come first."""
MOST_MOMENTS = 9
"""Attempts that a record has, and one for the beginning of a wait."""

UP, UNKNOWN = "up", "unknown"
_CHECK = (ServerChange.CHECKED_UP, ServerChange.CHECKED_DOWN)
_EJECTION = (
    ServerChange.EJECTED, ServerChange.TERM_OVER, ServerChange.TAKES_CONNECTIONS, ServerChange.ENDED_BY_CHECKS,
    ServerChange.PROVEN,
)  # fmt: skip
_REACH = (ServerChange.UNREACHABLE, ServerChange.REACHABLE, ServerChange.TAKES_CONNECTIONS)
_ORDER = (ServerChange.READY, ServerChange.DRAIN, ServerChange.MAINT)
_WEIGHT = (ServerChange.WEIGHT,)
_OLDER = "more has changed since than is kept"
_BY_ORDER = "as an administrator wants"


@dataclass(frozen=True)
class KnownServers:
    """What a process knows of servers: rows by key, addresses of names, their cells and their histories."""

    rows: Mapping[RowKey, int]
    resolved: Mapping[tuple[str, str], Sequence[ResolvedEndpoint]]
    writer: CounterWriter
    history: ServerHistory


@dataclass(frozen=True)
class _Changes:
    """What is kept of a server, and of its name: changes that were found out, and orders."""

    found: tuple[StateChange, ...]
    orders: tuple[StateChange, ...]
    more_found: bool
    more_orders: bool

    def last(self, events: Sequence[ServerChange], at: int) -> StateChange | None:
        """The last change of one kind until ``at``."""
        return next((one for one in reversed(self._all(events)) if one.at <= at), None)

    def next(self, events: Sequence[ServerChange], at: int) -> StateChange | None:
        """The first change of one kind after ``at``."""
        return next((one for one in self._all(events) if one.at > at), None)

    def reach_back_to(self, at: int) -> bool:
        """Whether nothing is missing that was the case at ``at``."""
        pairs = ((self.found, self.more_found), (self.orders, self.more_orders))
        return all(not more or (kept and kept[0].at <= at) for kept, more in pairs)

    def _all(self, events: Sequence[ServerChange]) -> list[StateChange]:
        return [one for one in (*self.found, *self.orders) if one.event in events]


def states_at(route: str, backend: Backend, known: KnownServers, moments: Sequence[float]) -> list[dict[str, Any]]:
    """How the servers of a backend were at each of some moments (seconds since 1970), for JSON.

    Each has ``servers``, at most `MOST_SERVERS`, those that were not up first, and how many of the others were ``up``
    and how many not (``left-out-up``, ``left-out``).
    """
    servers = list(_servers(route, backend, known))
    return [_moment(servers, backend, moment) for moment in moments[:MOST_MOMENTS]]


_Known = tuple[Server, str, bool, _Changes, ServerRecord]


def _servers(route: str, backend: Backend, known: KnownServers) -> Iterator[_Known]:
    """Each server, a name by its addresses: which it is, whether it is a backup, and what is kept of it."""
    for label, server in merged(backend.servers).items():
        parent = known.rows.get((route, label))
        if parent is None:
            continue
        for one in known.resolved.get((route, label), ()):
            record, changes = read_record(known.writer, one.row, parent), _changes(known.history, one.row, parent)
            yield server, str(Address(one.host, one.port)), server.backup or one.reserve, changes, record
        if (route, label) not in known.resolved and not server.address.srv:
            yield server, label, server.backup, _changes(known.history, parent), read_record(known.writer, parent)


def _changes(history: ServerHistory, *rows: int) -> _Changes:
    found, orders = ([history.kept(row, writer) for row in rows] for writer in (BY_MONITOR, BY_MASTER))
    return _Changes(
        tuple(sorted(change for kept, _ in found for change in kept)),
        tuple(sorted(change for kept, _ in orders for change in kept)),
        any(more for _, more in found),
        any(more for _, more in orders),
    )


def _moment(servers: Sequence[_Known], backend: Backend, moment: float) -> dict[str, Any]:
    at = int(moment * 1e9)
    told = []
    for server, address, backup, changes, record in servers:
        state, change, why = _state(changes, record, backend, at)
        told.append({
            "server": str(server.address),
            "address": address,
            "backup": backup,
            "state": state,
            "since": None if change is None else change.at / 1e9,
            "why": why,
        })  # fmt: skip
    told.sort(key=lambda one: one["state"] == UP)
    rest = [one["state"] == UP for one in told[MOST_SERVERS:]]
    return {
        "at": moment,
        "servers": told[:MOST_SERVERS],
        "left-out": rest.count(False),
        "left-out-up": rest.count(True),
    }


def _state(changes: _Changes, record: ServerRecord, backend: Backend, at: int) -> tuple[str, StateChange | None, str]:
    """The state of a server at a moment, the change that has made it so where one has, and why."""
    if not changes.reach_back_to(at):
        return UNKNOWN, None, _OLDER
    for out in (_ordered(changes, record, at), _checked(changes, record, backend, at), _by_requests(changes, at)):
        if out is not None:
            return out
    weight = changes.last(_WEIGHT, at)
    if weight is not None and weight.amount == 1:
        return UP, weight, "its weight is 0, as an administrator wants"
    return UP, None, ""


_Out = tuple[str, StateChange | None, str] | None


def _ordered(changes: _Changes, record: ServerRecord, at: int) -> _Out:
    last = changes.last(_ORDER, at)
    if last is not None:
        return None if last.event == ServerChange.READY else (plain(last)["state"], last, _BY_ORDER)
    if record.admin and changes.next(_ORDER, at) is None:  # ordered before an upgrade in place
        return ("maint" if record.admin == layout.MAINT else "drain"), None, _BY_ORDER
    return None


def _checked(changes: _Changes, record: ServerRecord, backend: Backend, at: int) -> _Out:
    last = changes.last(_CHECK, at)
    if last is not None:
        down = last.event == ServerChange.CHECKED_DOWN and backend.health is not None
        return ("down", last, f"health checks: {plain(last)['why']}") if down else None
    later = changes.next(_CHECK, at)
    if later is not None and later.event == ServerChange.CHECKED_UP and later.amount:
        return "down", None, "health checks"
    if backend.health is not None and (later is not None or not record.health):
        return (UP if backend.health.start == "up" else "down"), None, "not checked yet"
    return None


def _by_requests(changes: _Changes, at: int) -> _Out:
    """What failed requests have made of it: ejected, on probation, or out of reach."""
    last = changes.last(_EJECTION, at)
    ejected = last is not None and last.event == ServerChange.EJECTED
    if last is not None and ejected and not (last.amount and at > last.at + last.amount * 1000):
        return "ejected", last, f"failed requests: {plain(last)['why']}"
    reach = changes.last(_REACH, at)
    if reach is not None and reach.event == ServerChange.UNREACHABLE:
        return "unreachable", reach, plain(reach)["why"]
    if last is not None and last.event in (
        ServerChange.EJECTED,
        ServerChange.TERM_OVER,
        ServerChange.TAKES_CONNECTIONS,
    ):
        return UP, last, PROVING
    return None
