"""A request that was begun without a greenlet, and waits for its server.

Hot: one is made for nearly each request. While it waits it holds no greenlet, and so neither 10 KB of stack nor two of
four switches.
"""

from __future__ import annotations

from l7.exchange import Exchange
from l7.http.messages import RequestHead
from l7.workers.transport.stream import Stream


class BegunRequest:
    """What `RequestHandler.begin` has begun and `RequestHandler.resume` is to end."""

    __slots__ = ("exchange", "head", "late", "sent_on")

    def __init__(self, exchange: Exchange, head: RequestHead) -> None:
        self.exchange = exchange
        self.head = head
        self.sent_on: Stream | None = None
        """The connection to a server on which it was sent; where there is none the rest has to be done at once."""
        self.late = False
        """Whether the time of the answer is up."""
