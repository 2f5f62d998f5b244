"""One request over one server connection: head and body up, interim responses, head and body down.

Hot: a request without a body and an answer that comes in one piece take one send and one receive a side. Each piece is
passed on as it comes. Where the client does not take it at once, the server is read from all the same, up to
``buffer.response`` of the backend, so that it is free for others; so memory is bounded whatever the size of a body.
Every lost connection to a server becomes its row of the failure table here; what becomes of a client that is lost, and
how its answer is written, is the business of its exchange (`l7.workers.downstream.client_exchange`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from l7 import clock
from l7.errors import (
    BAD_RESPONSE,
    BODY_STALLED,
    CLIENT_GONE_DATA,
    CLIENT_GONE_HEAD,
    CLOSED_EARLY,
    CLOSED_UNSENT,
    RESPONSE_TIMEOUT,
    TLS_FAILED,
    TLS_REFUSED,
    TRUNCATED,
    ProxyError,
)
from l7.exchange import Exchange
from l7.http import octets
from l7.http.framing import BodyReader
from l7.http.grammar import elements
from l7.http.heads import END, HeadReader
from l7.http.messages import CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from l7.tls.servers.failure_numbers import REJECTED
from l7.workers.downstream.body import BodyPump, RequestBody
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.limits import BackendProtocolLimits
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.transport.splice import LEAST, Pipe
from l7.workers.transport.stream import CHUNK, NEVER, Stream, StreamLost, StreamTimeout
from l7.workers.transport.tls_records import RECORD

T = TypeVar("T")

APART = 8 * 1024
"""Bytes of a body from which on it is sent beside its head, not joined to it: a copy costs more than two pieces do."""
MOST_INTERIM = 64
"""The most interim responses (1xx) before an answer."""


class Relay:
    """Sends one request and relays its answer over one connection to a server."""

    __slots__ = (
        "_at",
        "_begun",
        "_body",
        "_bounds",
        "_broken",
        "_buffer",
        "_client",
        "_exchange",
        "_head",
        "_pump",
        "_server",
        "announced",
        "answered",
        "late",
        "response",
        "reusable",
    )

    def __init__(
        self,
        exchange: Exchange,
        head: RequestHead,
        body: RequestBody | None,
        client: ClientExchange,
        server: Stream,
        bounds: BackendProtocolLimits,
    ) -> None:
        self._exchange = exchange
        exchange.sent_at = 0.0
        self._head = head
        self._body = body
        self._client = client
        self._server = server
        self._bounds = bounds
        self._buffer = b""
        self._at = 0
        """Where in the buffer the body of the final answer begins: what is large is not cut out of it."""
        self._begun = False
        """Whether `send_at_once` has sent the request, or the beginning of it."""
        self._broken = False
        self._pump: BodyPump | None = None
        self.answered = False
        """Whether part of the answer was sent to the client: from then on it can only be cut off."""
        self.announced = False
        """Whether an interim response was sent to the client: from then on nothing is retried."""
        self.late = False
        """Whether the time of the answer was up before a greenlet waited for it."""
        self.reusable = False
        """Whether the server's connection can take another request."""
        self.response: ResponseHead

    @property
    def leftover(self) -> bytes:
        """The bytes that the server sent behind the head of its answer."""
        return self._buffer

    def send_at_once(self, opening: bytes) -> bool:
        """Send a request that has come whole, and begin the time of its answer; returns False where that fails.

        What the server does not take at once of a body is sent by `request`; a head has to be taken whole.
        """
        try:
            sent = self._server.send_some(opening)
        except StreamLost:
            return False
        if sent < len(opening):
            if self._body is None or (not sent and self._server.transport.can_splice):
                return False  # of TLS some records may have left: it takes the same bytes again
            self._body.unsent = memoryview(opening)[sent:]
        else:
            self._exchange.sent_at = clock.monotonic()
            self._server.deadline = self._exchange.sent_at + self._bounds.response
        self._begun = True
        return True

    def request(self, opening: bytes, greenlets: GreenletPool) -> ResponseHead:
        """Send the request, or what is left of it; returns the head of the answer, or a 101. Raises `ProxyError`."""
        body = self._body
        seconds = self._bounds.response
        if not self._begun:
            self._send(opening)
        expects = self._head.expects
        interim = 0
        while True:
            if body is not None and not body.is_sent() and not self._buffer:
                body.send_until_answer(self._server, seconds, expects=expects)
            response = self._response_head()
            if response.status >= 200 or response.status == 101:
                break
            interim += 1
            if interim > MOST_INTERIM:
                raise ProxyError(BAD_RESPONSE, f"more than {MOST_INTERIM} interim responses")
            expects = expects and response.status != 100
            self._pass_interim(response)
            if body is not None and not body.is_sent():
                self._exchange.sent_at = 0.0  # the rest comes only now, as fast as the client sends it
        self._exchange.response_time = clock.monotonic() - self._exchange.sent_at
        self.response = response
        if body is not None and not body.is_sent() and not expects:
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
        except StreamLost as lost:
            if lost.unsent and (self._server.transport.can_splice or len(opening) <= RECORD):
                raise self._nothing_sent(lost) from None
            self._broken = True
            if body is not None:
                body.broken = True

    def _nothing_sent(self, lost: StreamLost) -> ProxyError:
        """Why nothing of the request was sent; over TLS nothing that can be read, as long as it fits into a record.

        There the server may have said before it closed that it does not take our certificate.
        """
        if not self._server.transport.can_splice:
            try:
                self._server.take()
            except StreamLost as told:
                if told.rejected:
                    return ProxyError(TLS_FAILED, str(told).removeprefix("TLS: "), REJECTED)
        return ProxyError(CLOSED_UNSENT, str(lost), lost.errno)

    def _response_head(self) -> ResponseHead:
        """The next head, interim or final; the bytes behind it stay in the buffer."""
        data = self._buffer
        self._buffer = b""
        server = self._server
        started = clock.monotonic()
        if not self._exchange.sent_at:
            self._exchange.sent_at = started
        if server.deadline == NEVER:
            server.deadline = started + self._bounds.response
        try:
            if not data:
                data = self._await_answer()
            response = self._bounds.parser.take(data, self._head.method)
            if response is not None and response.size <= self._bounds.head + len(END):
                size = len(data)
                if size > response.size:
                    self._keep(data, response)
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
        except StreamLost as lost:
            if lost.rejected:  # in TLS 1.3 a server looks at our certificate when the request has been sent
                raise ProxyError(TLS_REFUSED, str(lost).removeprefix("TLS: "), REJECTED) from None
            raise ProxyError(CLOSED_EARLY, str(lost), lost.errno) from None
        finally:
            server.deadline = NEVER
        self._buffer = reader.rest
        return self._bounds.parser.parse(whole, self._head.method)

    def _keep(self, data: bytes, response: ResponseHead) -> None:
        """Keep what stands behind a head in ``data``: what is large, and nothing but body, as it is."""
        size = len(data) - response.size
        if size < APART or response.length < size or response.status < 200:
            self._buffer = octets.cut(data, response.size, len(data))
        else:
            self._buffer = data
            self._at = response.size

    def _await_answer(self) -> bytes:
        """The first bytes of an answer; a client that disconnects meanwhile cancels its request."""
        server = self._server
        if self.late:
            raise StreamTimeout
        if not server.ready:
            self._client.await_server(server, CLIENT_GONE_HEAD)
        data = server.receive()
        if not data:
            raise ProxyError(CLOSED_EARLY, "closed without an answer")
        return data

    def _pass_interim(self, response: ResponseHead) -> None:
        if self._head.minor:
            self.announced = True
            self._client.send_interim(response)

    def accepts_upgrade(self) -> bool:
        """Whether a 101 is valid: its protocol is one that the client offered, and the request is complete."""
        offered = elements(self._head.upgrade)
        chosen = elements(self.response.upgrade)
        whole = self._body is None or self._body.is_sent()
        return bool(chosen) and whole and not [protocol for protocol in chosen if protocol not in offered]

    def respond(self) -> None:
        """Relay the final answer. Raises `ProxyError`.

        Before anything was sent to the client the failure is answered, after that the connection is cut.
        """
        response = self.response
        whole = self._body is None or self._body.is_sent()
        payload = self._buffer
        at = self._at
        size = len(payload) - at
        reader = self._bounds.reader(response.length, size)
        if response.length == CHUNKED and self._client.takes_chunks(self._head):
            reader.framed = True
        if not at:
            payload = reader.feed(payload) if size else b""
            size = len(payload) - reader.overhead
        elif not reader.done:
            reader.skip(size)
        self.answered = True
        exchange = self._exchange
        exchange.status = response.status
        exchange.sent += size
        self._client.start_response(self._head, response, payload, reader, at)
        if not reader.done:
            self._relay_body(reader)
        if self._pump is not None:
            self._client.flush()  # while it sends its body: it may read only after that
        self._finish(reader, whole=whole)

    def respond_through(self, client: ClientExchange) -> None:
        """As `respond`, to the same client by way of another exchange, which may change the answer on its way."""
        self._client = client
        self.respond()

    def _relay_body(self, reader: BodyReader) -> None:
        """Relay the rest of the body until all of it has come; some of it may still be held for the client."""
        while not reader.done:
            if self._client.held:
                data = self._more_ahead()
                if data is None:
                    continue
            else:
                ahead = reader.ahead()
                pipe = self._client.pipe_from(self._server) if ahead >= LEAST else None
                if pipe is not None:
                    self._splice(pipe, reader, ahead)
                    continue
                data = self._more(ahead)
            self._pass_on(data, reader)

    def _pass_on(self, data: bytes, reader: BodyReader) -> None:
        """Pass a piece of the body on to the client; an empty one is the end of the connection."""
        if not data:
            if self.response.length != UNTIL_CLOSE or self._server.transport.truncated:
                raise ProxyError(TRUNCATED, "the server closed within the body")
            reader.done = True
        try:
            payload = reader.feed(data)
        except ProxyError as failure:
            raise ProxyError(TRUNCATED, failure.detail, seen=failure.seen) from None
        self._exchange.sent += len(payload) - reader.overhead
        self._client.write(payload, reader)

    def _more_ahead(self) -> bytes | None:
        """The next piece for a client that has not taken the one before; None when it has taken some instead."""
        room = self._client.room(self._bounds.response_buffer)
        if room <= 0:
            self._client.drain()
            return None
        if not self._server.ready:
            self._client.drain(self._server)
            return None
        return self._wait_for_more(lambda: self._server.take(min(room, CHUNK)))

    def _splice(self, pipe: Pipe, reader: BodyReader, count: int) -> None:
        """Splice ``count`` bytes of the body, until the client has to be waited for and the rest may be held."""
        with pipe:
            while count and not self._client.held:
                size = self._wait_for_more(lambda: pipe.pull(self._server, count))  # noqa: B023
                if not size:
                    raise ProxyError(TRUNCATED, "the server closed within the body")
                count -= size
                reader.skip(size)
                self._exchange.sent += size
                self._client.write_from(pipe, self._bounds.response_buffer - count)

    def _more(self, ahead: int) -> bytes:
        """The next piece from the server, of a body of which ``ahead`` bytes are certain to come; empty at its end."""
        if not self._server.ready and ahead < LEAST:
            self._server.transport.acknowledge()  # a server that wrote the head apart may hold back the body
        return self._wait_for_more(lambda: self._server.receive())

    def _wait_for_more(self, take: Callable[[], T]) -> T:
        """Take more of the body with ``take``, which waits; raises the server's failure, or that the client left."""
        server = self._server
        server.deadline = clock.monotonic() + self._bounds.body
        try:
            if not server.ready and self._pump is None:
                self._client.await_server(server, CLIENT_GONE_DATA)
            return take()
        except StreamTimeout:
            raise ProxyError(BODY_STALLED, f"nothing came for {self._bounds.body:g} s") from None
        except StreamLost as lost:
            if self._pump is not None and self._pump.failure is not None:
                raise self._pump.failure from None
            raise ProxyError(TRUNCATED, str(lost), lost.errno) from None
        finally:
            server.deadline = NEVER

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
