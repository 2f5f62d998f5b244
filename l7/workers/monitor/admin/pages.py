"""What the admin endpoint serves, by path: for monitoring and load balancers, and the page for people with its data.

What it answers it reads in the shared memory; only the status is the master's, which is asked at most once a second.
"""

from __future__ import annotations

from collections.abc import Callable

from gevent import get_hub
from gevent import socket as green

from l7.http.messages import LocalResponse, RequestHead
from l7.sharedmem.master_gauges import MasterGauges
from l7.telemetry.exposition import CONTENT_TYPE, expose
from l7.telemetry.metrics import Metrics
from l7.workers.monitor.admin import recorded_requests
from l7.workers.monitor.admin.answers import JSON, TEXT, gzipped, json_object, page, refusal, takes_gzip
from l7.workers.monitor.admin.recorded_requests import RecordedRequests
from l7.workers.monitor.admin.shared_answers import SharedAnswers
from l7.workers.monitor.admin.static_files import FILES
from l7.workers.monitor.master_status import MasterStateError, ask_status
from l7.workers.monitor.overview.document import OverviewError
from l7.workers.runtime.pause import pause

_VARY = "Vary: Accept-Encoding"

Page = Callable[[RequestHead], LocalResponse]


class AdminPages:
    """All pages.

    :param visit: connects to the master's control socket; raises ``OSError``.
    :param overview: makes the overview; raises `OverviewError`.
    """

    words = "there is /, /overview, /requests, /status, /metrics, /healthz and /readyz"
    """What there is, for those who ask for something else."""

    def __init__(
        self,
        metrics: Metrics,
        gauges: MasterGauges,
        visit: Callable[[], green.socket],
        recorded: RecordedRequests,
        overview: Callable[[], bytes],
    ) -> None:
        self._make_overview = overview
        self._all_metrics, self._gauges, self._visit, self._recorded = metrics, gauges, visit, recorded
        self._shared = SharedAnswers()
        self._open: dict[bytes, Page] = {
            b"/metrics": self._metrics,
            b"/healthz": _healthy,
            b"/readyz": self._readyz,
        }
        self._pages: dict[bytes, Page] = {
            **self._open,
            b"/status": self._status,
            b"/overview": self._overview,
            recorded_requests.PATH: recorded.answer,
            **{path: file.answer for path, file in FILES.items()},
        }

    def find(self, head: RequestHead) -> Page | None:
        """What is served for the path that is asked for; None for nothing."""
        path = _path_of(head)
        if path.startswith(recorded_requests.PATH + b"/"):
            return self._recorded.answer
        return self._pages.get(path)

    def is_open(self, head: RequestHead) -> bool:
        """Whether everybody is answered who asks for that path, by whatever name: scrapers and load balancers are."""
        return _path_of(head) in self._open

    def _metrics(self, _: RequestHead) -> LocalResponse:
        return page(200, CONTENT_TYPE, expose(self._all_metrics.families(pause), pause))

    def _readyz(self, _: RequestHead) -> LocalResponse:
        why = self._gauges.unready()
        return refusal(503, why) if why else page(200, TEXT, b"ready\n")

    def _status(self, _: RequestHead) -> LocalResponse:
        """The master's status."""
        return self._shared.get("status", self._ask)

    def _overview(self, head: RequestHead) -> LocalResponse:
        try:
            if takes_gzip(head):
                return self._shared.get("overview in gzip", self._compressed_overview)
            return page(200, JSON, self._make_overview() + b"\n", _VARY)
        except OverviewError as error:
            return refusal(503, str(error))

    def _compressed_overview(self) -> LocalResponse:
        """The overview in gzip, once for all: in a thread, for very many numbers take a while."""
        body = get_hub().threadpool.apply(gzipped, (self._make_overview() + b"\n", 1))
        return page(200, JSON, body, _VARY, "Content-Encoding: gzip")

    def _ask(self) -> LocalResponse:
        try:
            answer = ask_status(self._visit)
        except MasterStateError as error:
            return refusal(503, str(error))
        body = json_object(answer, between="\n") + b"\n"
        return page(200 if answer.get("ok") else 503, JSON, body)


def _path_of(head: RequestHead) -> bytes:
    return head.path.partition(b"?")[0]


def _healthy(_: RequestHead) -> LocalResponse:
    return page(200, TEXT, b"ok\n")
