"""The servers of the overview: how each is, since when, and how it has gone lately; those that need a look first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from l7.balancing.server_state import ServerState
from l7.config.schema import Backend, Config
from l7.sharedmem.layout import (
    ADMIN_SINCE,
    ADMIN_WEIGHT,
    EJECTED_AT,
    HEALTH,
    IN_FLIGHT,
    REQUESTS,
    UNREACHED_AT,
    place,
)
from l7.sharedmem.memory import WrittenRows
from l7.telemetry.servers.changes import ServerChange, plain
from l7.telemetry.servers.entries import plain_entries
from l7.telemetry.servers.shared_servers import SharedServers
from l7.workers.monitor.overview.traffic_sampler import TrafficSampler

AT_EASE = 20
"""Backends that are looked at in one go."""
_SAYING = (HEALTH, EJECTED_AT, ADMIN_SINCE, ADMIN_WEIGHT, UNREACHED_AT)
"""A server without health checks for which all of these cells are zero is up, and always was."""


@dataclass
class RouteServers:
    """The servers of one route, counted."""

    servers: int = 0
    up: int = 0
    in_flight: int = 0


@dataclass
class PresentServers:
    """All servers, counted by route, and the entries of those that are shown."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    by_route: dict[str, RouteServers] = field(default_factory=dict)


_MADE_BY = {
    ServerState.DOWN.value: ServerChange.CHECKED_DOWN,
    ServerState.EJECTED.value: ServerChange.EJECTED,
    ServerState.DRAIN.value: ServerChange.DRAIN,
    ServerState.MAINT.value: ServerChange.MAINT,
}
"""The change that puts a server into a state."""


class _SelectableServer(NamedTuple):
    """A server that may be shown, or all servers of a route of which nobody has anything to say."""

    order: tuple[bool, int, int]
    """Those that are not well come first, then those with the most errors, then with the most requests."""
    route: str
    entry: tuple[dict[str, Any], int] | None = None


def _order(one: _SelectableServer) -> tuple[bool, int, int]:
    return one.order


class ServerFigures:
    """Finds how servers are.

    :param pause: called every few milliseconds.
    """

    def __init__(
        self, config: Config, known: SharedServers, sampler: TrafficSampler, pause: Callable[[], None]
    ) -> None:
        self._config = config
        self._known = known
        self._sampler = sampler
        self._pause = pause

    def look(self, most: int) -> PresentServers:
        """All servers, of which ``most`` are shown: those that are not up, then those with the most to do."""
        found = PresentServers()
        candidates: list[_SelectableServer] = []
        written = self._known.shared_memory.written()
        for number, (route, backend) in enumerate(self._config.backends.items(), 1):
            if number % AT_EASE == 0:
                self._pause()
            if backend.servers:
                counted, some = self._look_at(route, backend, written)
                found.by_route[route] = counted
                candidates += some
        chosen: list[tuple[dict[str, Any], int]] = []
        for one in heapq.nsmallest(most, candidates, key=_order):
            if one.entry is not None:
                chosen.append(one.entry)
            elif len(chosen) < most:
                chosen += plain_entries(one.route, self._config.backends[one.route], self._known, written)
        found.entries = list(self._shown(chosen[:most], written))
        found.left_out = sum(one.servers for one in found.by_route.values()) - len(found.entries)
        return found

    def _look_at(
        self, route: str, backend: Backend, written: WrittenRows
    ) -> tuple[RouteServers, list[_SelectableServer]]:
        """The servers of one route, counted, and those that may be shown."""
        labels = {str(server.address) for server in backend.servers}
        rows = [self._known.rows.get((route, label), 0) for label in labels]
        used = [row for row in rows if row in written]
        if self._are_up(backend, used):
            in_flight = sum([self._known.writer.total(place(row, IN_FLIGHT)) for row in used])
            lately = [self._sampler.lately(row) for row in used]
            order = True, -sum([one[0] for one in lately]), -sum([one[1] for one in lately])
            return RouteServers(len(rows), len(rows), in_flight), [_SelectableServer(order, route)]
        entries = list(plain_entries(route, backend, self._known, written))
        return _counted(entries), [_SelectableServer(self._order_of(*one), route, one) for one in entries]

    def _are_up(self, backend: Backend, used: Sequence[int]) -> bool:
        """Whether nobody has anything to say of a backend's servers: then they need no closer look to be up."""
        if backend.health is not None or any(server.address.named for server in backend.servers):
            return False
        total = self._known.writer.total
        return not any(total(place(row, cell)) for row in used for cell in _SAYING)

    def _order_of(self, entry: Mapping[str, Any], row: int) -> tuple[bool, int, int]:
        errors, requests = self._sampler.lately(row)
        return entry["state"] == ServerState.UP.value and not entry["why"], -errors, -requests

    def _shown(self, chosen: Sequence[tuple[dict[str, Any], int]], written: WrittenRows) -> Iterator[dict[str, Any]]:
        for number, (entry, row) in enumerate(chosen, 1):
            if number % AT_EASE == 0:
                self._pause()
            now = self._sampler.now(row)
            yield {
                **entry,
                **self._changes(entry, row),
                "requests": self._known.writer.total(place(row, REQUESTS)) if row in written else 0,
                "rate": round(now.rate, 2),
                "errors": round(now.errors, 2),
                "p50": now.p50,
                "p99": now.p99,
                "row": row,
            }

    def _changes(self, entry: Mapping[str, Any], row: int) -> dict[str, Any]:
        """How often a server has changed, how it did at last, and since when it is in its state."""
        found = self._known.changes((entry["backend"], entry["server"]), row)
        made = [change for change in found if change.event != ServerChange.WEIGHT]
        # What is down may be found out of reach later: it is down since it was found down.
        by = _MADE_BY.get(entry["state"])
        since = [change for change in made if change.event == by] or made
        return {
            "changes": len(found),
            "last-change": plain(found[-1]) if found else None,
            "since": since[-1].at / 1e9 if since else None,
        }


def _counted(entries: Sequence[tuple[dict[str, Any], int]]) -> RouteServers:
    return RouteServers(
        len(entries),
        sum(entry["state"] == ServerState.UP.value for entry, _ in entries),
        sum(entry["in-flight"] for entry, _ in entries),
    )
