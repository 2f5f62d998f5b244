"""Closes idle connections for new clients when ``limits.connections`` is reached or descriptors run out.

The client connection that has been idle longest is closed before its timeout when a new client needs its place, so
clients that keep connections cannot lock others out. Descriptors are taken from idle connections to servers as well.
Nothing is done, or kept sorted, as long as there is room.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from heapq import nsmallest
from select import POLLIN, poll  # by name: patching replaces what the module has

from l7.clock import monotonic
from l7.sharedmem.layout import place
from l7.sharedmem.master_gauges import BUSY_TOLD_AT, IDLE_CLOSED, IDLE_TOLD_AT, WAITED
from l7.sharedmem.memory import OF_MASTER
from l7.telemetry.events import named
from l7.workers.downstream.connection import ClientConnection
from l7.workers.upstream.backend import BackendTable

SETTLED = 0.2
"""Seconds that a client connection has to be idle before it is closed: a request may be on its way before that."""
BATCH = 64
"""How many of the longest idle connections are collected at a time."""
TELL_EVERY = 60 * 1_000_000_000
"""Nanoseconds between two events of the same kind, over all workers."""

_AT = place(OF_MASTER)


class ConnectionReclaimer:
    """Closes idle connections among ``connections``, of which there may be ``most``; reports and counts them.

    :param upstreams: the backends, which have idle connections to servers.
    :param report: takes events.
    """

    def __init__(
        self, connections: set[ClientConnection], most: int, upstreams: BackendTable, report: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._connections = connections
        self._most = most
        self._upstreams = upstreams
        self._writer = upstreams.writer
        self._report = report
        self._longest: list[tuple[float, ClientConnection]] = []
        """Connections that were idle, and since when; the longest idle one is the last."""
        self._look_at = 0.0
        """No connection can have been idle for long enough before this time."""

    def idle_client(self) -> ClientConnection | None:
        """The client connection that has been idle longest, with no bytes to read; None when none is for `SETTLED`."""
        now = monotonic()
        found = self._next()
        if found is None and now >= self._look_at:
            self._look(now)
            found = self._next()
        return found

    def _next(self) -> ClientConnection | None:
        while self._longest:
            since, connection = self._longest[-1]
            # One that has served a request meanwhile is idle since a later time.
            if connection.since == since and connection.idle and not connection.stream.has_bytes():
                return connection
            self._longest.pop()
        return None

    def _look(self, now: float) -> None:
        settled = now - SETTLED
        idle = [(connection.since, connection) for connection in self._connections if connection.idle]
        self._longest = nsmallest(BATCH, (one for one in idle if one[0] <= settled), key=lambda one: one[0])
        self._longest.reverse()
        if not self._longest:
            self._look_at = min((since for since, _ in idle), default=now) + SETTLED

    def make_room(self) -> None:
        """Close idle connections, because a new client takes their place.

        They are looked at again: a request may have come since the new client was accepted.
        """
        while len(self._connections) > self._most and (connection := self.idle_client()) is not None:
            connection.close()
            self._writer.add(_AT + IDLE_CLOSED, 1)
        text = "the clients that have been idle longest make place for new ones"
        self._tell(IDLE_TOLD_AT, f"all {self._most} places for clients are taken: {text}")

    def all_busy(self) -> None:
        """Report that a client has to wait, because no connection is idle."""
        words = f"all {self._most} places for clients are taken, none is idle: new clients wait"
        self._tell(BUSY_TOLD_AT, named("accept.full", words))

    def waited(self) -> None:
        """Count a client that had to wait and was accepted."""
        self._writer.add(_AT + WAITED, 1)

    def free_descriptor(self) -> bool:
        """Close the longest idle connection, of a client or to a server; returns False when there is none."""
        client = self.idle_client()
        pool = self._upstreams.longest_idle()
        if pool is not None and (client is None or pool.idle_since() <= client.since):
            pool.close_oldest()
        elif client is not None:
            client.close()
            self._writer.add(_AT + IDLE_CLOSED, 1)
        else:
            return False
        words = "no file descriptor is left: connections that have been idle longest are closed"
        self._tell(IDLE_TOLD_AT, named("descriptors.scarce", words))
        return True

    def _tell(self, cell: int, text: str) -> None:
        """Write an event unless any worker has in the last `TELL_EVERY`."""
        now, at = time.monotonic_ns(), _AT + cell
        last = self._writer.read(self._writer.latest(at), at)
        if not last or now - last > TELL_EVERY:
            self._writer.put(at, now)
            self._report(text)


def has_waiting(listener: socket.socket) -> bool:
    """Whether a connection waits to be accepted (one system call)."""
    ready = poll()
    ready.register(listener, POLLIN)
    return bool(ready.poll(0))
