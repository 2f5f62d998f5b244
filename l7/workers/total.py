"""``timeouts.total``: the end of a request that takes too long, whatever it waits for.

A timer closes the connection to the server, which wakes whoever waits for it; a request that is still not over a moment
later waits for its client, and is cut.
"""

from __future__ import annotations

from typing import Any

from gevent import get_hub

from l7.workers.stream import Stream

MOMENT = 0.25


class Total:
    """Watches one request; ``over`` says that its time has come."""

    __slots__ = ("_client", "_timer", "over", "server")

    def __init__(self, client: Stream, seconds: float) -> None:
        self.over = False
        self.server: Stream | None = None
        """The connection that the request uses now."""
        self._client = client
        self._timer: Any = get_hub().loop.timer(max(seconds, 0.0), MOMENT)
        self._timer.start(self._expire)

    def _expire(self) -> None:
        if self.server is not None:
            if self.over:
                self._client.close()
            self.server.close()
        self.over = True

    def stop(self) -> None:
        """The request is over, or may last."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
