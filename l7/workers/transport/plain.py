"""The transport below a stream: what its bytes are on the wire. Here they are the same.

Hot: one receive and one send a request and side go through it; compiled, a call costs 15 instructions, because a
`Stream` calls the methods of the class by pointer.

Another transport extends `PlainTransport` and replaces what is different there: `recv`, `send`, `peek`, `shutdown` and
``pending``, and it says that it can neither be spliced nor, mostly, be detached. All of it is non-blocking; deadlines,
waiting and the meaning of an error are the stream's business.
"""

from __future__ import annotations

import os
import socket
from _socket import socket as Socket

from l7.workers.transport import socket_calls


class PlainTransport:
    """Bytes as the socket carries them. Raises ``OSError`` as the system tells it."""

    __slots__ = ("_acknowledges", "_descriptor", "can_detach", "can_splice", "pending", "socket", "truncated")

    def __init__(self, sock: Socket) -> None:
        self.socket = sock
        self._descriptor = sock.fileno()  # nobody else closes the socket
        self._acknowledges = True
        self.pending = 0
        """Bytes that `recv` returns without asking the socket, of which the loop does not tell; 1 for the end alone."""
        self.can_splice = True
        """Whether bytes pass as they are: the kernel may move them, and a readable socket has something to receive."""
        self.can_detach = True
        """Whether another process that gets the descriptor can go on: nothing is held here, neither keys nor bytes."""
        self.truncated = False
        """Whether the end that `recv` tells of was none that the peer has announced, where its protocol asks for it."""

    def recv(self, size: int) -> bytes:
        """At most ``size`` bytes; empty at the end. Raises ``BlockingIOError`` for nothing yet."""
        return socket_calls.receive(self._descriptor, size)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send what can be sent at once; returns how many bytes of ``data`` that were.

        Raises ``BlockingIOError`` where it is none. A transport may hold some of it in another form then, so the next
        call has to begin with the same bytes.
        """
        return socket_calls.send(self._descriptor, data)

    def send_both(self, head: bytes, data: bytes, at: int) -> int:
        """As `send`, for ``head`` and what ``data`` holds from ``at`` on; where it is plain nothing is copied."""
        if not self.can_splice:
            return self.send(head + data[at:])
        return socket_calls.send_both(self._descriptor, head, data, at)

    def peek(self) -> bool:
        """Whether there is something to receive: bytes, the end or an error, which is kept for `recv`."""
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def acknowledge(self) -> None:
        """Acknowledge at once what has come: a peer that holds back what it wrote next goes on (RFC 9293, 3.7.4).

        The system waits up to 40 ms for something that an acknowledgement could travel with.
        """
        if self._acknowledges:
            try:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            except OSError:  # a unix socket, or one that was reset
                self._acknowledges = False

    def shutdown(self) -> None:
        """End what is sent, in the way of the protocol; bytes can still be received."""
        self.socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Let `close` tell the peer of an error instead of an end."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        except OSError:
            pass

    def close(self) -> None:
        """Let the socket go, without a word: the peer takes what was not ended by `shutdown` for cut off."""
        self._descriptor = -1
        self.socket.close()


class RelayTransport(PlainTransport):
    """One end of a socket pair on which another process has what a client says in TLS, and says what it is sent.

    Whether a side was ended, cut off or reset cannot be seen at a unix socket whose other end was closed. So who ends
    or resets gives its end a name first, which the system keeps: what has no name was cut off.
    """

    __slots__ = ()

    def recv(self, size: int) -> bytes:
        """As the plain one; ``truncated`` says how it ended."""
        data = socket_calls.receive(self._descriptor, size)
        if not data:
            self.truncated = how_it_ended(self.socket) != ENDED
        return data

    def shutdown(self) -> None:
        """End what is sent, so that the client is sent close_notify."""
        end(self.socket)

    def abort(self) -> None:
        """Let `close` reset the client's connection."""
        _name(self.socket, RESET)


CUT_OFF, ENDED, RESET = b"", b"e", b"r"
"""How one end of a socket pair was ended."""


def end(sock: Socket) -> None:
    """End what is sent on one end of a socket pair, for `how_it_ended` at the other. Raises ``OSError``."""
    _name(sock, ENDED)
    sock.shutdown(socket.SHUT_WR)


def how_it_ended(sock: Socket) -> bytes:
    """What was done at the other end of a socket pair: `ENDED`, `RESET`, or `CUT_OFF` where it was only closed."""
    try:
        return sock.getpeername()[1:2] or CUT_OFF
    except OSError:
        return CUT_OFF


def _name(sock: Socket, how: bytes) -> None:
    try:
        sock.bind(b"\0" + how + os.urandom(12))  # an abstract name, which is in no file system
    except OSError:  # it has one
        pass
