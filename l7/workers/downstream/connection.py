"""One client connection: its requests one after the other, its deadlines, its end.

An idle connection has no greenlet: it is the readiness handler of its stream, and when bytes come a greenlet runs
`ClientConnection.serve` until there is nothing left to serve. Pipelined requests are answered in order because the
second is not parsed before the first is done (RFC 9112, 9.3.2).

What happens between a request's head and the end of its answer is in `l7.workers.downstream.http1_exchange`.

Hot: 630 instructions a request are spent here itself, from its first byte to the connection's next rest.
"""

from __future__ import annotations

from typing import Protocol

from l7 import clock
from l7.errors import CLIENT_GONE_REQUEST, HEAD_TIMEOUT, ProxyError
from l7.exchange import Exchange
from l7.http import octets
from l7.http.forwarding import Hop
from l7.http.grammar import CRLF
from l7.http.heads import END, HeadReader
from l7.http.messages import RequestHead
from l7.tls.details import TlsDetails, TlsEntrance
from l7.workers.downstream.body import RequestBody
from l7.workers.downstream.http1_exchange import Http1Exchange
from l7.workers.downstream.request_handler import BegunRequest, RequestHandler
from l7.workers.transport.stream import NEVER, Stream, StreamLost, StreamTimeout

LINGER = 2.0
"""Seconds of silence after which a connection that ends is closed, whether or not the client has ended it."""
FIRST = 48 * 1024
"""Bytes asked for where a request begins: of a body that is larger the rest is spliced, and this would be copied."""
LONGEST_LOGGED = 1024
"""Bytes of a malformed request line that are kept for the log."""


class ConnectionOwner(Protocol):
    """What holds the client connections of a worker."""

    def gone(self, connection: ClientConnection) -> None:
        """Called when the connection has ended."""

    def hand_over(self, connection: ClientConnection) -> bool:
        """Hand the connection over to the next generation; returns False when that is not possible."""


class ClientConnection(Http1Exchange):
    """A client's connection, from its first byte to its last; ``handler`` serves it, ``owner`` is told of its end."""

    __slots__ = (
        "_begun", "_head", "_met", "_owner", "entrance", "gathering", "linger_until", "lingered", "since", "tls",
    )  # fmt: skip

    def __init__(
        self, stream: Stream, hop: Hop, owner: ConnectionOwner, handler: RequestHandler, *, trusted: bool
    ) -> None:
        self._attach(stream, hop, handler, trusted)
        self.gathering: HeadReader | None = None
        """The reader of a request head that is not complete yet."""
        self.lingered = -1
        """Bytes discarded since the connection began to linger; negative before."""
        self.linger_until = NEVER
        """When the connection is closed whatever the client does."""
        self.tls: TlsDetails | None = None
        """What was agreed on in TLS; None where the client does not speak it, or not yet."""
        self.entrance: TlsEntrance | None = None
        """Where the client's TLS is spoken; None as long as ``tls`` is."""
        self._owner = owner
        self._begun: BegunRequest | None = None
        """The request that waits for its server without a greenlet, or whose rest a greenlet is about to do."""
        self._head: RequestHead | None = None
        self._met: Exchange | None = None  # what was noted of that request: what has let it in is not asked again
        """A head that was read, of a request of which nothing was begun."""
        stream.handler = self
        self.since = clock.monotonic()
        """When it last began to wait for a request."""
        stream.deadline = self.since + handler.bounds.head_seconds

    @property
    def idle(self) -> bool:
        """Whether it waits for a request, without a greenlet."""
        return self.stream.handler is self and self._begun is None and self.lingered < 0 and not self.stream.ready

    def on_ready(self, stream: Stream) -> None:
        """Serve the bytes that came: in a greenlet, but for a request that can be sent to its server at once."""
        if self._begun is not None:
            self._resume()
        elif stream is not self.stream:
            return  # it was closed, and a greenlet knows already
        elif self.lingered >= 0:
            self._linger_more()
        else:
            stream.handler = None
            if not self._begin():
                self._handler.greenlets.begin(self.serve)

    def on_expired(self, stream: Stream) -> None:
        """Close a connection that was idle for too long; a server has taken too long for its answer."""
        if self._begun is None:
            self.close()
        elif stream is not self.stream:
            self._begun.late = True
            self._resume()

    def _begin(self) -> bool:
        """Send the request that has come to its server, if nothing has to be waited for; else it is for a greenlet."""
        stream = self.stream
        started = clock.monotonic()
        try:
            data = stream.take(FIRST)
        except StreamLost:
            return False
        if not data:
            return False
        self._buffer = data
        head = self._whole_head(data)
        if head is None:
            return False
        begun = exchange = None
        if not stream.ready:  # nothing else is there, and not the end
            exchange = self._exchange(started)
            self.kept = False
            try:
                begun = self._handler.begin(exchange, head, self)
            except Exception:  # a greenlet tries it all again, and says what is wrong
                begun = None
                self._body = None
                self._buffer = octets.cut(data, head.size, len(data))
        if begun is None:
            self._head, self._met = head, exchange
            return False
        self._begun = begun
        server = begun.sent_on
        if server is None or begun.unfinished:
            return False
        stream.handler = server.handler = self
        server.awaited = True
        if not server.watching:
            server.watch()
        return True

    def _whole_head(self, data: bytes) -> RequestHead | None:
        """The head that ``data`` begins with, if it is whole and right; what is behind it stays in the buffer."""
        handler = self._handler
        try:
            head = handler.parser.take(data)
        except ProxyError:
            return None
        if head is None or head.size > handler.bounds.head + len(END):
            return None
        self.stream.deadline = NEVER
        size = len(data)
        self._buffer = octets.cut(data, head.size, size) if size > head.size else b""
        return head

    def _resume(self) -> None:
        """Let a greenlet do the rest of what was begun."""
        self._stop_waiting()
        self._handler.greenlets.begin(self.serve)

    def _stop_waiting(self) -> None:
        self.stream.handler = None
        begun = self._begun
        if begun is not None and begun.sent_on is not None:
            begun.sent_on.handler = None
            begun.sent_on.awaited = False

    def serve(self) -> None:
        """Serve requests until the connection is idle or closed: run by `GreenletPool`."""
        handler = self._handler
        stream = self.stream
        while self._begun is not None or not stream.closed:
            begun = self._begun
            if begun is not None:
                self._begun = None
                head, exchange = begun.head, begun.exchange
                started = exchange.started
                handler.resume(begun)
            else:
                started = clock.monotonic()
                whole = self._next_head(started)
                if whole is None:
                    return
                head = whole
                exchange = self._exchange(started)
                self.kept = False
                handler.handle(exchange, head, self)
            body = self._body
            self._body = None
            if not self.kept:
                if self._ends_here(head, body):
                    self.close()
                else:
                    self.end()
                return
            if handler.draining and self._leave(started + exchange.total_time):
                return
            if not self._buffer and not stream.ready:
                self._rest(started + exchange.total_time)
                return

    def _exchange(self, started: float) -> Exchange:
        """What is to be noted of a request that came at ``started``."""
        exchange, self._met = self._met or Exchange(self.hop.client, started), None
        if self.tls is not None:
            exchange.tls = self.tls
        return exchange

    def _ends_here(self, head: RequestHead, body: RequestBody | None) -> bool:
        """Whether the client has said ``Connection: close``, and all that it had to send has come (RFC 9112, 9.6)."""
        if head.persistent or not head.minor or self._buffer or self.stream.ready:
            return False
        return body is None or body.is_done()

    def _leave(self, now: float) -> bool:
        """After an answer: hand the connection over or end it, where the worker drains; returns False to stay."""
        if self._handler.stopping:
            if self._buffer or self.stream.ready:
                return False
            self.end()
            return True
        self.since = now
        self.stream.deadline = now + self._handler.bounds.idle_seconds
        return self._handler.handing_over and not self.last and self._owner.hand_over(self)

    def _rest(self, now: float) -> None:
        """Become idle ``now``."""
        stream = self.stream
        stream.handler = self
        self.since = now
        stream.deadline = now + self._handler.bounds.idle_seconds
        if not stream.watching:
            stream.watch()

    def adopted(self, data: bytes, idle_left: float | None, *, last: bool) -> None:
        """Take over what another worker knew: ``data`` has come of the next request, ``idle_left`` seconds remain.

        None of them stands for ``timeouts.idle``; ``last`` says that the next answer is the last.
        """
        idle = self._handler.bounds.idle_seconds
        self._buffer = data
        self.last = last
        self.stream.deadline = clock.monotonic() + (idle if idle_left is None else idle_left)
        self.since = min(self.since, self.stream.deadline - idle)

    def know_tls(self, tls: TlsDetails, entrance: TlsEntrance) -> None:
        """Take down what was agreed on in TLS, here or in another process."""
        self.tls = tls
        self.entrance = entrance
        if tls.client_verified:
            self.hop = self.hop.with_certificate(
                tls.client_verified, tls.client_subject, tls.client_fingerprint, tls.server_name
            )

    def begin_tls(self, tls: TlsDetails, entrance: TlsEntrance) -> None:
        """Wait for the first request: the handshake is complete."""
        self.know_tls(tls, entrance)
        self.since = clock.monotonic()
        self.stream.handler = self
        self.stream.deadline = self.since + self._handler.bounds.head_seconds

    def refuse(self, failure: ProxyError, data: bytes) -> None:
        """Answer what came instead of a request, in a greenlet of its own: for callbacks of the loop."""
        self.stream.handler = None
        self._handler.greenlets.begin(lambda: self._refuse_head(failure, data, clock.monotonic()))

    def resume(self) -> None:
        """Serve a connection that has bytes already read: for callbacks of the loop."""
        if self._buffer:
            self.stream.handler = None
            self._handler.greenlets.begin(self.serve)
        else:
            self.stream.handler = self
            self.stream.watch()

    def _next_head(self, started: float) -> RequestHead | None:
        """The next request; None when the connection has ended instead, and was closed."""
        handler = self._handler
        data = self._buffer
        stream = self.stream
        head = self._head
        if head is not None:
            self._head = None
            return head
        if not data:
            try:
                data = stream.receive(FIRST)
            except (StreamLost, StreamTimeout):
                data = b""
            if not data:
                self.close()
                return None
        try:
            head = handler.parser.take(data)
        except ProxyError as failure:
            self._refuse_head(failure, data, started)
            return None
        if head is None or head.size > handler.bounds.head + len(END):
            return self._gather_head(data, started)
        stream.deadline = NEVER
        size = len(data)
        self._buffer = octets.cut(data, head.size, size) if size > head.size else b""
        return head

    def _gather_head(self, data: bytes, started: float) -> RequestHead | None:
        """As `_next_head`, for a head that comes in pieces, or after empty lines."""
        bounds = self._handler.bounds
        reader = self.gathering = HeadReader(bounds.head, self._handler.parser)
        stream = self.stream
        stream.deadline = started + bounds.head_seconds
        try:
            head = reader.feed(data)
            while head is None:
                data = stream.receive()
                if not data:
                    raise StreamLost("closed within the request head")
                head = reader.feed(data)
            stream.deadline = NEVER
            self._buffer = reader.rest
            return self._handler.parser.parse(head)
        except ProxyError as failure:
            self._refuse_head(failure, reader.beginning, started)
        except StreamTimeout:
            if stream.deadline != NEVER and self._handler.handing_over and self._pass_on(reader):
                return None
            late = ProxyError(HEAD_TIMEOUT, f"not whole within {bounds.head_seconds:g} s")
            self._refuse_head(late, reader.beginning, started)
        except StreamLost as lost:
            if reader.beginning:
                self._refuse_head(ProxyError(CLIENT_GONE_REQUEST, str(lost)), reader.beginning, started)
            else:
                self.close()
        finally:
            self.gathering = None
        return None

    def _pass_on(self, reader: HeadReader) -> bool:
        """Hand the connection over with the part of its next head received so far."""
        self._buffer = reader.gathered
        return self._owner.hand_over(self)

    def _refuse_head(self, failure: ProxyError, data: bytes, started: float) -> None:
        """Answer a malformed head, and parse no further request of this connection."""
        self.stream.deadline = NEVER
        self._buffer = b""
        exchange = self._exchange(started)
        exchange.request_line = data.lstrip(CRLF).partition(CRLF)[0][:LONGEST_LOGGED]
        self._handler.reject(failure, exchange, self)
        self.end()

    def end(self) -> None:
        """End the connection: half-close, then read and discard what still comes until the client closes, too (linger).

        Closing at once would reset a connection on which a client goes on sending, and the reset can overtake the
        answer (RFC 9112, 9.6): that is only for those who have said that they send no more. Many clients read only
        after they have sent all, so this goes on for as long as they send, within ``timeouts.body`` and
        ``limits.discarded-body``.
        """
        stream = self.stream
        self._buffer = b""
        if stream.closed:
            self.close()
            return
        stream.finish_sending()
        self.lingered = 0
        now = clock.monotonic()
        hurried = self._handler.ending or self._handler.overloaded
        self.linger_until = now + (LINGER if hurried else self._handler.bounds.body_seconds)
        stream.deadline = min(now + LINGER, self.linger_until)
        stream.handler = self
        stream.watch()

    def _linger_more(self) -> None:
        """Discard what came; called by the loop, so one piece at a time."""
        stream = self.stream
        try:
            data = stream.receive()
        except StreamLost:
            data = b""
        self.lingered += len(data)
        most = self._handler.bounds.discarded
        if not data or (most is not None and self.lingered > most):
            self.close()
        else:
            stream.deadline = min(clock.monotonic() + LINGER, self.linger_until)

    def hurry(self) -> None:
        """Linger no longer than a moment: the process is about to exit, or new clients need the place."""
        self.linger_until = min(self.linger_until, clock.monotonic() + LINGER)

    def close(self) -> None:
        """Close the connection and tell its owner."""
        if self.tls is not None and not self.stream.closed:
            self.stream.finish_sending()  # else it would look cut off
        self.stream.close()
        if self._begun is not None:
            self._stop_waiting()
            self._handler.greenlets.start(self.serve)
        self._owner.gone(self)
