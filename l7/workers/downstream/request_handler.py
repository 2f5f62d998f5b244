"""What serves the requests of client connections: the proxy, or in the monitor process the admin endpoint's pages.

Hot only as types: what is called here goes to the implementation by its pointer.
"""

from __future__ import annotations

from l7.errors import ProxyError
from l7.exchange import Exchange
from l7.http.messages import RequestHead
from l7.http.parser import RequestParser
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.limits import ClientProtocolLimits
from l7.workers.runtime.greenlet_pool import GreenletPool


class RequestHandler:
    """What a client connection needs to know of whom it gives its requests to: limits, and how the process ends."""

    __slots__ = ("bounds", "closing", "draining", "greenlets", "handing", "parser", "stopping")

    def __init__(self, greenlets: GreenletPool, parser: RequestParser, bounds: ClientProtocolLimits) -> None:
        self.greenlets = greenlets
        self.parser = parser
        self.bounds = bounds
        self.draining = False
        """Whether another generation serves what comes next: no connection to a server is kept."""
        self.closing = False
        """Whether each answer is the last of its connection."""
        self.handing = False
        """Whether connections are handed over to the next generation when they are idle."""
        self.stopping = False
        """Whether nobody will serve the next request: idle connections end."""

    def handle(self, exchange: Exchange, head: RequestHead, client: ClientExchange) -> None:
        """Serve one request and say what happened; never raises."""
        raise NotImplementedError

    def reject(self, failure: ProxyError, exchange: Exchange, client: ClientExchange) -> None:
        """Answer what was no request, and say what happened; never raises."""
        raise NotImplementedError
