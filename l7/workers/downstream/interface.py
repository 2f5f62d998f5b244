"""The client's side as the proxy sees it: what a session has to offer so that a request can be served."""

from __future__ import annotations

from typing import Protocol

from l7.exchange import Exchange
from l7.http.forwarding import Hop
from l7.http.messages import RequestHead
from l7.workers.downstream.body import RequestBody
from l7.workers.transport.stream import Stream


class ClientSide(Protocol):
    """One client connection."""

    stream: Stream
    hop: Hop
    """What the connection adds to each request."""
    trusted: bool
    """Whether the peer is a trusted proxy."""
    buffer: bytes
    """Bytes received and not yet understood: the beginning of the next request."""

    last: bool
    """Whether the next answer must be the last, although the client would go on."""

    def spent(self) -> bool:
        """Whether no other request can come after this one."""

    def body(self, exchange: Exchange, head: RequestHead) -> RequestBody:
        """The body that ``head`` announces, begun with what came behind it; raises `ProxyError` (413, 400)."""

    def send(self, data: bytes) -> bool:
        """Send an answer of ours; returns whether the client took it."""

    def cut(self, framing: int) -> None:
        """Abort within an answer that was framed so: the client must see that it was cut short."""
