"""A client whose request waits for a server: what it sends is read ahead, and that it leaves ends the wait."""

from __future__ import annotations

from typing import Protocol

from l7.clock import monotonic
from l7.workers.downstream.client_exchange import ClientWaiter
from l7.workers.transport.stream import Stream


class WatchedClient(Protocol):
    """The client that is watched."""

    @property
    def patience(self) -> float:
        """Seconds for which a request goes on whose client has half-closed."""

    def read_while_waiting(self) -> bool:
        """Read what the client sends; returns whether it is known to have left."""


class ClientWait:
    """The readiness handler of a client's stream while the client's request waits; tells ``waiter`` of its end."""

    __slots__ = ("_client", "_leaves", "_waiter")

    def __init__(self, client: WatchedClient, waiter: ClientWaiter) -> None:
        self._client = client
        self._waiter = waiter
        self._leaves = False
        """Whether its deadline is that of a half-closed client."""

    def on_ready(self, stream: Stream) -> None:
        """Read what the client sends, its next request unless its body is incomplete; or tell that it disconnected."""
        if self._client.read_while_waiting():
            self._waiter.client_left()
        elif stream.half_closed:
            # It waits for its answer, or has gone: TCP does not show which before something is sent.
            until = monotonic() + self._client.patience
            if until < stream.deadline:
                stream.deadline = until
                self._leaves = True

    def on_expired(self, stream: Stream) -> None:
        """End the wait: no server had room in time, or the client was half-closed for too long."""
        if self._leaves:
            self._waiter.client_left()
        else:
            self._waiter.time_out()

    def time_out(self) -> None:
        """End the wait as if its time were up."""
        self._waiter.time_out()
