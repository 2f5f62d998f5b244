"""The servers of the overview: how each is, since when, and how it has gone lately; those that need a look first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l7.balancing.dns_records import ResolvedEndpoint
from l7.balancing.server_state import ServerState, StateRules
from l7.config.schema import Backend, Config
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import REQUESTS, RowKey, place
from l7.sharedmem.memory import SharedMemory, WrittenRows
from l7.telemetry.server_changes import ServerChange, plain
from l7.telemetry.servers.entries import plain_entries
from l7.workers.monitor.overview.traffic_sampler import TrafficSampler

AT_EASE = 20
"""Backends that are looked at in one go."""


@dataclass(frozen=True)
class SharedServers:
    """What the monitor process knows of servers: see `l7.telemetry.servers.entries.ServerSource`."""

    writer: CounterWriter
    rows: Mapping[RowKey, int]
    resolved: Mapping[tuple[str, str], Sequence[ResolvedEndpoint]]
    unresolved: Mapping[tuple[str, str], str]


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


class ServerFigures:
    """Finds how servers are.

    :param pause: called every few milliseconds.
    """

    def __init__(
        self, config: Config, known: SharedServers, shared_memory: SharedMemory, sampler: TrafficSampler,
        pause: Callable[[], None],
    ) -> None:  # fmt: skip
        self._config = config
        self._known = known
        self._history = shared_memory.history
        self._shared_memory = shared_memory
        self._sampler = sampler
        self._pause = pause

    def look(self, most: int) -> PresentServers:
        """All servers, of which ``most`` are shown: those that are not up, then those with the most to do."""
        found = PresentServers()
        judged: list[tuple[dict[str, Any], int]] = []
        quiet: list[str] = []
        written = self._shared_memory.written()
        for number, (route, backend) in enumerate(self._config.backends.items(), 1):
            if number % AT_EASE == 0:
                self._pause()
            if not backend.servers:
                continue
            if self._is_quiet(route, backend, written):
                count = len({server.address for server in backend.servers})
                found.by_route[route] = RouteServers(count, count)
                quiet.append(route)
                continue
            entries = list(plain_entries(route, backend, self._known, written))
            judged += entries
            found.by_route[route] = _counted(entries)
        chosen = heapq.nsmallest(most, judged, key=self._order)
        for route in quiet if len(chosen) < most else ():
            chosen += list(plain_entries(route, self._config.backends[route], self._known, written))
            if len(chosen) >= most:
                break
        found.entries = list(self._shown(chosen[:most], written))
        found.left_out = sum(one.servers for one in found.by_route.values()) - len(found.entries)
        return found

    def _is_quiet(self, route: str, backend: Backend, written: WrittenRows) -> bool:
        """Whether nobody has anything to say of a backend's servers: then they are up, and have had no request."""
        return StateRules.of(backend).starts_up and not any(
            server.address.named or self._known.rows.get((route, str(server.address)), 0) in written
            for server in backend.servers
        )

    def _order(self, one: tuple[dict[str, Any], int]) -> tuple[bool, float, float]:
        entry, row = one
        now = self._sampler.now(row)
        return entry["state"] == ServerState.UP.value and not entry["why"], -now.errors, -now.rate

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
        name = self._known.rows.get((entry["backend"], entry["server"]), row)
        # What is wanted of a name holds for all its addresses.
        found = sorted(change for each in {row, name} for change in self._history.changes(each))
        since = [change.at for change in found if change.event != ServerChange.WEIGHT]
        return {
            "changes": len(found),
            "last-change": plain(found[-1]) if found else None,
            "since": since[-1] / 1e9 if since else None,
        }


def _counted(entries: Sequence[tuple[dict[str, Any], int]]) -> RouteServers:
    return RouteServers(
        len(entries),
        sum(entry["state"] == ServerState.UP.value for entry, _ in entries),
        sum(entry["in-flight"] for entry, _ in entries),
    )
