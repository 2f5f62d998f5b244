"""Compressing answers on their way: what stands between a relay and the client where a coding was chosen.

A `CompressedExchange` is the client as the relay of one answer sees it. It compresses each piece as it comes, and gives
out all that it holds whenever the server pauses, so that what is an event to the server is one to the client. The loop
is held for less than half a millisecond at a time: what takes longer is compressed in parts, with others served between
them, or, of an answer that is large, in a thread, which costs more and leaves the loop to others. The end of the coding
is written only where the server's answer has come to its end: what is cut short stays so.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

from gevent.threadpool import ThreadPool

from l7.errors import Kind
from l7.exchange import Exchange
from l7.http.framing import WHOLE, BodyReader
from l7.http.messages import ABSENT, CHUNKED, RequestHead, ResponseHead
from l7.rules.compression.eligibility import MINIMUM
from l7.rules.compression.encoders import AT_ONCE, MEMORY, Encoder, encoder
from l7.rules.compression.plan import Asked, Plan, head_of, true_of_other_bytes
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import COMPRESSED, UNCOMPRESSED, place
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.runtime.pause import pause
from l7.workers.transport.stream import Stream
from l7.workers.upstream.forwarded_request import ForwardedRequest
from l7.workers.upstream.relay import Relay

THREADS = 2
"""Pieces that are compressed at once beside the loop, in one worker; others wait for one of these."""
MOST_MEMORY = 128 * 1024 * 1024
"""Bytes that the compressors of a worker may take: answers that come while there are so many are not compressed."""

LARGE = 128 * 1024
"""Bytes of an answer from which on a thread is worth its costs; an answer of unknown length may become one."""

KEPT_FREE = 16 * 1024 * 1024
"""Bytes of memory that were freed and that the process keeps, once it compresses."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)

_GO_ON, _FLUSH, _FINISH = range(3)


def _step(stream: Encoder, data: bytes, end: int) -> bytes:
    """Compress one piece; then flush, or finish."""
    coded = stream.compress(data) if data else b""
    if end == _GO_ON:
        return coded
    rest = stream.flush() if end == _FLUSH else stream.finish()
    return coded + rest if coded else rest


def _step_by_step(stream: Encoder, data: bytes, end: int, most: int) -> bytes:
    """The same in parts of ``most`` bytes; others are served between them."""
    pieces = []
    last = (len(data) - 1) // most * most
    for at in range(0, last, most):
        pieces.append(stream.compress(data[at : at + most]))
        pause()
    pieces.append(_step(stream, data[last:], end))
    return b"".join(pieces)


def _keep_free_memory() -> None:
    """Let the C library keep what compressors free: mapping and zeroing it for each takes up to half of their time.

    Where there is no such setting, as in musl, nothing happens.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, KEPT_FREE)
        mallopt(_MMAP_THRESHOLD, KEPT_FREE // 2)


class Compressor:
    """What the compressed answers of one worker share: threads, the bound of their memory, counters."""

    __slots__ = ("_pool", "_ready", "_writer", "memory")

    def __init__(self, writer: CounterWriter) -> None:
        self._writer = writer
        self._pool: ThreadPool | None = None
        self._ready = False
        """Whether an answer was compressed before."""
        self.memory = 0
        """Bytes that compressors may take now."""

    def respond(self, relay: Relay, asked: Asked, forwarded: ForwardedRequest, server: Stream) -> None:
        """Relay the answer that has begun, compressed where it may be; raises as `Relay.respond`."""
        response, exchange = relay.response, forwarded.exchange
        plan = asked.plan(response, forwarded.cookie)
        if plan is None:
            relay.respond()
            return
        coding = plan.coding
        if coding is None or self.memory >= MOST_MEMORY:
            response.runs = plan.plain
            relay.respond()
        elif response.length == ABSENT:  # to HEAD
            response.runs = plan.runs
            response.declared = ABSENT
            relay.respond()
        else:
            if not self._ready:
                self._ready = True
                _keep_free_memory()
            coded = CompressedExchange(forwarded.client, server, exchange, plan, self)
            self._respond_coded(relay, coded, place(exchange.row), MEMORY[coding])

    def _respond_coded(self, relay: Relay, coded: CompressedExchange, at: int, memory: int) -> None:
        self.memory += memory
        try:
            relay.respond_through(coded)
        finally:
            self.memory -= memory
            if coded.taken:
                self._writer.add(at + UNCOMPRESSED, coded.taken)
                self._writer.add(at + COMPRESSED, coded.given)

    def step(self, stream: Encoder, coding: bytes, data: bytes, end: int, length: int) -> bytes:
        """Compress one piece of an answer of ``length`` bytes, below 0 where that is not known."""
        most = AT_ONCE[coding]
        if len(data) <= most:
            return _step(stream, data, end)
        if 0 <= length < LARGE:
            return _step_by_step(stream, data, end, most)
        if self._pool is None:
            self._pool = ThreadPool(THREADS)
        coded: bytes = self._pool.apply(_step, (stream, data, end))
        return coded


class CompressedExchange(ClientExchange):
    """A client whose answer is compressed; only for the relay of that answer, once its head has come."""

    __slots__ = (
        "_client", "_coding", "_compressor", "_exchange", "_length", "_plan", "_server", "_stream", "_unflushed",
        "_written", "given", "taken",
    )  # fmt: skip

    def __init__(
        self, client: ClientExchange, server: Stream, exchange: Exchange, plan: Plan, compressor: Compressor
    ) -> None:
        super().__init__(client.hop, trusted=client.trusted)
        self._client = client
        self._server = server
        self._exchange = exchange
        self._plan = plan
        self._coding = plan.coding or b""
        self._compressor = compressor
        self._stream: Encoder | None = None
        self._length = ABSENT
        """What was said of the length; below 0 for nothing."""
        self._unflushed = False
        """Whether the compressor may hold some of what it took."""
        self._written = BodyReader()
        """What the client's exchange is told of the compressed body: whether it is done, and its trailers."""
        self.taken = 0
        """Bytes that were compressed."""
        self.given = 0
        """Bytes that they became."""

    # --- the answer -------------------------------------------------------------------------------------------------

    def start_response(
        self, head: RequestHead, response: ResponseHead, payload: bytes, reader: BodyReader, at: int = 0
    ) -> None:
        """As the client's: with a length where the whole body is there, else in chunks."""
        body = payload[at:] if at else payload
        if reader.done and not reader.trailers:
            self._send_whole(head, response, body)
        else:
            self._length = response.declared
            self._stream = encoder(self._coding, self._length)
            data = self._coded(body, reader)
            self._client.start_response(head, head_of(response, self._plan.runs, CHUNKED), data, self._written)
        self.held = self._client.held

    def _send_whole(self, head: RequestHead, response: ResponseHead, body: bytes) -> None:
        """Send a body that has come whole, as it is where it is too small, or does not become smaller."""
        size = len(body)
        data = body
        if size >= MINIMUM:
            data = self._compressor.step(encoder(self._coding, size), self._coding, body, _FINISH, size)
        if len(data) < size:
            self._note(size, len(data))
            self._client.start_response(head, head_of(response, self._plan.runs, len(data)), data, WHOLE)
        else:
            self._client.start_response(head, head_of(response, self._plan.plain, size), body, WHOLE)

    def write(self, payload: bytes, reader: BodyReader) -> None:
        """Compress and send more of the body."""
        data = self._coded(payload, reader)
        if data or reader.done:
            self._client.write(data, self._written)
            self.held = self._client.held

    def _coded(self, payload: bytes, reader: BodyReader) -> bytes:
        """What can be sent by now: all that has come, where the server pauses."""
        if self._stream is None:
            raise AssertionError("the answer has not begun")
        if reader.done:
            end = _FINISH
            self._written.done = True
            self._written.trailers = true_of_other_bytes(reader.trailers)
        else:
            end = _GO_ON if self._server.ready or self._server.has_bytes() else _FLUSH
            if not payload and (end == _GO_ON or not self._unflushed):
                return b""
        self._unflushed = end == _GO_ON
        data = self._compressor.step(self._stream, self._coding, payload, end, self._length)
        self._note(len(payload), len(data))
        return data

    def _note(self, taken: int, given: int) -> None:
        self.taken += taken
        self.given += given
        self._exchange.sent += given - taken  # the relay has counted what it wrote

    # --- what is the client's own affair ------------------------------------------------------------------------------

    def has_left(self) -> bool:
        """As the client's."""
        return self._client.has_left()

    def await_server(self, server: Stream, gone: Kind) -> None:
        """As the client's."""
        self._client.await_server(server, gone)

    def room(self, bound: int) -> int:
        """As the client's."""
        return self._client.room(bound)

    def drain(self, server: Stream | None = None) -> None:
        """As the client's."""
        self._client.drain(server)
        self.held = self._client.held

    def flush(self) -> None:
        """As the client's."""
        self._client.flush()
        self.held = self._client.held

    def pipe_from(self, server: Stream) -> None:
        """None: all that ``server`` sends is compressed."""

    def abort(self) -> None:
        """As the client's."""
        self._client.abort()
