"""The connections of a worker that have switched protocols, and how they end with it."""

from __future__ import annotations

from l7.errors import BAD_RESPONSE, ProxyError
from l7.http.grammar import elements
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.transport.stream import Stream
from l7.workers.upstream.forwarded_request import ForwardedRequest
from l7.workers.upstream.relay import Relay
from l7.workers.upstream.tunnel import Tunnel

WITHIN = 1.0
"""Seconds that tunnels have to end by themselves when l7 stops."""


class Tunnels:
    """All tunnels of a worker."""

    def __init__(self, greenlets: GreenletPool) -> None:
        self._greenlets = greenlets
        self._open: set[Tunnel] = set()
        self._leaving = False

    def __len__(self) -> int:
        return len(self._open)

    def run(self, forwarded: ForwardedRequest, relay: Relay, server: Stream) -> bool:
        """Switch protocols and copy until both sides have ended; returns whether l7 has ended the tunnel.

        Raises `ProxyError` for a 101 that was not asked for, which is an invalid response.
        """
        if not relay.accepts_upgrade():
            raise ProxyError(BAD_RESPONSE, "101 without being asked, or to a protocol that was not offered")
        forwarded.deadline.stop()
        forwarded.exchange.status = 101
        forwarded.answered = True
        client, early = forwarded.client.switch_protocols(relay.response)
        framed = b"websocket" in elements(relay.response.upgrade)
        tunnel = Tunnel(client, server, forwarded.exchange, forwarded.upstream.bounds.tunnel, framed=framed)
        self._open.add(tunnel)
        if self._leaving:  # it was opened after the others were told
            tunnel.leave(WITHIN)
        try:
            tunnel.run(self._greenlets, early, relay.leftover)
        finally:
            self._open.discard(tunnel)
        return tunnel.leaving

    def streams(self) -> set[Stream]:
        """Both sides of all of them."""
        return {stream for tunnel in self._open for stream in tunnel.streams}

    def go_away(self) -> None:
        """Tell both sides that it ends. For callbacks of the loop, as what follows."""
        for tunnel in list(self._open):
            tunnel.go_away()

    def leave(self) -> None:
        """Tell both sides that l7 stops; these tunnels, and those to come, end `WITHIN` seconds later."""
        self._leaving = True
        for tunnel in list(self._open):
            tunnel.leave(WITHIN)

    def end(self) -> None:
        """End all of them now."""
        for tunnel in list(self._open):
            tunnel.end()
