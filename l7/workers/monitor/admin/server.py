"""The admin endpoint's server: it accepts connections, and bounds how many there are.

It is served by the monitor process, so that it takes no time of a worker. Its connections are those that workers have
for clients (`l7.workers.downstream.connection`): heads are read as strictly, and there is a bound for everything a
client may do.
"""

from __future__ import annotations

import math
import socket
from _socket import socket as Socket
from typing import Any

from gevent import get_hub
from gevent.event import Event

from l7.clock import monotonic
from l7.http.forwarding import Hop
from l7.workers.downstream.connection import ClientConnection
from l7.workers.downstream.connection_reclaimer import has_waiting
from l7.workers.monitor.admin.handler import AdminHandler
from l7.workers.phase import WorkerPhase
from l7.workers.transport.stream import DeadlineSweeper, Stream

MOST_CONNECTIONS = 256
"""Two hundred browsers with the page open, and those that watch; for more, who is idle or dawdles loses its place."""
DAWDLES = 1.0
"""Seconds that a client may take to send a request, or to read an answer, while others wait for a place."""
LOOK_EVERY = 0.1
"""Seconds between two looks for a place, as long as none can be had."""
FINISH_WITHIN = 1.0
"""Seconds for answers that are owed at the end: less than `l7.master.supervision.state.STOP_WITHIN`."""


class AdminServer:
    """Accepts connections on a listening socket, whose requests ``handler`` answers."""

    def __init__(self, handler: AdminHandler) -> None:
        self.handler = handler
        self._connections: set[ClientConnection] = set()
        self._sweeper = DeadlineSweeper()
        self._listener: socket.socket | None = None
        self._watcher: Any = None
        self._timer: Any = None
        """Runs while all places are taken."""
        self._ended = Event()
        """Set while there is no connection."""
        self._ended.set()

    def start(self, listener: socket.socket) -> None:
        """Take connections from now on."""
        self._sweeper.start()
        self._listener = listener
        self._watcher = get_hub().loop.io(listener.fileno(), 1)
        self._timer = get_hub().loop.timer(LOOK_EVERY, LOOK_EVERY)
        self._watcher.start(self._accept)

    def close(self) -> None:
        """Accept no more; requests that were not answered yet are, within `FINISH_WITHIN` seconds."""
        self.handler.enter(WorkerPhase.STOPPING)
        if self._watcher is not None:
            self._watcher.stop()
            self._timer.close()
        for connection in self._idle():
            connection.close()
        self._ended.wait(FINISH_WITHIN)
        for connection in list(self._connections):
            connection.close()
        self._sweeper.stop()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        raw = Socket(sock.family, sock.type, sock.proto, sock.detach())
        raw.setblocking(False)
        hop = Hop("admin", 0, b"localhost")
        self._ended.clear()
        self._connections.add(ClientConnection(Stream(raw, self._sweeper), hop, self, self.handler, trusted=False))
        if len(self._connections) >= MOST_CONNECTIONS:
            self._make_room()

    def _idle(self) -> list[ClientConnection]:
        """Those that were answered and may ask again."""
        served = [one for one in self._connections if one in self.handler.served]
        return [one for one in served if one.idle and not one.stream.has_bytes()]

    def _make_room(self) -> None:
        """Close a connection, or accept no more until there is a place."""
        dispensable = self._dispensable()
        if dispensable is not None:
            dispensable.close()
        elif self._watcher is not None and self._watcher.active:
            self._watcher.stop()
            self._timer.start(self._make_room)

    def _dispensable(self) -> ClientConnection | None:
        """The connection that has been idle longest; else, where a new client waits, the one that dawdles longest."""
        idle = self._idle()
        if idle:
            return min(idle, key=lambda one: one.since)
        if self._listener is None or not has_waiting(self._listener):
            return None
        since, dawdling = min(((self._waited_for(one), one) for one in self._connections), key=lambda each: each[0])
        return dawdling if since <= monotonic() - DAWDLES else None

    def _waited_for(self, connection: ClientConnection) -> float:
        """Since when a client is waited for: for a request, or to read; later than ever where it is not."""
        if connection.idle or connection.gathering is not None:
            return connection.since
        return self.handler.sending.get(connection, math.inf)

    def gone(self, connection: ClientConnection) -> None:
        """Forget a connection that has ended, and take others again."""
        self._connections.discard(connection)
        self.handler.served.discard(connection)
        if not self._connections:
            self._ended.set()
        if self._watcher is not None and not self._watcher.active and not self.handler.draining:
            self._timer.stop()
            self._watcher.start(self._accept)

    def hand_over(self, connection: ClientConnection) -> bool:
        """Return False: admin connections are not handed over."""
        return False
