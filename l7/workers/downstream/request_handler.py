"""What serves the requests of client connections: the proxy, or in the monitor process the admin endpoint's pages.

Hot only as types: what is called here goes to the implementation by its pointer.
"""

from __future__ import annotations

from l7.errors import ProxyError
from l7.exchange import Exchange
from l7.http.messages import RequestHead
from l7.http.parser import RequestParser
from l7.workers.buffers import BufferLimit
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.limits import ClientProtocolLimits
from l7.workers.phase import WorkerPhase
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.transport.stream import Stream


class BegunRequest:
    """A request that `RequestHandler.begin` has begun, and `RequestHandler.resume` is to end.

    While it waits for its server it holds no greenlet, and so neither 10 KB of stack nor two of four switches.
    """

    __slots__ = ("exchange", "head", "late", "sent_on", "unfinished")

    def __init__(self, exchange: Exchange, head: RequestHead) -> None:
        self.exchange = exchange
        self.head = head
        self.sent_on: Stream | None = None
        """The connection to a server on which it was sent; where there is none the rest has to be done at once."""
        self.unfinished = False
        """Whether only a part of it was sent, so that the rest has to be done at once, too."""
        self.late = False
        """Whether the time of the answer is up."""


class RequestHandler:
    """What a client connection needs to know of its process: the limits, and the phase that the worker is in.

    The booleans are the phase as connections ask for it once a request; only `enter` sets them.
    """

    __slots__ = (
        "bounds",
        "buffers",
        "connections",
        "cutting_off",
        "draining",
        "ending",
        "greenlets",
        "handing_over",
        "overloaded",
        "parser",
        "phase",
        "stopping",
    )

    def __init__(self, greenlets: GreenletPool, parser: RequestParser, bounds: ClientProtocolLimits) -> None:
        self.greenlets = greenlets
        self.parser = parser
        self.bounds = bounds
        self.buffers = BufferLimit(bounds.buffers)
        self.connections = 0
        """Client connections that it was ever given."""
        self.overloaded = False
        """Whether clients wait for a place that none can make: meanwhile each answer is the last of its connection."""
        self.phase = WorkerPhase.SERVING
        self.draining = False
        """Whether the worker accepts no more: no connection to a server is kept."""
        self.handing_over = False
        """Whether idle connections are handed over to the next generation."""
        self.ending = False
        """Whether each answer is the last of its connection."""
        self.stopping = False
        """Whether idle connections are closed."""
        self.cutting_off = False
        """Whether requests in flight are cut off."""

    def enter(self, phase: WorkerPhase) -> bool:
        """Go on to a later phase; returns False, and changes nothing, where the worker is in it or beyond it."""
        if phase <= self.phase:
            return False
        self.phase = phase
        self.draining = phase > WorkerPhase.SERVING
        self.handing_over = phase == WorkerPhase.HANDING_OVER
        self.ending = phase > WorkerPhase.HANDING_OVER
        self.stopping = phase >= WorkerPhase.STOPPING
        self.cutting_off = phase == WorkerPhase.CUTTING_OFF
        return True

    def begin(self, exchange: Exchange, head: RequestHead, client: ClientExchange) -> BegunRequest | None:
        """Do what can be done without waiting, for callbacks of the loop; None for nothing: then `handle` does it all.

        Else `resume` does the rest in a greenlet: at once, or where the request was sent when its server answers, its
        time is up, or the client sends more or leaves.
        """
        return None

    def resume(self, begun: BegunRequest) -> None:
        """Do the rest of what was begun, and say what happened; never raises."""
        raise NotImplementedError

    def handle(self, exchange: Exchange, head: RequestHead, client: ClientExchange) -> None:
        """Serve one request and say what happened; never raises."""
        raise NotImplementedError

    def reject(self, failure: ProxyError, exchange: Exchange, client: ClientExchange) -> None:
        """Answer what was no request, and say what happened; never raises."""
        raise NotImplementedError
