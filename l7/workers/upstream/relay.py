"""One request over one server connection: head and body up, interim responses, head and body down.

Hot: a request without a body and an answer that comes in one piece take one send and one receive a side. Nothing is
held beyond one receive, so memory is constant whatever the size of a body, and each piece is passed on as it comes.
Every lost connection becomes its row of the failure table here, so each wait knows which side it waits for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from l7.clock import monotonic
from l7.errors import (
    BAD_RESPONSE,
    BODY_STALLED,
    CLIENT_GONE_DATA,
    CLIENT_GONE_HEAD,
    CLOSED_EARLY,
    CLOSED_UNSENT,
    RESPONSE_TIMEOUT,
    TRUNCATED,
    WRITE_TIMEOUT,
    Kind,
    ProxyError,
)
from l7.exchange import Exchange
from l7.http import forwarding, slices
from l7.http.framing import BodyReader, rechunk
from l7.http.grammar import elements
from l7.http.heads import END, HeadReader
from l7.http.messages import ABSENT, CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from l7.workers.downstream.body import BodyPump, BodySource, RequestBody
from l7.workers.greenlet_pool import GreenletPool
from l7.workers.limits import BackendLimits
from l7.workers.responses import http_date
from l7.workers.transport.splice import LEAST, Pipe
from l7.workers.transport.stream import NEVER, Stream, StreamClosed, StreamTimeout

T = TypeVar("T")

MOST_INTERIM = 64
"""The most interim responses (1xx) before an answer."""
LOOK = 1.0
"""Seconds between two checks whether a half-closed client has gone."""
MOST_EARLY = 64 * 1024
"""The most bytes of pipelined requests that are read while one is served."""


class Relay:
    """Sends one request and relays its answer over one connection to a server."""

    __slots__ = (
        "_body",
        "_bounds",
        "_broken",
        "_buffer",
        "_client",
        "_exchange",
        "_head",
        "_hop",
        "_pump",
        "_sent_at",
        "_server",
        "_source",
        "announced",
        "answered",
        "client_framing",
        "response",
        "reusable",
    )

    def __init__(
        self,
        exchange: Exchange,
        head: RequestHead,
        body: RequestBody | None,
        source: BodySource,
        server: Stream,
        bounds: BackendLimits,
    ) -> None:
        self._exchange = exchange
        self._head = head
        self._body = body
        self._source = source
        self._client = source.stream
        self._hop = source.hop
        self._server = server
        self._bounds = bounds
        self._buffer = b""
        self._broken = False
        self._pump: BodyPump | None = None
        self._sent_at = 0.0
        self.answered = False
        """Whether part of the answer was sent to the client: from then on it can only be cut off."""
        self.announced = False
        """Whether an interim response was sent to the client: from then on nothing is retried."""
        self.reusable = False
        """Whether the server's connection can take another request."""
        self.client_framing = ABSENT
        self.response: ResponseHead

    @property
    def leftover(self) -> bytes:
        """The bytes that the server sent behind the head of its answer."""
        return self._buffer

    def request(self, opening: bytes, greenlets: GreenletPool) -> ResponseHead:
        """Send the request; returns the head of the final answer, or a 101. Raises `ProxyError`."""
        body = self._body
        seconds = self._bounds.response
        self._send(opening)
        expects = self._head.expects
        interim = 0
        while True:
            if body is not None and not body.sent and not self._buffer:
                body.send_until_answer(self._server, seconds, expects=expects)
            response = self._response_head()
            if response.status >= 200 or response.status == 101:
                break
            interim += 1
            if interim > MOST_INTERIM:
                raise ProxyError(BAD_RESPONSE, f"more than {MOST_INTERIM} interim responses")
            expects = expects and response.status != 100
            self._pass_interim(response)
        self._exchange.response_time = monotonic() - self._sent_at
        self.response = response
        if body is not None and not body.sent and not expects:
            body.broken = body.broken or response.status >= 400  # the server wants no more of the body
            self._pump = BodyPump(body, self._server, seconds)
            greenlets.start(self._pump.run)
        return response

    def _send(self, opening: bytes) -> None:
        """Send the head and the part of the body received so far, until the server answers."""
        body = self._body
        try:
            if body is None:
                self._server.send(opening, self._bounds.response)
            else:
                body.restart()
                body.unsent = self._server.push(opening, self._bounds.response)
        except StreamTimeout:
            raise ProxyError(RESPONSE_TIMEOUT, "the server does not take the request") from None
        except StreamClosed as lost:
            if lost.unsent:
                raise ProxyError(CLOSED_UNSENT, str(lost), lost.errno) from None
            self._broken = True
            if body is not None:
                body.broken = True

    def _response_head(self) -> ResponseHead:
        """The next head, interim or final; the bytes behind it stay in the buffer."""
        data = self._buffer
        self._buffer = b""
        server = self._server
        started = monotonic()
        if not self._sent_at:
            self._sent_at = started
        server.deadline = started + self._bounds.response
        try:
            if not data:
                data = self._await_answer()
            response = self._bounds.parser.take(data, self._head.method)
            if response is not None and response.size <= self._bounds.head + len(END):
                size = len(data)
                if size > response.size:
                    self._buffer = slices.cut(data, response.size, size)
                return response
            reader = HeadReader(self._bounds.head)
            whole = reader.feed(data)
            while whole is None:
                data = server.receive()
                if not data:
                    raise ProxyError(CLOSED_EARLY, "closed within the response head")
                whole = reader.feed(data)
        except StreamTimeout:
            raise ProxyError(RESPONSE_TIMEOUT, f"no answer within {self._bounds.response:g} s") from None
        except StreamClosed as lost:
            raise ProxyError(CLOSED_EARLY, str(lost), lost.errno) from None
        finally:
            server.deadline = NEVER
        self._buffer = reader.rest
        return self._bounds.parser.parse(whole, self._head.method)

    def _await_answer(self) -> bytes:
        """The first bytes of an answer; a client that disconnects meanwhile cancels its request."""
        server = self._server
        if not server.ready:
            self._await_server(CLIENT_GONE_HEAD)
        data = server.receive()
        if not data:
            raise ProxyError(CLOSED_EARLY, "closed without an answer")
        return data

    def _pass_interim(self, response: ResponseHead) -> None:
        if self._head.minor:
            self.announced = True
            self._to_client(forwarding.interim_head(response))

    def accepts_upgrade(self) -> bool:
        """Whether a 101 is valid: its protocol is one that the client offered, and the request is complete."""
        offered = elements(self._head.upgrade)
        chosen = elements(self.response.upgrade)
        whole = self._body is None or self._body.sent
        return bool(chosen) and whole and not [protocol for protocol in chosen if protocol not in offered]

    def respond(self, *, keep: bool) -> bool:
        """Relay the final answer; returns whether the client's connection can live on. Raises `ProxyError`.

        Before anything was sent to the client the failure is answered, after that the connection is cut.
        """
        response = self.response
        whole = self._body is None or self._body.sent
        framing = self.client_framing = self._hop.framing(response, self._head.minor)
        keep = keep and whole and framing != UNTIL_CLOSE
        reader = self._bounds.reader(response.length, len(self._buffer))
        payload = reader.feed(self._buffer) if self._buffer else b""
        pieces: list[bytes] = []
        if payload or reader.done:
            self._frame(reader, payload, pieces)
        self.answered = True
        self._exchange.status = response.status
        date = b"" if response.dated else http_date()
        self._to_client(self._hop.response_head(response, framing, date, self._connection(keep), pieces))
        if not reader.done:
            self._relay_body(reader)
        self._finish(reader, whole=whole)
        return keep

    def _connection(self, keep: bool) -> bytes:
        if not keep:
            return b"close"
        return b"" if self._head.minor else b"keep-alive"

    def _relay_body(self, reader: BodyReader) -> None:
        while not reader.done:
            ahead = reader.ahead()
            pipe = Pipe.between(self._server, self._client) if ahead >= LEAST else None
            if pipe is not None:
                self._splice(pipe, reader, ahead)
                continue
            data = self._more()
            if not data:
                if self.response.length != UNTIL_CLOSE:
                    raise ProxyError(TRUNCATED, "the server closed within the body")
                reader.done = True
            try:
                payload = reader.feed(data)
            except ProxyError as failure:
                raise ProxyError(TRUNCATED, failure.detail) from None
            pieces: list[bytes] = []
            self._frame(reader, payload, pieces)
            if pieces:
                self._to_client(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _splice(self, pipe: Pipe, reader: BodyReader, count: int) -> None:
        """Splice ``count`` bytes of the body, each piece a chunk where the client gets chunks."""
        framed = self.client_framing == CHUNKED
        with pipe:
            while count:
                size = self._wait_for_more(lambda: pipe.pull(self._server, count))  # noqa: B023
                if not size:
                    raise ProxyError(TRUNCATED, "the server closed within the body")
                count -= size
                reader.skip(size)
                if framed:
                    self._to_client(b"%x\r\n" % size)
                self._push(pipe)
                self._exchange.sent += size
                if framed:
                    self._to_client(b"\r\n")

    def _push(self, pipe: Pipe) -> None:
        try:
            pipe.push(self._client, self._bounds.write)
        except StreamTimeout:
            raise ProxyError(WRITE_TIMEOUT, f"took nothing for {self._bounds.write:g} s") from None
        except StreamClosed as lost:
            raise ProxyError(CLIENT_GONE_DATA, str(lost)) from None

    def _more(self) -> bytes:
        """The next piece from the server; empty at its end."""
        return self._wait_for_more(lambda: self._server.receive())

    def _wait_for_more(self, take: Callable[[], T]) -> T:
        """Take more of the body with ``take``, which waits; raises the server's failure, or that the client left."""
        server = self._server
        server.deadline = monotonic() + self._bounds.idle
        try:
            if not server.ready and self._pump is None:
                self._await_server(CLIENT_GONE_DATA)
            return take()
        except StreamTimeout:
            raise ProxyError(BODY_STALLED, f"nothing came for {self._bounds.idle:g} s") from None
        except StreamClosed as lost:
            if self._pump is not None and self._pump.failure is not None:
                raise self._pump.failure from None
            raise ProxyError(TRUNCATED, str(lost), lost.errno) from None
        finally:
            server.deadline = NEVER

    def _await_server(self, gone: Kind) -> None:
        """Wait until the server sends something, and notice a client that disconnects meanwhile.

        What the client sends meanwhile is its next request. Up to `MOST_EARLY` bytes of it are read, so that the end
        behind it is seen; nothing is read while the request's body is being sent, because `RequestBody` reads then.
        """
        server, client = self._server, self._client
        whole = self._body is None or self._body.done
        while not server.ready:
            if client.half_closed:
                self._await_for_half_closed(gone)
                return
            if not whole or len(self._source.buffer) >= MOST_EARLY:
                server.wait()
                return
            server.wait_either(client)
            if client.ready and not server.ready:
                try:
                    early = client.take()
                except StreamClosed as lost:
                    raise ProxyError(gone, f"{lost} before the answer was complete") from None
                if early:
                    self._source.buffer += early

    def _await_for_half_closed(self, gone: Kind) -> None:
        """As `_await_server`, for a half-closed client: it waits for its answer, or has gone.

        TCP does not show which before something is sent. So the server has ``half_closed`` seconds; a client that was
        reset meanwhile, or that has closed a unix socket, is known to have gone.
        """
        server, client = self._server, self._client
        late, patience = server.deadline, self._bounds.half_closed
        until = monotonic() + patience
        while not server.ready:
            now = monotonic()
            if now >= until or client.hung_up():
                raise ProxyError(gone, f"closed, or half-closed for more than {patience:g} s (timeouts.half-closed)")
            server.deadline = min(late, until, now + LOOK)
            try:
                server.wait()
            except StreamTimeout:
                if monotonic() >= late:
                    raise
        server.deadline = late

    def _frame(self, reader: BodyReader, payload: bytes, pieces: list[bytes]) -> None:
        """Append ``payload`` to ``pieces``, framed for the client."""
        self._exchange.sent += len(payload)
        if self.client_framing == CHUNKED:
            rechunk(payload, reader, pieces)
        elif payload:
            pieces.append(payload)

    def _to_client(self, data: bytes) -> None:
        try:
            self._client.send(data, self._bounds.write)
        except StreamTimeout:
            raise ProxyError(WRITE_TIMEOUT, f"took nothing for {self._bounds.write:g} s") from None
        except StreamClosed as lost:
            raise ProxyError(CLIENT_GONE_DATA, str(lost)) from None

    def _finish(self, reader: BodyReader, *, whole: bool) -> None:
        """Decide whether the server's connection can be used again: the answer was complete, with nothing behind it."""
        if self._pump is not None:
            self._pump.stop()
        clean = not reader.rest and self.response.length != UNTIL_CLOSE
        self.reusable = clean and whole and self.response.persistent and not self._broken

    def stop(self) -> None:
        """Give up: nothing more is read or sent."""
        if self._pump is not None:
            self._pump.stop()
