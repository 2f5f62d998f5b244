"""``timeouts.total``: the end of a request that takes too long, whatever it waits for.

A timer closes the connection to the server, which ends the wait for it; a request that has not ended a moment later
waits for its client, and is cut off. The failure is counted against the side that the request was waiting for: a
client that is slow to send or to receive a body is no fault of the server.
"""

from __future__ import annotations

from typing import Any

from gevent import get_hub

from l7.clock import monotonic
from l7.errors import Kind
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.transport.stream import Stream

MOMENT = 0.25


class RequestDeadline:
    """Watches one request; ``over`` is True once its time is up."""

    __slots__ = ("_client", "_least", "_timer", "asked", "client_fault", "over", "server", "server_had_too_little_time")

    def __init__(self, client: ClientExchange, seconds: float) -> None:
        self.over = False
        self.client_fault: Kind | None = None
        """The failure, when the request was waiting for its client."""
        self.server_had_too_little_time = False
        """True when the server had less than half of the total timeout; its failure is not counted."""
        self.asked = monotonic()
        """When the request was given to its present server."""
        self.server: Stream | None = None
        """The server's connection that the request uses now."""
        self._client = client
        self._least = seconds / 2
        self._timer: Any = get_hub().loop.timer(max(seconds, 0.0), MOMENT)
        self._timer.start(self._expire)

    def _expire(self) -> None:
        if not self.over:
            self.client_fault = self._client.fault()
            self.server_had_too_little_time = monotonic() - self.asked < self._least
        if self.server is not None:
            if self.over:
                self._client.abort()
            self.server.close()
        self.over = True

    def stop(self) -> None:
        """Stop the timer: the request has ended, or may last for any time."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
