"""A worker's proof that it works: one request through its own proxy loop, before it says that it is ready.

The request is answered by l7 itself (OPTIONS with its hops used up, RFC 9110, 7.6.2), so no server hears of it; it
has no route, so no rules, and is not logged. What it passes through is what every request passes through: a connection,
the parser, the proxy, an answer of ours, the loop.
"""

from __future__ import annotations

import socket
from _socket import socket as Socket

from l7.balancing.routing import Routes
from l7.clock import monotonic
from l7.errors import L7Error
from l7.http.forwarding import Hop
from l7.telemetry.access_log import NullAccessLog
from l7.telemetry.recorder.writer import NullRecorder
from l7.workers.downstream.connection import ClientConnection
from l7.workers.proxy import Proxy
from l7.workers.transport.stream import DeadlineSweeper, Stream, StreamLost, StreamTimeout

WITHIN = 5.0
"""Seconds that the answer may take."""
REQUEST = b"OPTIONS * HTTP/1.1\r\nHost: l7\r\nMax-Forwards: 0\r\n\r\n"


class SelfTestFailed(L7Error):
    """The worker does not answer its own request."""


class _Owner:
    """Keeps the one connection of a probe."""

    def gone(self, connection: ClientConnection) -> None:
        """The connection has ended: nothing depends on it."""

    def hand_over(self, connection: ClientConnection) -> bool:
        """A probe ends where it began."""
        return False


def probe(proxy: Proxy, sweeper: DeadlineSweeper) -> None:
    """Send a request through ``proxy``, which must not serve anybody yet; raises `SelfTestFailed`."""
    ours, theirs = (_raw(end) for end in socket.socketpair())
    client = Stream(ours, sweeper)
    connection = ClientConnection(Stream(theirs, sweeper), Hop("unix:", 80, b"l7"), _Owner(), proxy, trusted=False)
    log, routes, general, recorder = proxy.log, proxy.routes, proxy.general, proxy.attempts.recorder
    proxy.attempts.recorder = NullRecorder()
    proxy.log, proxy.routes, proxy.general, proxy.counters.muted = NullAccessLog(), Routes({}), None, True
    try:
        client.deadline = monotonic() + WITHIN
        client.send(REQUEST, WITHIN)
        answer = client.receive()
    except StreamTimeout:
        raise SelfTestFailed(f"its own request was not answered within {WITHIN:g} s") from None
    except StreamLost as lost:
        raise SelfTestFailed(f"its own request was not answered: {lost}") from None
    finally:
        proxy.log, proxy.routes, proxy.general, proxy.counters.muted = log, routes, general, False
        proxy.attempts.recorder = recorder
        proxy.requests = proxy.answered = proxy.faults = 0
        connection.close()
        client.close()
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise SelfTestFailed(f"its own request was answered {answer[:40]!r}")


def _raw(end: socket.socket) -> Socket:
    sock = Socket(end.family, end.type, 0, end.detach())
    sock.setblocking(False)
    return sock
