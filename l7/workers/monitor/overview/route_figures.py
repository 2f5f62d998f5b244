"""The routes of the overview: what each has to do, how that goes, and how it has gone lately."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

from l7.config.schema import Config
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import RowKey
from l7.sharedmem.memory import UNROUTED
from l7.telemetry.catalogue import CLASSES
from l7.telemetry.metrics import UNROUTED_HOST
from l7.workers.monitor.overview.server_figures import RouteServers
from l7.workers.monitor.overview.traffic_sampler import TrafficSampler

AT_EASE = 40
"""Routes that are read in one go."""


class RouteFigures:
    """Finds what routes have to do.

    :param pause: called every few milliseconds.
    """

    def __init__(
        self, config: Config, writer: CounterWriter, rows: Mapping[RowKey, int], sampler: TrafficSampler,
        pause: Callable[[], None],
    ) -> None:  # fmt: skip
        self._config = config
        self._writer = writer
        self._rows = rows
        self._sampler = sampler
        self._pause = pause

    def look(self, most: int, servers: Mapping[str, RouteServers]) -> tuple[list[dict[str, Any]], int]:
        """The ``most`` routes with the most trouble, then with the most to do; and how many others there are."""
        routes = {route: self._rows[route,] for route in self._config.backends if (route,) in self._rows}
        if self._sampler.requests(UNROUTED):
            routes[UNROUTED_HOST] = UNROUTED

        def order(route: str) -> tuple[int, bool, int, int]:
            row, counted = routes[route], servers.get(route, _NONE)
            errors, requests = self._sampler.lately(row)
            return -errors, counted.up == counted.servers, -requests, -self._sampler.requests(row)

        shown = []
        for number, route in enumerate(heapq.nsmallest(most, routes, key=order), 1):
            if number % AT_EASE == 0:
                self._pause()
            shown.append(self._entry(route, routes[route], servers.get(route, _NONE)))
        return shown, len(routes) - len(shown)

    def _entry(self, route: str, row: int, servers: RouteServers) -> dict[str, Any]:
        now, requests = self._sampler.now(row), self._sampler.requests(row)
        # A row that nobody has written to is not read: that would take memory.
        cells = self._writer.row(layout.place(row)) if requests else _ZEROS
        statuses = cells[layout.STATUS : layout.STATUS + len(CLASSES)]
        return {
            "route": route,
            "requests": sum(statuses),
            "rate": round(now.rate, 2),
            "errors": round(now.errors, 2),
            "refused": round(now.refused, 2),
            "statuses": dict(zip(CLASSES, statuses, strict=True)),
            "in-flight": servers.in_flight,
            "queued": cells[layout.QUEUED],
            "p50": now.p50,
            "p99": now.p99,
            "servers": servers.servers,
            "up": servers.up,
            "row": row,
        }


_NONE = RouteServers()
_ZEROS = [0] * layout.ROW
