"""The relays of a worker that drains: each has the TLS of a client whose requests are served elsewhere.

A connection gets one when it is about to be handed over. It is served on a socket pair from then on, here or in any
other worker, and is handed over again as a plain one is. The worker goes on as long as it has relays.
"""

from __future__ import annotations

import errno
import os
from _socket import socket as Socket
from _socket import socketpair
from collections.abc import Callable
from resource import RLIMIT_NOFILE, getrlimit

from gevent import get_hub

from l7.clock import monotonic
from l7.tls.details import TlsEntrance
from l7.workers.downstream.connection import ClientConnection
from l7.workers.handover.tls_relay import TlsRelay
from l7.workers.transport.plain import PlainTransport, RelayTransport
from l7.workers.transport.stream import DeadlineSweeper, Stream
from l7.workers.transport.tls import TlsTransport

LOOK = 0.5
"""Seconds between two looks at relays that may have come to their end."""


SPARE = 32
"""Descriptors that are left for the connections that are served here to their end."""


class _ReleasedTransport(PlainTransport):
    """What a stream is left with whose transport goes on without it: the socket stays open."""

    __slots__ = ()

    def close(self) -> None:
        """Leave the socket to who has it now."""


class TlsRelays:
    """The relays of one worker; a client may take ``seconds`` to take something.

    ``begun`` is called for the first one, ``ended`` when there is none any more.
    """

    def __init__(
        self, sweeper: DeadlineSweeper, seconds: float, begun: Callable[[], None], ended: Callable[[], None]
    ) -> None:
        self._sweeper = sweeper
        self._seconds = seconds
        self._begun = begun
        self._ended = ended
        self._relays: set[TlsRelay] = set()
        self._looked_at: set[TlsRelay] = set()
        self._timer = get_hub().loop.timer(LOOK, LOOK)

    def __len__(self) -> int:
        return len(self._relays)

    def take_over(self, connection: ClientConnection) -> bool:
        """Keep the TLS of an idle connection, and have it served on a socket pair; returns False where that fails."""
        old = connection.stream
        transport = old.transport
        if not isinstance(transport, TlsTransport):
            return False
        try:
            ours, theirs = _pair()
        except OSError:
            return False
        handler, deadline = old.handler, old.deadline
        old.transport = _ReleasedTransport(old.socket)
        old.close()
        stream = connection.stream = Stream(theirs, self._sweeper, RelayTransport(theirs))
        stream.handler, stream.deadline = handler, deadline
        if connection.entrance is not None:
            connection.entrance = TlsEntrance(connection.entrance.listener, os.getpid())
        relay = TlsRelay(transport, ours, self, self._seconds)
        if not self._relays:
            self._begun()
        self._relays.add(relay)
        relay.start()
        return True

    def look_at(self, relay: TlsRelay) -> None:
        """Look at a relay now and then, until it needs that no more."""
        if not self._looked_at:
            self._timer.start(self._look)
        self._looked_at.add(relay)

    def _look(self) -> None:
        now = monotonic()
        self._looked_at = {relay for relay in list(self._looked_at) if relay.look(now)}
        if not self._looked_at:
            self._timer.stop()

    def gone(self, relay: TlsRelay) -> None:
        """Forget a relay that has ended."""
        self._relays.discard(relay)
        if not self._relays:
            self._ended()

    def close(self) -> None:
        """Cut off what is left."""
        for relay in list(self._relays):
            relay.close()
        self._timer.close()


def _pair() -> tuple[Socket, Socket]:
    """A pair of connected sockets that do not block. Raises ``OSError``, also where few descriptors are left."""
    pair = socketpair()
    if pair[1].fileno() >= getrlimit(RLIMIT_NOFILE)[0] - SPARE:  # the system gives the lowest one that is free
        for sock in pair:
            sock.close()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    for sock in pair:
        sock.setblocking(False)
    return pair
