"""Handing client connections to the next generation: the descriptor travels, the client notices nothing.

A worker that drains sends each idle connection to the master, with what it has read of the next request; the master
passes it on to a worker of the new generation. Both ways are one `Adopt` on the worker's channel, the descriptor beside
it. Our copy is closed without a shutdown, so the connection itself never ends.
Keys cannot travel: of a connection in TLS one end of a socket pair does (`l7.workers.handover.tls_relays`).

Nothing here waits: a channel that takes no more is watched until it does, and meanwhile a connection on which a request
comes in is served where it is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Protocol

from l7.clock import monotonic
from l7.ipc.messages import Adopt
from l7.workers.downstream.connection import ClientConnection
from l7.workers.handover.tls_relays import TlsRelays
from l7.workers.runtime.channel import LoopChannel
from l7.workers.transport.stream import NEVER

MOST_READ = 44 * 1024
"""Bytes already read that a connection can take with it: more do not fit into a message, as base64."""


class HandoverOwner(Protocol):
    """What holds the connections that are handed over."""

    def gone(self, connection: ClientConnection) -> None:
        """Called when the connection was handed over or has ended."""

    def stay(self, connection: ClientConnection) -> None:
        """Called when the connection cannot be handed over and has to be served here to its end."""


class HandoverQueue:
    """Connections that wait for room in the channel to the master; messages overtake them."""

    def __init__(self, channel: LoopChannel, origin: HandoverOwner, relays: TlsRelays) -> None:
        self.entrances: frozenset[str] = frozenset()
        """The listeners in TLS whose connections others go on with (`l7.tls.details.TlsEntrance`)."""
        self._channel = channel
        self._origin = origin
        self._relays = relays
        self._leaving: deque[tuple[ClientConnection, float | None]] = deque()
        """The connections that wait; each with its idle deadline where it is not served meanwhile."""
        self._waiting = False

    def hand_over(self, connection: ClientConnection) -> bool:
        """Send an idle connection away as soon as the channel takes it; returns False when it must stay.

        One that waits for its next request is served as long as it is here; one with bytes already read waits.
        """
        if not self.takes(connection, len(connection.pending)):
            return False
        stream = connection.stream
        has_read = bool(connection.pending) or stream.transport.pending > 0
        until = stream.deadline if has_read else None
        if has_read:
            stream.handler = None
            stream.pause()
        else:
            stream.handler = connection
            if not stream.watching:
                stream.watch()
        self._leaving.append((connection, until))
        if not self._waiting:
            self._push()
        return True

    def takes(self, connection: ClientConnection, read: int) -> bool:
        """Whether a connection can be handed over of whose next request ``read`` bytes have been read.

        One whose client might not come in any more by the listener that it came by ends with its next answer.
        """
        tls, entrance, named = connection.tls, connection.entrance, 0
        if tls is not None and entrance is not None:
            named = 3 * len(tls.client_subject)  # escaped twice, where the other bytes are base64
            if entrance.listener not in self.entrances or named > MOST_READ:
                connection.last = True
                return False
        return not self._channel.broken and read + named <= MOST_READ

    def cancel(self) -> None:
        """Hand over no more connections: those that wait stay here."""
        leaving, self._leaving = self._leaving, deque()
        for connection, until in leaving:
            if until is not None and not connection.stream.closed:
                self._origin.stay(connection)

    def _push(self) -> None:
        """Send until the queue is empty or the channel full."""
        self._waiting = False
        while self._leaving:
            connection, until = self._leaving[0]
            if connection.stream.closed or not (until is not None or connection.idle):
                self._leaving.popleft()
            elif not (connection.stream.transport.can_detach or self._relay(connection, until)):
                self._leaving.popleft()
                self._origin.stay(connection)
            elif self._send(connection, connection.stream.deadline if until is None else until):
                self._leaving.popleft()
                connection.stream.detach()
                self._origin.gone(connection)
            elif self._channel.broken:
                self.cancel()
            else:
                self._waiting = True
                self._channel.when_there_is_room(self._push)
                return

    def _relay(self, connection: ClientConnection, until: float | None) -> bool:
        """Keep the TLS of a connection here; returns False where there are no descriptors for that."""
        if not self._relays.take_over(connection):
            return False
        if until is not None:
            connection.stream.pause()
        return True

    def _send(self, connection: ClientConnection, until: float) -> bool:
        left = None if until == NEVER else round(max(until - monotonic(), 0.1), 3)
        hop, tls, entrance = connection.hop, connection.tls, connection.entrance
        scheme, told = hop.scheme.decode("ascii"), hop.told_port.decode("ascii")
        message = Adopt(hop.client, hop.port, connection.pending, left, scheme=scheme, told_port=told)
        if tls is not None and entrance is not None:
            message = replace(message, tls=tls.text(), entrance=entrance.listener, relay=entrance.relay)
        return self._channel.try_send(message, connection.stream.socket.fileno())
