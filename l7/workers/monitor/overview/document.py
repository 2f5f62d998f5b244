"""The overview: one document with all that is to be seen of a running l7 at one look (:doc:`observability`).

It is made for whoever asks, at most once a second and for all who come meanwhile, so that two hundred pages that are
open cost no more than one; the longer it takes to make, the longer it is good. What the master knows is asked of it,
the rest is read in the shared memory.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
from gevent import socket as green
from gevent.event import AsyncResult

from l7.clock import monotonic
from l7.errors import L7Error
from l7.sharedmem.master_gauges import STARTED, MasterGauges
from l7.sharedmem.scoreboard import IN_FLIGHT, Scoreboard
from l7.sharedmem.traffic_history import INTERVAL, SHOWN, TOTALS
from l7.workers.monitor.admin.answers import json_object
from l7.workers.monitor.master_status import MasterStateError, ask_status
from l7.workers.monitor.overview.failures import LastFailures
from l7.workers.monitor.overview.route_figures import RouteFigures
from l7.workers.monitor.overview.server_figures import ServerFigures
from l7.workers.monitor.overview.traffic_sampler import WINDOW, TrafficSampler
from l7.workers.runtime.pause import pause

MOST_ROUTES = 500
MOST_SERVERS = 500
MOST_FAILURES = 50
MOST_NUMBERS = 40_000
"""Samples of all plots together; with more rows that have traffic each plot is shorter, down to `LEAST_SHOWN`."""
LEAST_SHOWN = 60
AGE = 1.0
"""Seconds for which a document is good, and `TIMES_MADE` times as long as it took."""
TIMES_MADE = 10
OF_MASTER = ("version", "pid", "state", "configuration", "connections", "certificates", "monitor", "opener", "workers")


class OverviewError(L7Error):
    """There is no overview now; it says why."""


@dataclass(frozen=True)
class OverviewSources:
    """What the overview is put together from."""

    sampler: TrafficSampler
    routes: RouteFigures
    servers: ServerFigures
    failures: LastFailures
    gauges: MasterGauges
    scoreboard: Scoreboard


class Overview:
    """Makes the document.

    :param visit: connects to the master's control socket; raises ``OSError``.
    """

    def __init__(self, sources: OverviewSources, visit: Callable[[], green.socket]) -> None:
        self._sources = sources
        self._visit = visit
        self._made: AsyncResult[bytes] | None = None
        self._good_until = 0.0

    def json(self) -> bytes:
        """The document as one line of JSON, without its end; waits until it is made. Raises `OverviewError`."""
        made = self._made
        if made is None or (made.ready() and monotonic() >= self._good_until):
            made = self._made = AsyncResult()
            gevent.spawn(self._make, made)
        found: bytes = made.get()
        return found

    def _make(self, made: AsyncResult[bytes]) -> None:
        self._good_until = monotonic() + AGE
        try:
            begun = time.thread_time()
            document = json_object(self._document())
            # Others have the loop in between, so this is more than it has taken.
            worked = time.thread_time() - begun
            self._good_until = max(self._good_until, monotonic() + TIMES_MADE * worked)
            made.set(document)
        except OverviewError as error:
            made.set_exception(error)
        except Exception:  # a fault of ours costs one document, and is told to the operator
            sys.excepthook(*sys.exc_info())
            made.set_exception(OverviewError("the overview could not be made; the events of l7 say more"))

    def _document(self) -> dict[str, Any]:
        status, sources = self._ask(), self._sources
        in_flight = sum(sources.scoreboard.column(IN_FLIGHT))
        servers = sources.servers.look(MOST_SERVERS)
        routes, routes_left_out = sources.routes.look(MOST_ROUTES, servers.by_route)
        failures = sources.failures.last(MOST_FAILURES)
        self._add_plots([*routes, *servers.entries])
        return {
            "ok": True,
            "at": round(time.time(), 3),
            "interval": INTERVAL,
            "window": WINDOW * INTERVAL,
            **{key: status.get(key) for key in OF_MASTER},
            "started": self._sources.gauges[STARTED] / 1000,
            "samples": SHOWN,
            "totals": self._totals(in_flight),
            "routes": routes,
            "routes-left-out": routes_left_out,
            "servers": servers.entries,
            "servers-left-out": servers.left_out,
            "reloads": status.get("reloads", []),
            "recorder": failures is not None,
            "failures": failures or [],
            "under-way": in_flight,
        }

    def _totals(self, in_flight: int) -> dict[str, Any]:
        now = self._sources.sampler.now(TOTALS)
        return {
            "requests": self._sources.sampler.requests(TOTALS),
            "rate": round(now.rate, 2),
            "errors": round(now.errors, 2),
            "refused": round(now.refused, 2),
            "in-flight": in_flight,
            "p50": now.p50,
            "p99": now.p99,
            "plot": self._sources.sampler.plot(TOTALS, SHOWN),
        }

    def _add_plots(self, entries: list[dict[str, Any]]) -> None:
        """Give each entry its plot, in place of its row."""
        with_traffic = sum(self._sources.sampler.requests(entry["row"]) > 0 for entry in entries)
        most = min(SHOWN, max(LEAST_SHOWN, MOST_NUMBERS // 4 // max(with_traffic, 1)))
        for number, entry in enumerate(entries, 1):
            entry["plot"] = self._sources.sampler.plot(entry.pop("row"), most)
            if number % 5 == 0:
                pause()

    def _ask(self) -> dict[str, Any]:
        try:
            answer = ask_status(self._visit, servers=False)
        except MasterStateError as error:
            raise OverviewError(str(error)) from None
        if not answer.get("ok"):
            raise OverviewError("; ".join(map(str, answer.get("reasons", []))) or "the master does not say")
        return answer
