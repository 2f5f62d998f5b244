"""The admin endpoint: ``/metrics``, ``/status``, ``/healthz`` and ``/readyz``, for monitoring and load balancers.

It is served by the monitor process, so that it takes no time of a worker. What it answers it reads in the shared
memory; only the status is the master's, which is asked at most once a second. It takes GET and HEAD and nothing else.
Its connections are those that workers have for clients (`l7.workers.downstream.connection`): heads are read as
strictly, and there is a bound for everything a client may do.
"""

from __future__ import annotations

import json
import socket
import sys
from _socket import socket as Socket
from collections.abc import Callable
from typing import Any

import gevent
from gevent import Timeout, get_hub
from gevent import socket as green
from gevent.event import AsyncResult, Event

from l7.clock import monotonic
from l7.config.schema import Limits, Timeouts
from l7.errors import ProxyError
from l7.exchange import Exchange
from l7.http.forwarding import Hop
from l7.http.messages import ABSENT, LocalResponse, RequestHead
from l7.http.parser import RequestParser
from l7.ipc.requests import REQUESTS, StatusRequest
from l7.sharedmem.master_gauges import MasterGauges
from l7.telemetry.exposition import CONTENT_TYPE, expose
from l7.telemetry.metrics import Metrics
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.downstream.connection import ClientConnection
from l7.workers.downstream.request_handler import RequestHandler
from l7.workers.limits import ClientProtocolLimits
from l7.workers.phase import WorkerPhase
from l7.workers.responses import phrase
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.transport.stream import DeadlineSweeper, Stream

MOST_CONNECTIONS = 64
"""More wait in the queue of the listening socket."""
LIMITS = Limits.model_construct(head=16 * 1024, target=8192, headers=100, discarded_body=64 * 1024)
TIMEOUTS = Timeouts.model_construct(head=5.0, idle=75.0, write=30.0, body=1.0)
"""Seconds for a head, and for the first one to begin; between two requests; to take more of an answer; to close."""
FINISH_WITHIN = 1.0
"""Seconds for answers that are owed at the end: less than `l7.master.supervision.transition.STOP_WITHIN`."""
STATUS_WITHIN = 5.0
"""Seconds that the master may take."""
STATUS_AGE = 1.0
"""Seconds for which a status is good."""

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
FRESH = "Cache-Control: no-store"


class AdminHandler(RequestHandler):
    """Answers requests with the pages.

    :param visit: connects to the master's control socket; raises ``OSError``.
    """

    def __init__(self, metrics: Metrics, gauges: MasterGauges, visit: Callable[[], green.socket]) -> None:
        bounds = ClientProtocolLimits(LIMITS, TIMEOUTS)
        super().__init__(GreenletPool(), RequestParser(LIMITS.headers, LIMITS.target), bounds)
        self._all_metrics, self._gauges, self._visit = metrics, gauges, visit
        self._pages: dict[bytes, Callable[[], LocalResponse]] = {
            b"/metrics": self._metrics,
            b"/status": self._status,
            b"/healthz": _healthy,
            b"/readyz": self._readyz,
        }
        self.served: set[ClientExchange] = set()
        """Clients that have been answered."""
        self._asked: tuple[float, AsyncResult[LocalResponse]] | None = None

    def handle(self, exchange: Exchange, head: RequestHead, client: ClientExchange) -> None:
        """Answer one request."""
        self.served.add(client)
        try:
            page = self._find(head)
        except Exception:  # a fault of ours costs one request, and is told to the operator
            sys.excepthook(*sys.exc_info())
            page = _refusal(500, "this page could not be made")
        client.answer(page, head, keep=not _has_body(head))

    def reject(self, failure: ProxyError, exchange: Exchange, client: ClientExchange) -> None:
        """Answer a malformed request, unless the client has left."""
        if failure.kind.status:
            client.answer(_refusal(failure.kind.status, str(failure)), None, keep=False)
        else:
            client.abort()

    def _find(self, head: RequestHead) -> LocalResponse:
        if _has_body(head):
            return _refusal(400, "no body is read here")
        find = self._pages.get(head.path.partition(b"?")[0])
        if find is None:
            return _refusal(404, "there is /metrics, /status, /healthz and /readyz")
        if head.method not in (b"GET", b"HEAD"):
            return _refusal(405, "GET or HEAD", "Allow: GET, HEAD")
        return find()

    def _metrics(self) -> LocalResponse:
        return _page(200, CONTENT_TYPE, expose(self._all_metrics.families(_pause), _pause))

    def _readyz(self) -> LocalResponse:
        why = self._gauges.unready()
        return _refusal(503, why) if why else _page(200, TEXT, b"ready\n")

    def _status(self) -> LocalResponse:
        """The master's status; requests that come while the master is asked wait for the same answer."""
        if self._asked is None or monotonic() - self._asked[0] > STATUS_AGE:
            result: AsyncResult[LocalResponse] = AsyncResult()
            self._asked = monotonic(), result
            result.set(self._ask())
        page: LocalResponse = self._asked[1].get()
        return page

    def _ask(self) -> LocalResponse:
        try:
            with Timeout(STATUS_WITHIN), self._visit() as control_server:
                control_server.sendall(REQUESTS.encode(StatusRequest()) + b"\n")
                answer = json.loads(b"".join(iter(lambda: control_server.recv(65536), b"")))
        except (OSError, ValueError, Timeout):
            return _refusal(503, "the master does not answer")
        return _page(200 if answer.get("ok") else 503, JSON, json.dumps(answer, indent=2).encode() + b"\n")


class AdminServer:
    """Accepts connections on a listening socket, whose requests ``handler`` answers."""

    def __init__(self, handler: AdminHandler) -> None:
        self.handler = handler
        self._connections: set[ClientConnection] = set()
        self._sweeper = DeadlineSweeper()
        self._listener: socket.socket | None = None
        self._watcher: Any = None
        self._ended = Event()
        """Set while there is no connection."""
        self._ended.set()

    def start(self, listener: socket.socket) -> None:
        """Take connections from now on."""
        self._sweeper.start()
        self._listener = listener
        self._watcher = get_hub().loop.io(listener.fileno(), 1)
        self._watcher.start(self._accept)

    def close(self) -> None:
        """Accept no more; requests that were not answered yet are, within `FINISH_WITHIN` seconds."""
        self.handler.enter(WorkerPhase.STOPPING)
        if self._watcher is not None:
            self._watcher.stop()
        for connection in self._idle():
            connection.close()
        self._ended.wait(FINISH_WITHIN)
        for connection in list(self._connections):
            connection.close()
        self._sweeper.stop()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        raw = Socket(sock.family, sock.type, sock.proto, sock.detach())
        raw.setblocking(False)
        hop = Hop("admin", 0, b"localhost")
        self._ended.clear()
        self._connections.add(ClientConnection(Stream(raw, self._sweeper), hop, self, self.handler, trusted=False))
        if len(self._connections) >= MOST_CONNECTIONS:
            self._make_room()

    def _idle(self) -> list[ClientConnection]:
        """Those that were answered and may ask again."""
        served = [one for one in self._connections if one in self.handler.served]
        return [one for one in served if one.idle and not one.stream.has_bytes()]

    def _make_room(self) -> None:
        """Close the connection that has been idle longest, or accept no more until one ends."""
        idle = self._idle()
        if idle:
            min(idle, key=lambda one: one.since).close()
        elif self._watcher is not None:
            self._watcher.stop()

    def gone(self, connection: ClientConnection) -> None:
        """Forget a connection that has ended, and take others again."""
        self._connections.discard(connection)
        self.handler.served.discard(connection)
        if not self._connections:
            self._ended.set()
        if self._watcher is not None and not self._watcher.active and not self.handler.draining:
            self._watcher.start(self._accept)

    def hand_over(self, connection: ClientConnection) -> bool:
        """Return False: admin connections are not handed over."""
        return False


def _pause() -> None:
    gevent.sleep(0)


def _healthy() -> LocalResponse:
    return _page(200, TEXT, b"ok\n")


def _page(status: int, media_type: str, body: bytes, *fields: str) -> LocalResponse:
    return LocalResponse(status, media_type, body, (FRESH, *fields))


def _refusal(status: int, why: str, *fields: str) -> LocalResponse:
    text = f"{status} {phrase(status)}: {why}\n"
    return _page(status, TEXT, text.encode("utf-8", "replace"), *fields)


def _has_body(head: RequestHead) -> bool:
    return head.length not in (ABSENT, 0)
