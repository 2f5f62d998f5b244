"""Idle connections to one server: checked out for a request, checked in after it.

An idle connection on which bytes or the end arrive is closed: unrequested bytes are never taken for an answer (RFC
9112, 6.3), and a connection that the server closed is found before it is used.

Hot: 1,700 instructions to check a connection out and in, and no system call: what the loop has seen is enough.
"""

from __future__ import annotations

from gevent import get_hub

from l7 import clock
from l7.config.values.addresses import Address
from l7.workers.transport.stream import NEVER, DeadlineSweeper, Stream
from l7.workers.transport.tls_client import TlsClient
from l7.workers.upstream.connector import Connector, LookUp, nobody

NEWEST = 16
"""The most recently used idle connections that are searched for one that the loop has polled since check-in."""
EARLIER = 0.5
"""Seconds before its server closes a connection from which on it is not used: a request would be on its way then."""
MOST_IDLE = 256
"""The most idle connections kept to one server by one worker."""


class ConnectionPool:
    """The idle connections of this worker to one server; ``idle_timeout`` is in seconds."""

    __slots__ = ("_earlier", "_idle", "_kept", "_most", "_now", "connector", "idle_timeout", "label")

    def __init__(
        self, address: Address, idle_timeout: float, sweeper: DeadlineSweeper, look_up: LookUp = nobody,
        tls: TlsClient | None = None,
    ) -> None:  # fmt: skip
        self.label = str(address)
        self.idle_timeout = self._kept = idle_timeout
        self.connector = Connector(address, sweeper, look_up, tls)
        self._idle: list[Stream] = []
        self._most = MOST_IDLE
        self._earlier = EARLIER + sweeper.interval  # for so long a deadline may go unnoticed
        self._now = get_hub().loop.now

    def __repr__(self) -> str:
        return f"<Pool {self.label}, {len(self._idle)} idle>"

    def of(self, host: str) -> ConnectionPool:
        """The pool for requests of a host: the same for all of them (`HostPools` has one for each)."""
        return self

    def check_out(self) -> Stream | None:
        """The most recently used connection that is still open, or None.

        The watcher of an idle connection closes it as soon as the loop sees it readable, so one that was polled
        since it was checked in is known to be open. Where there is none, a system call asks the socket.
        """
        idle = self._idle
        now = self._now()
        for place in range(len(idle) - 1, max(len(idle) - NEWEST, 0) - 1, -1):
            stream = idle[place]
            if stream.seen != now and not stream.ready:
                del idle[place]
                stream.handler = None
                stream.deadline = NEVER  # that of an idle connection would end whatever it waits for next
                return stream
        while idle:
            stream = idle.pop()
            if stream.ready or stream.has_bytes():
                stream.close()
                continue
            stream.handler = None
            stream.deadline = NEVER
            return stream
        return None

    def check_in(self, stream: Stream, announced: float = -1.0) -> None:
        """Keep a connection whose last answer was complete; close it when the server has sent more than that.

        ``announced`` is how many seconds the server keeps it, -1 for no word of that (``Keep-Alive: timeout``).
        """
        kept = self.idle_timeout
        if announced >= 0 and announced - self._earlier < kept:
            kept = announced - self._earlier
        if stream.ready or kept <= 0 or len(self._idle) >= self._most:
            stream.close()
            return
        self._kept = kept
        stream.handler = self
        stream.deadline = clock.monotonic() + kept
        stream.seen = self._now()
        if not stream.watching:
            stream.watch()
        self._idle.append(stream)

    def on_ready(self, stream: Stream) -> None:
        """Close an idle connection that the server has closed, or on which it sent bytes without a request."""
        self._idle.remove(stream)
        stream.close()

    def on_expired(self, stream: Stream) -> None:
        """Close a connection that was idle for too long."""
        self.on_ready(stream)

    def idle_since(self) -> float:
        """When the longest idle connection became idle; infinity when there is none."""
        return self._idle[0].deadline - self._kept if self._idle else NEVER

    def close_oldest(self) -> None:
        """Close the longest idle connection, because its descriptor is needed."""
        self._idle.pop(0).close()

    def retire(self) -> None:
        """Close idle connections, and from now on each one that is checked in."""
        self._most = 0
        self.close()

    def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().close()
