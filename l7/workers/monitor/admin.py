"""The admin endpoint: ``/metrics``, ``/status``, ``/healthz`` and ``/readyz``, for who watches l7 and for what stands
before it.

It lives in the monitor process, so that nothing asked here takes anything from a worker. What it tells it reads in the
shared memory; only the status is the master's, who is asked at most once a second, by however many. It takes GET and
HEAD and nothing else, reads heads as strictly as the proxy does, and has a bound for everything a client may do.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

import gevent
from gevent import Timeout, get_hub
from gevent import socket as green
from gevent.event import AsyncResult

from l7.clock import monotonic
from l7.errors import ProxyError
from l7.http.messages import ABSENT, RequestHead
from l7.http.parser import RequestParser
from l7.ipc.requests import REQUESTS, StatusRequest
from l7.sharedmem.master_gauges import MasterGauges
from l7.telemetry.exposition import CONTENT_TYPE, expose
from l7.telemetry.metrics import Metrics
from l7.workers.responses import http_date, phrase

MOST_CONNECTIONS = 64
"""More wait in the queue of the listening socket."""
LONGEST_HEAD = 16 * 1024
HEAD_WITHIN, IDLE, WRITE_WITHIN, LINGER = 5.0, 75.0, 30.0, 1.0
"""Seconds for a head, and for the first one to begin; between two requests; to take an answer; to close in the end."""
FINISH_WITHIN = 1.0
"""Seconds for answers that are owed at the end: less than `l7.master.monitor.state.STOP_WITHIN`."""
STATUS_WITHIN = 5.0
"""Seconds that the master may take."""
STATUS_AGE = 1.0
"""Seconds for which a status is good."""

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


class AdminResponse(NamedTuple):
    """What is answered."""

    status: int
    kind: str
    body: bytes


class AdminServer:
    """Answers on a listening socket.

    :param visit: connects to the master's control desk; raises ``OSError``.
    """

    def __init__(self, figures: Metrics, facts: MasterGauges, visit: Callable[[], green.socket]) -> None:
        self._figures, self._facts, self._visit = figures, facts, visit
        self._pages: dict[bytes, Callable[[], AdminResponse]] = {
            b"/metrics": self._metrics,
            b"/status": self._status,
            b"/healthz": _healthy,
            b"/readyz": self._readyz,
        }
        self._parser = RequestParser(100, 8192)
        self._connections: set[gevent.Greenlet[..., Any]] = set()
        self._idle: dict[gevent.Greenlet[..., Any], None] = {}
        """Those that were answered and may ask again, the first for the longest time."""
        self._closing = False
        self._listener: socket.socket | None = None
        self._watcher: Any = None
        self._asked: tuple[float, AsyncResult[AdminResponse]] | None = None

    def start(self, listener: socket.socket) -> None:
        """Take connections from now on."""
        self._listener = listener
        self._watcher = get_hub().loop.io(listener.fileno(), 1)
        self._watcher.start(self._accept)

    def close(self) -> None:
        """Take no more; who was taken and has had no answer yet gets one, within a moment."""
        self._closing = True
        if self._watcher is not None:
            self._watcher.stop()
        gevent.killall(list(self._idle))
        gevent.joinall(list(self._connections), timeout=FINISH_WITHIN)
        gevent.killall(list(self._connections))

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        greenlet = gevent.spawn(self._serve, green.socket(fileno=sock.detach()))
        self._connections.add(greenlet)
        greenlet.link(self._ended)
        if len(self._connections) >= MOST_CONNECTIONS:
            self._make_room()

    def _make_room(self) -> None:
        """Let go who has asked nothing for the longest time, or take no more until somebody leaves."""
        oldest = next(iter(self._idle), None)
        if oldest is None:
            self._watcher.stop()
        else:
            del self._idle[oldest]
            oldest.kill(block=False)

    def _ended(self, greenlet: gevent.Greenlet[..., Any]) -> None:
        self._connections.discard(greenlet)
        self._idle.pop(greenlet, None)
        if self._watcher is not None and not self._watcher.active and not self._closing:
            self._watcher.start(self._accept)

    # --- one connection ---------------------------------------------------------------------------------------------

    def _serve(self, sock: Any) -> None:
        with sock:
            try:
                self._converse(sock)
            except (OSError, Timeout):
                return  # it left, or takes too long

    def _converse(self, sock: Any) -> None:
        received, patience = b"", HEAD_WITHIN
        while True:
            head, received = _read_head(sock, received, patience)
            patience = IDLE
            self._idle.pop(gevent.getcurrent(), None)
            if not head:
                return
            answer, keep = self._answer(head)
            with Timeout(WRITE_WITHIN):
                sock.sendall(answer)
            if not keep:
                _linger(sock)
                return
            if not received:
                self._idle[gevent.getcurrent()] = None

    def _answer(self, raw: bytes) -> tuple[bytes, bool]:
        """The answer to a head, and whether the connection lives on."""
        try:
            head = self._parser.parse(raw)
        except ProxyError as failure:
            return _write(_refusal(failure.kind.status, str(failure)), None, keep=False), False
        keep = head.persistent and head.minor > 0 and not _has_body(head) and not self._closing
        page = self._page(head)
        return _write(page, head, keep=keep), keep

    def _page(self, head: RequestHead) -> AdminResponse:
        if _has_body(head):
            return _refusal(400, "no body is read here")
        find = self._pages.get(head.path.partition(b"?")[0])
        if find is None:
            return _refusal(404, "there is /metrics, /status, /healthz and /readyz")
        if head.method not in (b"GET", b"HEAD"):
            return _refusal(405, "GET or HEAD")
        return find()

    # --- the pages --------------------------------------------------------------------------------------------------

    def _metrics(self) -> AdminResponse:
        return AdminResponse(200, CONTENT_TYPE, expose(self._figures.families(_pause), _pause))

    def _readyz(self) -> AdminResponse:
        why = self._facts.unready()
        return _refusal(503, why) if why else AdminResponse(200, TEXT, b"ready\n")

    def _status(self) -> AdminResponse:
        """What the master says; who asks while it is asked waits for the same answer."""
        if self._asked is None or monotonic() - self._asked[0] > STATUS_AGE:
            result: AsyncResult[AdminResponse] = AsyncResult()
            self._asked = monotonic(), result
            result.set(self._ask())
        page: AdminResponse = self._asked[1].get()
        return page

    def _ask(self) -> AdminResponse:
        try:
            with Timeout(STATUS_WITHIN), self._visit() as control_server:
                control_server.sendall(REQUESTS.encode(StatusRequest()) + b"\n")
                answer = json.loads(b"".join(iter(lambda: control_server.recv(65536), b"")))
        except (OSError, ValueError, Timeout):
            return _refusal(503, "the master does not answer")
        return AdminResponse(200 if answer.get("ok") else 503, JSON, json.dumps(answer, indent=2).encode() + b"\n")


def _pause() -> None:
    gevent.sleep(0)


def _refusal(status: int, why: str) -> AdminResponse:
    return AdminResponse(status, TEXT, f"{status} {phrase(status)}: {why}\n".encode("utf-8", "replace"))


def _has_body(head: RequestHead) -> bool:
    return head.length not in (ABSENT, 0)


def _read_head(sock: Any, received: bytes, patience: float) -> tuple[bytes, bytes]:
    """The next head without its empty line, and what came after it; an empty one when the client is done.

    ``patience`` is for its first byte, in seconds.
    """
    if not received:
        with Timeout(patience):
            received = sock.recv(LONGEST_HEAD)
    with Timeout(HEAD_WITHIN):
        while b"\r\n\r\n" not in received:
            data = sock.recv(LONGEST_HEAD)
            received += data
            if not data or len(received) > LONGEST_HEAD:
                return b"", b""
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def _linger(sock: Any) -> None:
    """Let the answer arrive: an end that leaves something unread is a reset."""
    sock.shutdown(socket.SHUT_WR)
    with Timeout(LINGER, False):
        while sock.recv(65536):
            pass


def _write(page: AdminResponse, head: RequestHead | None, *, keep: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {page.status} {phrase(page.status)}",
        f"Date: {http_date().decode('ascii')}",
        f"Content-Type: {page.kind}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
    ]
    if page.status == 405:
        lines.append("Allow: GET, HEAD")
    if not keep:
        lines.append("Connection: close")
    text = "\r\n".join([*lines, "", ""]).encode("ascii")
    return text if head is not None and head.method == b"HEAD" else text + page.body


def _healthy() -> AdminResponse:
    return AdminResponse(200, TEXT, b"ok\n")
