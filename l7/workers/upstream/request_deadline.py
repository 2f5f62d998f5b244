"""``timeouts.total``: the end of a request that takes too long, whatever it waits for.

All that follows from it is here: how long the request may still wait for a connection or in a queue (``until``), whom
its failure is counted against, and what is reported. A timer closes the connection to the server, which ends the wait
for it; a request that has not ended a moment later waits for its client, and is cut off. The failure is counted against
the side that the request was waiting for: a client that is slow to send or to receive a body is no fault of the server.

Hot as far as requests without the setting go: they share `NO_DEADLINE`.
"""

from __future__ import annotations

from typing import Any

from gevent import get_hub

from l7.clock import monotonic
from l7.errors import TOTAL_CUT, TOTAL_TIMEOUT, Kind, ProxyError
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.transport.stream import NEVER, Stream

MOMENT = 0.25


class RequestDeadline:
    """The deadline of one request, which is ``over`` at ``until``; this one never is, and does nothing."""

    __slots__ = ("over", "until")

    def __init__(self, until: float = NEVER) -> None:
        self.until = until
        self.over = False

    def begin_attempt(self) -> None:
        """Note that the request is given to a server now, another one or again."""

    def connected(self, server: Stream) -> None:
        """Note the connection that the request uses now: it is closed when the time is up."""

    def await_client(self) -> None:
        """Note that no server is needed any more: when the time is up now, it is the client's."""

    def blames_server(self) -> bool:
        """Whether a failure of the present attempt is counted against its server."""
        return True

    def verdict(self, failure: ProxyError, *, answered: bool) -> ProxyError:
        """The failure to report: ``timeouts.total`` when that was over, else ``failure`` itself."""
        return failure

    def stop(self) -> None:
        """Let it not come any more: the request has ended, or may last for any time."""


NO_DEADLINE = RequestDeadline()
"""For all requests whose backend has no ``timeouts.total``."""


class TotalDeadline(RequestDeadline):
    """The deadline of one request of ``client``, ``seconds`` after it ``started``."""

    __slots__ = (
        "_asked",
        "_client",
        "_client_fault",
        "_delivers",
        "_least",
        "_seconds",
        "_server",
        "_timer",
        "_too_little",
    )

    def __init__(self, client: ClientExchange, started: float, seconds: float) -> None:
        super().__init__(started + seconds)
        self._seconds = seconds
        self._client_fault: Kind | None = None
        """The failure, when the request was waiting for its client as its time was up."""
        self._too_little = False
        """Whether the server had less than half of the time: its failure is not counted."""
        self._asked = monotonic()
        """When the request was given to its present server."""
        self._server: Stream | None = None
        self._delivers = False
        """Whether the answer has come, and its client is waited for."""
        self._client = client
        left = self.until - self._asked
        self._least = left / 2
        self._timer: Any = get_hub().loop.timer(max(left, 0.0), MOMENT)
        self._timer.start(self._expire)

    def begin_attempt(self) -> None:
        """Note that the request is given to a server now, another one or again."""
        self._asked = monotonic()

    def connected(self, server: Stream) -> None:
        """Note the connection that the request uses now: it is closed when the time is up."""
        self._server = server

    def await_client(self) -> None:
        """Note that no server is needed any more: when the time is up now, it is the client's."""
        self._server = None
        self._delivers = True

    def blames_server(self) -> bool:
        """Whether the server had enough of the time."""
        return not self._too_little

    def _expire(self) -> None:
        if not self.over:
            self._client_fault = self._client.fault()
            self._too_little = monotonic() - self._asked < self._least
        if self._delivers or (self.over and self._server is not None):
            self._client.abort()
        if self._server is not None:
            self._server.close()
        self.over = True

    def verdict(self, failure: ProxyError, *, answered: bool) -> ProxyError:
        """The failure to report; ``answered`` says that part of an answer was sent."""
        if not self.over:
            return failure
        kind = self._client_fault or (TOTAL_CUT if answered else TOTAL_TIMEOUT)
        return ProxyError(kind, f"not done within {self._seconds:g} s")

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
