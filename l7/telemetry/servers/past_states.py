"""The servers of a route at a past moment, by the changes that are kept of each (`l7.sharedmem.server_history`).

No request pays for it: nothing is written down for one that is not there anyhow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from l7.balancing.server_state import ServerRecord
from l7.balancing.server_view import PROVING
from l7.config.sections.backends import Backend
from l7.sharedmem import layout
from l7.sharedmem.server_history import BY_MASTER, BY_MONITOR, ServerHistory, StateChange
from l7.telemetry.servers.changes import ServerChange, plain
from l7.telemetry.servers.shared_servers import SharedServer, SharedServers, servers_of

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
NOT_SERVED = "the route is in the configuration no more"


@dataclass(frozen=True)
class PastStates:
    """Knows how the servers of a generation were."""

    backends: Mapping[str, Backend]
    generation: int
    known: SharedServers

    def answer(self, route: str, moments: Sequence[float]) -> dict[str, Any]:
        """How the servers of a route were at some moments, as the control socket answers."""
        backend = self.backends.get(route)
        if backend is None or not backend.servers:
            return {"ok": False, "reasons": [NOT_SERVED]}
        return {
            "ok": True,
            "generation": self.generation,
            "sticky": None if backend.sticky is None else backend.sticky.cookie,
            "moments": states_at(route, backend, self.known, moments),
        }


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


def states_at(route: str, backend: Backend, known: SharedServers, moments: Sequence[float]) -> list[dict[str, Any]]:
    """How the servers of a backend were at each of some moments (seconds since 1970), for JSON.

    Each has ``servers``, at most `MOST_SERVERS`, those that were not up first, and how many of the others were ``up``
    and how many not (``left-out-up``, ``left-out``).
    """
    history = known.shared_memory.history
    found = servers_of(route, backend, known, known.shared_memory.written())
    servers = [(one, _changes(history, {one.row, one.parent})) for one in found]
    return [_moment(servers, backend, moment) for moment in moments[:MOST_MOMENTS]]


def _changes(history: ServerHistory, rows: Iterable[int]) -> _Changes:
    found, orders = ([history.kept(row, writer) for row in rows] for writer in (BY_MONITOR, BY_MASTER))
    return _Changes(
        tuple(sorted(change for kept, _ in found for change in kept)),
        tuple(sorted(change for kept, _ in orders for change in kept)),
        any(more for _, more in found),
        any(more for _, more in orders),
    )


def _moment(servers: Sequence[tuple[SharedServer, _Changes]], backend: Backend, moment: float) -> dict[str, Any]:
    at = int(moment * 1e9)
    told = []
    for one, changes in servers:
        state, change, why = _state(changes, one.record, backend, at)
        told.append({
            "server": str(one.server.address),
            "address": one.address or str(one.server.address),
            "backup": one.backup,
            "state": state,
            "since": None if change is None else change.at / 1e9,
            "why": why,
        })  # fmt: skip
    told.sort(key=lambda entry: entry["state"] == UP)
    rest = [entry["state"] == UP for entry in told[MOST_SERVERS:]]
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
