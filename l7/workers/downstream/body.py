"""A request's body on its way up: read from the client, framed anew, sent while its answer is awaited or relayed.

Hot for requests with bodies: one of 4 KB that comes whole with its head costs 6,000 instructions more than none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from gevent import get_hub
from gevent.event import Event

from l7.clock import monotonic
from l7.errors import BODY_TIMEOUT, CLIENT_GONE_DATA, RESPONSE_TIMEOUT, ProxyError
from l7.exchange import Exchange
from l7.http.framing import BodyReader, LengthReader, bound_request
from l7.workers.buffers import BufferLimit
from l7.workers.transport.splice import LEAST, Pipe
from l7.workers.transport.stream import CHUNK, NEVER, Stream, StreamLost, StreamTimeout

T = TypeVar("T")

DRAINABLE = 64 * 1024
"""Bytes of an unwanted body that are read so that the connection can live on."""


class BodySource(Protocol):
    """The connection that a body is read from."""

    stream: Stream

    def unread(self, data: bytes) -> None:
        """Take back what came behind the end of the body: the beginning of the next request."""


class RequestBody:
    """What is still to come of a request's body; what comes behind it goes back to its ``source``.

    ``seconds`` is how long the client may take between two pieces. ``first`` is what had come with the head: it is
    kept, so that a request which is whole in it can be sent again; so is what was read by `buffer`.
    """

    __slots__ = (
        "_exchange", "_reader", "_seconds", "_source", "broken", "buffered", "first", "stream", "streamed", "unsent",
    )  # fmt: skip

    def __init__(self, reader: BodyReader, source: BodySource, exchange: Exchange, seconds: float) -> None:
        self._reader = reader
        reader.framed = not isinstance(reader, LengthReader)
        self._source = source
        self._exchange = exchange
        self._seconds = seconds
        self.stream = source.stream
        self.first = b""
        self.buffered = 0
        """Bytes of ``first`` that are counted as buffered."""
        self.unsent: bytes | memoryview = b""
        self.broken = False
        """Whether the server stopped reading it."""
        self.streamed = False
        """Whether more than ``first`` was read: that is not kept, so the request cannot be sent again."""

    def is_done(self) -> bool:
        """Whether all of it has been read from the client."""
        return self._reader.done

    def is_sent(self) -> bool:
        """Whether all of it has gone to the server."""
        return self._reader.done and not self.unsent and not self.broken

    @property
    def drainable(self) -> bool:
        """Whether at most `DRAINABLE` bytes are missing, so that reading them is cheaper than a new connection."""
        return self.is_done() or (isinstance(self._reader, LengthReader) and self._reader.left <= DRAINABLE)

    def bound(self, length: int, limit: int) -> None:
        """Take at most ``limit`` bytes of a body with the framing ``length``; raises `ProxyError` (413)."""
        bound_request(self._reader, length, limit)

    def begin(self, data: bytes) -> None:
        """Take what came with the head; raises `ProxyError` for a broken body."""
        if self._reader.done:
            self._source.unread(data)
        elif data:
            self.first = self._frame(data)

    def read(self, size: int = CHUNK) -> bytes:
        """The next piece, framed anew; raises `ProxyError` for a broken body, a slow client or a lost one."""
        self._acknowledge()
        data = self._receive(lambda: self.stream.receive(size))
        if not data:
            raise ProxyError(CLIENT_GONE_DATA, "closed within the request body")
        return self._frame(data)

    def buffer(self, buffers: BufferLimit, total: float) -> None:
        """Read the rest into ``first`` before a server is picked, while ``buffers`` has room. Raises as `read`.

        ``total`` is how long the request may take (``timeouts.total``), 0 for any time.
        """
        until = self._exchange.started + total if total else NEVER
        pieces = [self.first]
        self._count(buffers, len(self.first))
        while not self.is_done() and buffers.left > 0:
            self._acknowledge()
            self._receive(lambda: self.stream.wait(), until)
            if buffers.left > 0:  # others may have taken what was left
                came = self.read(min(buffers.left, CHUNK))
                self._count(buffers, len(came))
                pieces.append(came)
        self.first = b"".join(pieces)
        self.streamed = False

    def _count(self, buffers: BufferLimit, size: int) -> None:
        self.buffered += size
        buffers.used += size

    def release(self, buffers: BufferLimit) -> None:
        """Keep none of it any more."""
        self.first = b""
        self._count(buffers, -self.buffered)

    def _acknowledge(self) -> None:
        """Let a client go on that wrote the head apart and holds back the body; a large one fills its segments."""
        if not self.stream.ready and self._reader.ahead() < LEAST:
            self.stream.transport.acknowledge()

    def _receive(self, take: Callable[[], T], until: float = NEVER) -> T:
        """Take more from the client with ``take``, which waits."""
        stream = self.stream
        stream.deadline = min(monotonic() + self._seconds, until)
        self.streamed = True
        try:
            return take()
        except StreamTimeout:
            if monotonic() >= until:
                raise ProxyError(BODY_TIMEOUT, f"not done within {until - self._exchange.started:g} s") from None
            raise ProxyError(BODY_TIMEOUT, f"nothing came for {self._seconds:g} s") from None
        except StreamLost as lost:
            raise ProxyError(CLIENT_GONE_DATA, str(lost)) from None
        finally:
            stream.deadline = NEVER

    def _frame(self, data: bytes) -> bytes:
        payload = self._reader.feed(data)
        if self._reader.done:
            self._source.unread(self._reader.rest)
        self._exchange.received += len(payload) - self._reader.overhead
        return payload

    def restart(self) -> None:
        """Begin anew with another connection: nothing of the body has gone there yet."""
        self.unsent = b""
        self.broken = False

    def send_until_answer(self, server: Stream, seconds: float, *, expects: bool) -> None:
        """Send the body until all of it is sent or ``server`` says something; what did not leave stays ``unsent``.

        ``seconds`` is how long the server may take to take more; while the client waits for 100 Continue (``expects``)
        that is also how long it may take to say so. A server that closes is found by whoever reads its answer.
        """
        try:
            while not server.ready and not self.broken:
                if self.unsent:
                    self.unsent = server.push(self.unsent, seconds)
                elif self.is_done():
                    return
                else:
                    self._await_more(server, seconds, expects=expects)
                    if not server.ready:
                        self.pass_on(server, seconds, until_heard=True)
        except StreamTimeout:
            raise ProxyError(RESPONSE_TIMEOUT, "the server does not take the request body") from None
        except StreamLost:
            self.broken = True

    def pass_on(self, server: Stream, seconds: float, *, until_heard: bool) -> None:
        """Read the next piece; of a large body it goes on to ``server`` at once. What did not leave is ``unsent``.

        ``until_heard`` stops sending as soon as the server says something.
        """
        ahead = self._reader.ahead()
        pipe = Pipe.between(self.stream, server) if ahead >= LEAST else None
        if pipe is None:
            self.unsent = self.read()
            return
        with pipe:
            size = self._receive(lambda: pipe.pull(self.stream, ahead))
            if not size:
                raise ProxyError(CLIENT_GONE_DATA, "closed within the request body")
            self._exchange.received += size
            self._reader.skip(size)
            pipe.push(server, seconds, until_heard=until_heard)
            self.unsent = pipe.rest()

    def _await_more(self, server: Stream, seconds: float, *, expects: bool) -> None:
        """Wait until the client sends more or the server answers early."""
        self._acknowledge()
        client = self.stream
        waited_for = server if expects else client
        waited_for.deadline = monotonic() + (seconds if expects else self._seconds)
        try:
            client.wait_either(server)
        except StreamTimeout:
            if expects:
                raise ProxyError(RESPONSE_TIMEOUT, "neither 100 Continue nor an answer") from None
            raise ProxyError(BODY_TIMEOUT, f"nothing came for {self._seconds:g} s") from None
        finally:
            waited_for.deadline = NEVER

    def drain(self) -> bool:
        """Read and discard the rest of a `drainable` body; returns whether the connection can be kept."""
        until = monotonic() + self._seconds
        try:
            while not self.is_done() and self._seconds > 0:
                self.read()
                self._seconds = until - monotonic()
        except ProxyError:
            return False
        return self.is_done()

    def discard(self) -> bool:
        """Read and discard the next piece; returns False at the end."""
        try:
            return bool(self.stream.receive())
        except (StreamLost, StreamTimeout):
            return False


class BodyPump:
    """Sends the rest of a body while its answer is already being relayed: both directions flow at once.

    What the server does not take is read and discarded: a client that reads only after it has sent all would never read
    an answer that is larger than the buffers between.

    ``run`` is a task of `GreenletPool`; the greenlet that relays the answer calls `stop` when it has finished.
    """

    __slots__ = ("_body", "_ended", "_seconds", "_server", "failure", "stopped")

    def __init__(self, body: RequestBody, server: Stream, seconds: float) -> None:
        self._body = body
        self._server = server
        self._seconds = seconds
        self._ended = Event()
        self.stopped = False
        self.failure: ProxyError | None = None
        """The client's failure, because of which the server's stream was closed."""

    def run(self) -> None:
        """Read and send until the body is whole or it is stopped."""
        body = self._body
        try:
            while not (self.stopped or body.is_sent() or body.broken):
                if body.unsent:
                    self._server.send(body.unsent, self._seconds)
                    body.unsent = b""
                else:
                    body.pass_on(self._server, self._seconds, until_heard=False)
        except (StreamLost, StreamTimeout):
            body.broken = True
        except ProxyError as failure:
            body.broken = True
            if not self.stopped:
                self.failure = failure
                self._server.close()
        while not (self.stopped or self.failure is not None or body.is_done()):
            if not body.discard():
                break
        self._ended.set()

    def stop(self) -> None:
        """Stop the pump and wait until its greenlet has finished, because the streams are needed."""
        if self._ended.is_set():
            return
        self.stopped = True
        self._server.close()
        get_hub().loop.run_callback(self._body.stream.interrupt)
        self._ended.wait()
