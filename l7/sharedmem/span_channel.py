"""How spans get from workers to the monitor process: one socket pair for all, made before the first fork.

Nobody waits: what finds the pair full is lost, and whoever sends counts it. What is in it outlives a monitor process
that dies, and is read by the next one.
"""

from __future__ import annotations

import contextlib
import socket
import weakref

ROOM = 1 << 20
"""Bytes that are asked of the system; it may give less (``net.core.wmem_max``)."""
LARGEST = 1 << 16
"""Bytes of one message: how many spans a request has, and these (`l7.telemetry.tracing.spans`)."""


class SpanChannel:
    """The pair, shared with each process forked after it was made.

    :raises OSError: the system has no descriptors left.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        weakref.finalize(self, _close, self._receiver, self._sender)
        for end in (self._receiver, self._sender):
            end.setblocking(False)
        with contextlib.suppress(OSError):
            self._sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)

    def send(self, message: bytes) -> bool:
        """Send one message; returns whether there was room for it. Never raises."""
        if len(message) > LARGEST:
            return False
        try:
            self._sender.send(message, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return False
        return True

    def fileno(self) -> int:
        """What is to be watched for messages."""
        return self._receiver.fileno()

    def receive(self) -> bytes | None:
        """The next message; None when there is none now."""
        try:
            return self._receiver.recv(LARGEST, socket.MSG_DONTWAIT)
        except OSError:
            return None


def _close(*ends: socket.socket) -> None:
    for end in ends:
        end.close()
