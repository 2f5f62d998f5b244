"""One request of a client and its answer as the proxy sees them: what lies between the proxy and the wire.

`ClientExchange` is all that the proxy, relays, queues and tunnels know of a client. HTTP/1.1 is the one implementation
(`l7.workers.downstream.http1_exchange`): a connection serves one request at a time there, so the connection itself is
the exchange, and nothing is made for a request.

Hot only as types: what is called here goes to the implementation by its pointer.
"""

from __future__ import annotations

from typing import Protocol

from l7.errors import Kind
from l7.exchange import Exchange
from l7.http.forwarding import Hop
from l7.http.framing import BodyReader
from l7.http.messages import LocalResponse, RequestHead, ResponseHead
from l7.workers.downstream.body import RequestBody
from l7.workers.transport.splice import Pipe
from l7.workers.transport.stream import Stream


class ClientWaiter(Protocol):
    """A request that waits for a server, as its client's side sees it. Both are called by the loop."""

    def client_left(self) -> None:
        """Called when the client has disconnected, or was half-closed for too long."""

    def time_out(self) -> None:
        """Called when the time of the wait is up."""


class ClientExchange:
    """One request of a client and its answer. ``trusted`` says that the peer is a trusted proxy."""

    __slots__ = ("came", "held", "hop", "trusted")

    def __init__(self, hop: Hop, *, trusted: bool) -> None:
        self.hop = hop
        """What the connection adds to each request."""
        self.trusted = trusted
        self.came = 0
        """The number of the connection (from the 24th bit on) and of its last request, as `Exchange.connection`."""
        self.held = 0
        """Bytes of the answer, framed, that the client has not taken yet of what was sent to it."""

    def has_body(self, head: RequestHead) -> bool:
        """Whether the body that ``head`` announces has a length, and came whole with it."""
        return False

    def read_body(self, exchange: Exchange, head: RequestHead) -> RequestBody:
        """The body that ``head`` announces, begun with what came behind it; raises `ProxyError` (400)."""
        raise NotImplementedError

    def buffer_body(self, head: RequestHead, total: float) -> None:
        """Read the rest of that body before a server is picked, so that a slow client holds none.

        Without waiting for a server the client is told to go on (100). ``total`` is how many seconds the request may
        take, 0 for any time. Raises `ProxyError` (400, 408, CLIENT_GONE_DATA).
        """
        raise NotImplementedError

    def has_left(self) -> bool:
        """Whether nothing can be sent to the client any more: its connection is closed."""
        raise NotImplementedError

    def fault(self) -> Kind | None:
        """What a request has failed with whose time is up now while it waits for its client; None where it does not.

        WRITE_TIMEOUT for a client that does not take its answer, BODY_TIMEOUT for one that does not send its body.
        """
        raise NotImplementedError

    def await_server(self, server: Stream, gone: Kind) -> None:
        """Wait until ``server`` has something to say; raises a `ProxyError` of ``gone`` when the client leaves first.

        Raises what `Stream.wait` of the server raises.
        """
        raise NotImplementedError

    def watch(self, waiter: ClientWaiter, until: float) -> None:
        """Tell ``waiter`` when the client leaves, or it is ``until``, while its request waits for a server."""
        raise NotImplementedError

    def unwatch(self) -> None:
        """End `watch`."""
        raise NotImplementedError

    def send_interim(self, response: ResponseHead) -> None:
        """Send an interim response (1xx). Raises `ProxyError` as `write`."""
        raise NotImplementedError

    def takes_chunks(self, head: RequestHead) -> bool:
        """Whether the answer to ``head`` goes on in chunks where a server sends chunks: by a ``framed`` reader."""
        return False

    def start_response(
        self, head: RequestHead, response: ResponseHead, payload: bytes, reader: BodyReader, at: int = 0
    ) -> None:
        """Send the head of the answer to ``head``, and what has come of its body. Raises `ProxyError` as `write`.

        It goes on with `write` unless ``reader``, which ``payload`` was read with, is at the end of the body. Of
        ``payload`` what is before ``at`` is none of it: only where the answer has a length.
        """
        raise NotImplementedError

    def write(self, payload: bytes, reader: BodyReader) -> None:
        """Send more of the body, with the trailers of ``reader`` where that is at its end; never waits.

        What the client does not take is `held`. This, and what waits until it takes that, raises `ProxyError` when the
        client takes nothing for ``timeouts.write`` (WRITE_TIMEOUT) or has disconnected (CLIENT_GONE_DATA).
        """
        raise NotImplementedError

    def room(self, bound: int) -> int:
        """How many bytes of the answer may be read ahead of the client, of whose answer ``bound`` may be held."""
        raise NotImplementedError

    def drain(self, server: Stream | None = None) -> None:
        """Wait until the client takes some of what is `held`, or ``server`` has something to say. Raises as `write`."""
        raise NotImplementedError

    def flush(self) -> None:
        """Wait until the client has taken all that is `held`. Raises `ProxyError` as `write`."""
        raise NotImplementedError

    def pipe_from(self, server: Stream) -> Pipe | None:
        """An empty pipe for a part of the body that is spliced; None where what ``server`` sends has to be copied."""
        raise NotImplementedError

    def write_from(self, pipe: Pipe, bound: int) -> None:
        """Send what ``pipe`` holds of the body; waits until there is `room`, within ``bound``, for what is not taken.

        That is `held`. Raises `ProxyError` as `write`.
        """
        raise NotImplementedError

    def answer(self, response: LocalResponse, head: RequestHead | None, *, keep: bool = True) -> int:
        """Send a whole answer of l7's own; returns the size of its body. A client that does not take it is gone.

        ``head`` is the request, where that could be read. ``keep`` says that other requests of the client may follow.
        """
        raise NotImplementedError

    def switch_protocols(self, response: ResponseHead) -> tuple[Stream, bytes]:
        """Send a 101; returns the stream of the tunnel and what the client has sent into it already.

        Raises `ProxyError` (CLIENT_GONE_HEAD).
        """
        raise NotImplementedError

    def abort(self) -> None:
        """End it at once: within an answer, the client sees that it was cut short."""
        raise NotImplementedError
