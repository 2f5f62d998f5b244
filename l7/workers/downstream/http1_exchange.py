"""The client exchange of HTTP/1.1: one request at a time on a stream, whose answers are framed and written here.

Whatever the client sends while its request is served is the beginning of its next request. It is kept in a buffer that
nobody else knows, up to `MOST_EARLY` bytes of it, so that the end behind it is seen.

Hot: an answer that comes in one piece is one head, one join and one send.
"""

from __future__ import annotations

from l7.clock import monotonic
from l7.errors import BODY_TIMEOUT, CLIENT_GONE_DATA, CLIENT_GONE_HEAD, WRITE_TIMEOUT, Kind, ProxyError
from l7.exchange import Exchange
from l7.http.forwarding import Hop, interim_head, switching_head
from l7.http.framing import BodyReader, rechunk, request_reader
from l7.http.messages import ABSENT, CHUNKED, CONTINUE, UNTIL_CLOSE, LocalResponse, RequestHead, ResponseHead
from l7.workers.downstream.body import RequestBody
from l7.workers.downstream.client_exchange import ClientExchange, ClientWaiter
from l7.workers.downstream.client_wait import ClientWait
from l7.workers.downstream.request_handler import RequestHandler
from l7.workers.responses import http_date, phrase
from l7.workers.transport.splice import Pipe
from l7.workers.transport.stream import NEVER, Stream, StreamLost, StreamTimeout

LOOK = 1.0
"""Seconds between two checks whether a half-closed client has gone."""
_WITHOUT_LENGTH = (204, 304)
"""Statuses whose answers say nothing of a length (RFC 9110, 8.6): no body, or one that is not sent."""
MOST_EARLY = 64 * 1024
"""The most bytes of pipelined requests that are read while one is served."""


class Http1Exchange(ClientExchange):
    """The requests and answers of one client's ``stream``, one after the other; ``handler`` serves them."""

    __slots__ = ("_body", "_buffer", "_framing", "_handler", "_take_until", "_untaken", "kept", "last", "stream")

    def __init__(self, stream: Stream, hop: Hop, handler: RequestHandler, *, trusted: bool) -> None:
        self._attach(stream, hop, handler, trusted)

    def _attach(self, stream: Stream, hop: Hop, handler: RequestHandler, trusted: bool) -> None:
        """What is set for a new connection: not in the constructor, which other classes would call through Python."""
        self.hop = hop
        self.trusted = trusted
        self.held = 0
        handler.connections += 1
        self.came = handler.connections << 23
        self.stream = stream
        self.last = False
        """Whether the next answer is the connection's last, because it cannot be handed over."""
        self._handler = handler
        self._buffer = b""
        """Bytes received and not yet understood: the beginning of the next request."""
        self._body: RequestBody | None = None
        """The body of the present request."""
        self._framing = ABSENT
        """How the present answer is framed."""
        self._untaken: bytearray | None = None
        """Bytes of the present answer that the client has not taken: `held` is their number."""
        self._take_until = NEVER
        """When the client has to have taken some of them."""
        self.kept = False
        """Whether another request can follow the present one, which was answered."""

    @property
    def pending(self) -> bytes:
        """Bytes of the next request that have been received: another worker that goes on needs them."""
        return self._buffer

    # --- what the client sends ----------------------------------------------------------------------------------------

    def has_body(self, head: RequestHead) -> bool:
        """Whether the body that ``head`` announces has a length, and came whole with it."""
        return 0 <= head.length <= len(self._buffer)

    def read_body(self, exchange: Exchange, head: RequestHead) -> RequestBody:
        """The body that ``head`` announces, begun with what came behind it; raises `ProxyError` (400)."""
        bounds = self._handler.bounds
        reader = request_reader(head.length, bounds.fields, bounds.head)
        body = self._body = RequestBody(reader, self, exchange, bounds.body_seconds)
        data = self._buffer
        self._buffer = b""
        body.begin(data)
        return body

    def buffer_body(self, head: RequestHead, total: float) -> None:
        """Read the rest of the body before a server is picked, where buffers may hold more; raises `ProxyError`."""
        body = self._body
        buffers = self._handler.buffers
        if body is None or buffers.left <= 0:
            return
        if head.expects and not body.first:
            self.send_interim(CONTINUE)
        head.expects = False
        body.buffer(buffers, total)

    def unread(self, data: bytes) -> None:
        """Take back what came behind the end of a body."""
        self._buffer = data

    def has_left(self) -> bool:
        """Whether nothing can be sent to the client any more: its connection is closed."""
        return self.stream.closed

    def fault(self) -> Kind | None:
        """What a request has failed with whose time is up now while it waits for its client; None where it does not."""
        stream = self.stream
        if stream.write_deadline != NEVER:
            return WRITE_TIMEOUT
        return BODY_TIMEOUT if stream.deadline != NEVER and stream.handler is None else None

    def _may_read_ahead(self) -> bool:
        """Whether what comes now is the next request, and there is room for it: `RequestBody` reads the present one."""
        return (self._body is None or self._body.is_done()) and len(self._buffer) < MOST_EARLY

    def _read_ahead(self) -> None:
        """Read what the client has sent of its next request; raises `StreamLost` when it has reset the connection."""
        data = self.stream.take()
        if data:
            self._buffer += data

    def await_server(self, server: Stream, gone: Kind) -> None:
        """Wait until ``server`` has something to say; raises a `ProxyError` of ``gone`` when the client leaves first.

        Nothing is read while the request's body is being sent, because `RequestBody` reads then.
        """
        client = self.stream
        while not server.ready:
            if client.half_closed:
                self._await_for_half_closed(server, gone)
                return
            if not self._may_read_ahead():
                server.wait()
                return
            server.wait_either(client)
            if client.ready and not server.ready:
                try:
                    self._read_ahead()
                except StreamLost as lost:
                    raise ProxyError(gone, f"{lost} before the answer was complete") from None

    def _await_for_half_closed(self, server: Stream, gone: Kind) -> None:
        """As `await_server`, for a half-closed client: it waits for its answer, or has gone.

        TCP does not show which before something is sent. So the server has ``timeouts.half-closed``; a client that was
        reset meanwhile, or that has closed a unix socket, is known to have gone.
        """
        late, patience = server.deadline, self._handler.bounds.half_closed_seconds
        until = monotonic() + patience
        while not server.ready:
            now = monotonic()
            if now >= until or self.stream.hung_up():
                raise ProxyError(gone, f"closed, or half-closed for more than {patience:g} s (timeouts.half-closed)")
            server.deadline = min(late, until, now + LOOK)
            try:
                server.wait()
            except StreamTimeout:
                if monotonic() >= late:
                    raise
        server.deadline = late

    def watch(self, waiter: ClientWaiter, until: float) -> None:
        """Tell ``waiter`` when the client leaves, or it is ``until``, while its request waits for a server."""
        stream = self.stream
        handler = stream.handler = ClientWait(self, waiter)
        stream.deadline = until
        if stream.ready:
            handler.on_ready(stream)
        elif not stream.watching:
            stream.watch()

    def unwatch(self) -> None:
        """End `watch`."""
        if isinstance(self.stream.handler, ClientWait):
            self.stream.handler = None
        self.stream.deadline = NEVER

    def read_while_waiting(self) -> bool:
        """Read what the client of a waiting request sends; returns whether it is known to have left."""
        if not self._may_read_ahead():
            return False
        try:
            self._read_ahead()
        except StreamLost:
            return True
        return self.stream.half_closed and self.stream.hung_up()

    @property
    def patience(self) -> float:
        """Seconds for which a request goes on whose client has half-closed."""
        return self._handler.bounds.half_closed_seconds

    # --- what it is sent ----------------------------------------------------------------------------------------------

    def send_interim(self, response: ResponseHead) -> None:
        """Send an interim response (1xx). Raises `ProxyError` as `write`."""
        self._send(interim_head(response))

    def takes_chunks(self, head: RequestHead) -> bool:
        """Whether answers without a length are chunked: since HTTP/1.1."""
        return head.minor > 0

    def start_response(
        self, head: RequestHead, response: ResponseHead, payload: bytes, reader: BodyReader, at: int = 0
    ) -> None:
        """Send the head of the answer to ``head``, and what has come of its body; as `write`."""
        minor = head.minor
        hop = self.hop
        framing = self._framing = hop.framing(response, minor)
        connection = b"" if minor else b"keep-alive"
        self.kept = head.persistent and framing != UNTIL_CLOSE and self._may_go_on() and self._has_sent_body()
        if not self.kept:
            connection = b"close"
        pieces: list[bytes] = []
        if framing == CHUNKED and not reader.framed:
            rechunk(payload, reader, pieces)
        elif payload and not at:
            pieces.append(payload)
        date = b"" if response.dated else http_date()
        data = hop.response_head(response, framing, date, connection, pieces)
        if at:
            self._offer_both(data, payload, at)
        else:
            self._offer(data)

    def _may_go_on(self) -> bool:
        """Whether another request may come on this connection."""
        if self.last or self._handler.ending or self._handler.overloaded:
            return False
        return not self.stream.half_closed or bool(self._buffer)

    def _has_sent_body(self) -> bool:
        """Whether nothing of the present request is still to come, or on its way to the server."""
        return self._body is None or self._body.is_sent()

    def write(self, payload: bytes, reader: BodyReader) -> None:
        """Send more of the body, with the trailers of ``reader`` where that is at its end; hold what is not taken."""
        if self._framing == CHUNKED and not reader.framed:
            pieces: list[bytes] = []
            rechunk(payload, reader, pieces)
            payload = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if payload:
            self._offer(payload)

    def _offer(self, data: bytes) -> None:
        """Send what the client takes at once, and hold the rest."""
        sent = 0
        if not self.held:
            try:
                sent = self.stream.send_some(data)
            except StreamLost as failure:
                raise self._not_taken(failure) from None
        if sent < len(data):
            self._hold(memoryview(data)[sent:])

    def _offer_both(self, head: bytes, data: bytes, at: int) -> None:
        """As `_offer`, for ``head`` and what ``data`` holds from ``at`` on."""
        sent = 0
        size = len(head)
        try:
            sent = self.stream.send_some(data, head, at)
        except StreamLost as failure:
            raise self._not_taken(failure) from None
        if sent < size:
            self._hold(head[sent:])
            sent = size
        if sent - size < len(data) - at:
            self._hold(memoryview(data)[at + sent - size :])

    def _hold(self, data: bytes | memoryview) -> None:
        """Keep for the client what it does not take now."""
        if self._untaken is None:
            self._untaken = bytearray()
            self._take_until = monotonic() + self._handler.bounds.write_seconds
        self._untaken += data
        self._note_held(len(data))

    def _note_held(self, more: int) -> None:
        """Count bytes that are held from now on; fewer than 0 are no longer."""
        self.held += more
        self._handler.buffers.used += more

    def _discard_held(self) -> None:
        """Hold nothing any more."""
        self._untaken = None
        self._note_held(-self.held)

    def room(self, bound: int) -> int:
        """How many bytes may be read ahead of the client: of ``bound``, and of what all buffers may take."""
        return min(bound - self.held, self._handler.buffers.left)

    def drain(self, server: Stream | None = None) -> None:
        """Wait until the client takes some of what is held, or ``server`` has something to say; raises `ProxyError`."""
        untaken = self._untaken
        if untaken is None:
            return
        seconds = max(self._take_until - monotonic(), 0.0)
        try:
            if server is None:
                self.stream.wait_writable(seconds)
            else:
                self.stream.wait_writable_or_readable(server, seconds)
                if server.ready:
                    return
            sent = self.stream.send_some(untaken)
        except (StreamLost, StreamTimeout) as failure:
            raise self._not_taken(failure) from None
        if sent == len(untaken):
            self._discard_held()
        elif sent:
            self._take_until = monotonic() + self._handler.bounds.write_seconds
            del untaken[:sent]
            self._note_held(-sent)

    def flush(self) -> None:
        """Wait until the client has taken all that is held; raises `ProxyError`."""
        while self.held:
            self.drain()

    def pipe_from(self, server: Stream) -> Pipe | None:
        """An empty pipe for a part of the body that is spliced; None where what ``server`` sends has to be copied."""
        return Pipe.between(server, self.stream)

    def write_from(self, pipe: Pipe, bound: int) -> None:
        """Send what ``pipe`` holds of the body, or of a chunk that has begun; hold the rest within ``bound``."""
        try:
            while not pipe.push_some(self.stream):
                if pipe.held <= self.room(bound):
                    self._hold(pipe.rest())
                else:
                    self.stream.wait_writable(self._handler.bounds.write_seconds)
        except (StreamLost, StreamTimeout) as failure:
            raise self._not_taken(failure) from None

    def _send(self, data: bytes) -> None:
        try:
            self.stream.send(data, self._handler.bounds.write_seconds)
        except (StreamLost, StreamTimeout) as failure:
            raise self._not_taken(failure) from None

    def _not_taken(self, failure: StreamLost | StreamTimeout) -> ProxyError:
        if isinstance(failure, StreamLost):
            return ProxyError(CLIENT_GONE_DATA, str(failure))
        return ProxyError(WRITE_TIMEOUT, f"took nothing for {self._handler.bounds.write_seconds:g} s")

    def answer(self, response: LocalResponse, head: RequestHead | None, *, keep: bool = True) -> int:
        """Send a whole answer of l7's own; returns the size of its body. A client that does not take it is gone.

        The connection is kept where the rest of the request's body is little enough to be read and discarded.
        """
        body = self._body
        keep = keep and head is not None and head.persistent and self._may_go_on()
        if keep and body is not None:
            keep = body.is_done() or (body.drainable and not (head is not None and head.expects))
        data, size = answer_bytes(response, head, keep=keep)
        try:
            self._send(data)
        except ProxyError:
            keep = False
        self.kept = keep and (body is None or body.drain())
        return size

    def switch_protocols(self, response: ResponseHead) -> tuple[Stream, bytes]:
        """Send a 101; returns the stream of the tunnel and what the client has sent into it already."""
        try:
            self._send(switching_head(response))
        except ProxyError:
            raise ProxyError(CLIENT_GONE_HEAD, "closed while switching protocols") from None
        early, self._buffer = self._buffer, b""
        return self.stream, early

    def abort(self) -> None:
        """End the connection at once; where only its end would end the answer, by a reset."""
        self.kept = False
        self._discard_held()
        if self._framing == UNTIL_CLOSE:
            self.stream.reset()
        self.stream.close()


def answer_bytes(response: LocalResponse, head: RequestHead | None, *, keep: bool) -> tuple[bytes, int]:
    """An answer of l7's own to ``head`` as HTTP/1.1 has it, and the size of its body: 0 where none is sent (HEAD)."""
    lines = [f"HTTP/1.1 {response.status} {phrase(response.status)}", f"Date: {http_date().decode('ascii')}"]
    if response.media_type:
        lines.append(f"Content-Type: {response.media_type}")
    if response.status not in _WITHOUT_LENGTH:
        lines.append(f"Content-Length: {len(response.body)}")
    lines += response.fields
    if not keep:
        lines.append("Connection: close")
    elif head is not None and not head.minor:
        lines.append("Connection: keep-alive")
    text = "\r\n".join([*lines, "", ""]).encode("latin-1")  # bytes of fields that are no ASCII are what they were
    if head is not None and head.method == b"HEAD":
        return text, 0
    return text + response.body, len(response.body)
