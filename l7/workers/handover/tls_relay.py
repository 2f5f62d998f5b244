"""The TLS of one client whose requests another worker serves: decrypted, encrypted, and not understood.

There is no greenlet: the loop calls when one side has something to say, or takes more. Of either direction no more is
held than one receive brings, and nothing is received from a side while the other one has not taken all of it.

How a side ends is passed on. close_notify becomes a named end (`l7.workers.transport.plain.end`), and a named end
close_notify; what was cut off on one side is cut off on the other, too.
"""

from __future__ import annotations

import socket
from _socket import socket as Socket
from typing import Any, Protocol

from gevent import get_hub

from l7.clock import monotonic
from l7.workers.transport import socket_calls
from l7.workers.transport.plain import ENDED, RESET, end, how_it_ended
from l7.workers.transport.stream_errors import is_hung_up
from l7.workers.transport.tls import MOST, TlsTransport

_READ, _WRITE = 1, 2


class RelayOwner(Protocol):
    """What holds the relays of a worker."""

    def look_at(self, relay: TlsRelay) -> None:
        """Have `TlsRelay.look` called now and then, until it returns False."""

    def gone(self, relay: TlsRelay) -> None:
        """Called when the relay has ended."""


class TlsRelay:
    """Between a client's TLS and ``sock``, our end of a socket pair; give up what a client takes nothing of for
    ``seconds``.
    """

    __slots__ = (
        "_client_over", "_client_readable", "_client_writable", "_fd", "_owner", "_seconds", "_server_over",
        "_sock", "_sock_readable", "_sock_writable", "_taken_at", "_to_client", "_to_server", "_transport", "closed",
    )  # fmt: skip

    def __init__(self, transport: TlsTransport, sock: Socket, owner: RelayOwner, seconds: float) -> None:
        self.closed = False
        self._transport = transport
        self._sock = sock
        self._fd = sock.fileno()
        self._owner = owner
        self._seconds = seconds
        self._to_server: bytes | memoryview = b""
        """Bytes of the client that the socket pair has not taken."""
        self._to_client: bytes | memoryview = b""
        """Bytes for the client that its connection has not taken."""
        self._taken_at = 0.0
        """When its connection last took something."""
        self._client_over = False
        """Whether the client has ended, and that was passed on."""
        self._server_over = False
        """Whether the other worker has ended, and that was passed on."""
        loop = get_hub().loop
        self._client_readable = loop.io(transport.socket.fileno(), _READ)
        self._sock_readable = loop.io(self._fd, _READ)
        self._client_writable: Any = None
        self._sock_writable: Any = None

    def start(self) -> None:
        """Begin, with what was decrypted already."""
        self._client_readable.start(self._from_client)
        self._sock_readable.start(self._from_server)
        if self._transport.pending:
            get_hub().loop.run_callback(self._from_client)

    # --- from the client ----------------------------------------------------------------------------------------------

    def _from_client(self) -> None:
        while not (self.closed or self._client_over or self._to_server):
            try:
                data = self._transport.recv(MOST)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            if data:
                self._give_server(data)
            else:
                self._end_of_client()
            if not self._transport.pending:
                return

    def _give_server(self, data: bytes | memoryview) -> None:
        """Send on what the client has said; what is not taken now keeps the client waiting."""
        try:
            sent = socket_calls.send(self._fd, data)
        except BlockingIOError:
            sent = 0
        except OSError:  # nobody listens any more; what was said before is still to be read
            self._hear_client_no_more()
            if self._server_over:
                self.close()
            return
        if sent < len(data):
            self._to_server = memoryview(data)[sent:]
            self._client_readable.stop()
            if self._sock_writable is None:
                self._sock_writable = get_hub().loop.io(self._fd, _WRITE)
            self._sock_writable.start(self._on_sock_writable)

    def _on_sock_writable(self) -> None:
        self._sock_writable.stop()
        data, self._to_server = self._to_server, b""
        self._give_server(data)
        if not (self.closed or self._client_over or self._to_server):
            self._client_readable.start(self._from_client)
            if self._transport.pending:
                self._from_client()

    def _end_of_client(self) -> None:
        """The client has ended: by close_notify, or without, as one that was cut off."""
        self._hear_client_no_more()
        try:
            if self._transport.truncated:
                self._sock.shutdown(socket.SHUT_WR)
            else:
                end(self._sock)
        except OSError:  # nobody listens any more
            pass
        if self._server_over:
            self.close()
        else:
            self._owner.look_at(self)

    def _hear_client_no_more(self) -> None:
        self._client_over = True
        self._to_server = b""
        self._client_readable.stop()

    # --- from the other worker ----------------------------------------------------------------------------------------

    def _from_server(self) -> None:
        try:
            data = socket_calls.receive(self._fd, MOST)
        except BlockingIOError:
            return
        except OSError:  # it has left something unread
            data = b""
        if data:
            self._give_client(data)
        else:
            self._end_of_server()

    def _give_client(self, data: bytes | memoryview) -> None:
        """Encrypt what is for the client; what it does not take now keeps the other worker waiting."""
        try:
            sent = self._transport.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._hold_for_client(memoryview(data)[sent:])

    def _hold_for_client(self, data: memoryview) -> None:
        self._to_client = data
        self._sock_readable.stop()
        if self._client_writable is None:
            self._client_writable = get_hub().loop.io(self._transport.socket.fileno(), _WRITE)
        self._client_writable.start(self._on_client_writable)
        self._taken_at = monotonic()
        self._owner.look_at(self)

    def _on_client_writable(self) -> None:
        self._client_writable.stop()
        data, self._to_client = self._to_client, b""
        self._give_client(data)
        if not (self.closed or self._to_client):
            self._sock_readable.start(self._from_server)

    def _end_of_server(self) -> None:
        """The other worker has ended: in order, or cut off, as its client is then."""
        self._sock_readable.stop()
        self._server_over = True
        self._taken_at = monotonic()
        how = how_it_ended(self._sock)
        if how != ENDED:
            if how == RESET:
                self._transport.abort()
            self.close()
            return
        try:
            self._transport.shutdown()
        except OSError:  # the client is gone
            self.close()
            return
        self._owner.look_at(self)

    # --- the end ------------------------------------------------------------------------------------------------------

    def look(self, now: float) -> bool:
        """End where that shows in no other way; returns whether to look again.

        A client that has ended may have gone altogether, and so may a worker; and a client may take nothing more.
        """
        if self.closed:
            return False
        if self._to_client or self._transport.has_unsent:
            if now - self._taken_at > self._seconds:
                self.close()
        elif self._server_over:
            if is_hung_up(self._fd) or self._client_over:
                self.close()
        elif not self._client_over:
            return False
        elif is_hung_up(self._transport.socket.fileno()):
            self.close()
        return not self.closed

    def close(self) -> None:
        """Let both sides go; one that has not ended is cut off."""
        if self.closed:
            return
        self.closed = True
        for watcher in (self._client_readable, self._client_writable, self._sock_readable, self._sock_writable):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._to_server = self._to_client = b""
        self._sock.close()
        self._transport.close()
        self._owner.gone(self)
