"""The PROXY headers of a worker's new connections: who may send one, how long it may take, what came of it.

A connection of a listener that has them waits for its header without a greenlet, as an idle one does for a request.
What belongs to the header is taken from the socket and nothing behind it, so whatever comes next (a request, a TLS
handshake) is read by those who know what it is. Listeners without them never come here.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from l7.clock import monotonic
from l7.proxy_protocol import LONGEST_V2, BadProxyHeader, ProxyHeader, header_end, parse_header
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import place
from l7.sharedmem.master_gauges import PROXY_REFUSALS, PROXY_REFUSED, PROXY_TOLD_AT
from l7.sharedmem.memory import OF_MASTER
from l7.telemetry.events import named
from l7.workers.downstream.connection import ClientConnection
from l7.workers.downstream.connection_handler import ActiveListener, ConnectionHandler
from l7.workers.transport.stream import Stream

TELL_EVERY = 60 * 1_000_000_000
"""Nanoseconds between two events about refusals for the same reason, over all workers."""
_PEEK = int(socket.MSG_PEEK)
_LOOKS_LIKE = ((b"\x16\x03", "TLS"), (b"GET ", "HTTP"), (b"HEAD ", "HTTP"), (b"OPTIONS ", "HTTP"), (b"POST ", "HTTP"))


class ProxyHeaders:
    """The headers under way in one worker; each may take ``seconds``. ``report`` takes events."""

    def __init__(
        self, owner: ConnectionHandler, writer: CounterWriter, seconds: float, report: Callable[[str], None]
    ) -> None:
        self._owner = owner
        self._writer = writer
        self._seconds = seconds
        self._report = report
        self._under_way: set[_HeaderReader] = set()

    def begin(self, connection: ClientConnection, listener: ActiveListener) -> None:
        """Wait for the header of a new connection, and close one that may send none."""
        peer = connection.hop.client
        if listener.senders is None or peer not in listener.senders:
            self.refuse(connection, "not_listed", f"{peer} is in none of the networks of proxy-protocol")
            return
        reader = _HeaderReader(self, connection, listener)
        self._under_way.add(reader)
        connection.stream.handler = reader
        connection.stream.deadline = monotonic() + self._seconds

    def ended(self, reader: _HeaderReader) -> None:
        """Forget a header that came, or did not."""
        self._under_way.discard(reader)

    def found(self, connection: ClientConnection, listener: ActiveListener, header: ProxyHeader) -> None:
        """Serve a connection whose header is whole."""
        if header.client:
            connection.hop = listener.told_hop(header.client, header.port)
        self._owner.introduced(connection, listener)

    def refuse(self, connection: ClientConnection, reason: str, words: str) -> None:
        """Close a connection; count it and say why, but for the many of the same reason once a minute."""
        number = PROXY_REFUSALS.index(reason)
        self._writer.add(place(OF_MASTER, PROXY_REFUSED + number), 1)
        now, told = time.monotonic_ns(), place(OF_MASTER, PROXY_TOLD_AT + number)
        last = self._writer.read(self._writer.latest(told), told)
        if not last or now - last > TELL_EVERY:
            self._writer.put(told, now)
            where = f"port {connection.hop.port}" if connection.hop.port else "unix socket"
            text = f"PROXY protocol on {where}: {words}; the connection is closed"
            self._report(named("proxy-protocol.refused", text, reason=reason, peer=connection.hop.client))
        connection.close()

    def late(self, connection: ClientConnection) -> None:
        """Close a connection whose header has not come in time."""
        peer = connection.hop.client
        self.refuse(connection, "timeout", f"no whole header from {peer} within {self._seconds:g} s")

    def close(self) -> None:
        """Close the connections that have said nothing yet: the worker is about to exit."""
        for reader in list(self._under_way):
            reader.close_if_silent()


class _HeaderReader:
    """Reads the header of one connection, while its stream has no other handler."""

    __slots__ = ("_all", "_connection", "_data", "_listener")

    def __init__(self, headers: ProxyHeaders, connection: ClientConnection, listener: ActiveListener) -> None:
        self._all = headers
        self._connection = connection
        self._listener = listener
        self._data = b""
        """What has come of the header."""

    def on_ready(self, stream: Stream) -> None:
        """Take what came of the header, and not a byte more."""
        try:
            seen = stream.socket.recv(LONGEST_V2, _PEEK)
            end = header_end(self._data + seen) if seen else 0
            own = (end or len(self._data) + len(seen)) - len(self._data)
            self._data += stream.socket.recv(own) if seen else b""
            header = parse_header(self._data) if end else None
        except BlockingIOError:
            stream.watch()
            return
        except BadProxyHeader as wrong:
            self._end(stream)
            self._malformed(wrong, seen)
            return
        except OSError:
            seen, header = b"", None
        if header is not None:
            self._end(stream)
            self._all.found(self._connection, self._listener, header)
        elif seen:
            stream.watch()
        else:
            self._gone(stream)

    def _end(self, stream: Stream) -> None:
        self._all.ended(self)
        stream.handler = None

    def _malformed(self, wrong: BadProxyHeader, seen: bytes) -> None:
        peer = self._connection.hop.client
        if wrong.missing:
            begun = self._data + seen
            kind = next((f", but what looks like {name}" for start, name in _LOOKS_LIKE if begun.startswith(start)), "")
            words = f"{peer} sent no header{kind}; health checks without one need another listener"
            self._all.refuse(self._connection, "no_header", words)
        else:
            self._all.refuse(self._connection, "malformed", f"a malformed header from {peer}: {wrong}")

    def _gone(self, stream: Stream) -> None:
        """Who leaves without a word has looked whether the port is open; that is nothing to tell of."""
        self._end(stream)
        if self._data:
            words = f"{self._connection.hop.client} left within its header"
            self._all.refuse(self._connection, "closed", words)
        else:
            self._connection.close()

    def on_expired(self, stream: Stream) -> None:
        """Close the connection: its header takes too long."""
        self._end(stream)
        self._all.late(self._connection)

    def close_if_silent(self) -> None:
        """Close the connection, unless something has come."""
        stream = self._connection.stream
        if not self._data and not stream.has_bytes():
            self._end(stream)
            self._connection.close()
