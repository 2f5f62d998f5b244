"""A channel between two processes: what is sent arrives, in order, or the other end is gone.

It is one end of a socket pair of type ``SOCK_SEQPACKET``, a message a packet, and never waits. What the socket does
not take is queued here until `Channel.flush`, which the owner's loop calls when the socket is writable: a process that
does not read for a while misses nothing. One that never reads cannot make this one's memory grow without end: when more
than `MOST_QUEUED` bytes wait, the channel is shut down, and each end sees the other's end.

Descriptors are not queued. `Channel.try_send` sends one at once, behind everything that was sent before it, or leaves
it to the caller, who may have another process for it: a client's connection does not wait for a process that is stuck.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from l7.ipc.codec import DecodeError
from l7.ipc.messages import CODEC, WITH_DESCRIPTOR, Message
from l7.ipc.rights import descriptors_in, rights, room

LONGEST = 64 * 1024
"""Bytes of the longest message."""
MOST_QUEUED = 8 * 1024 * 1024
"""Bytes that wait for the other end at most."""
MOST_DESCRIPTORS = 4
"""Descriptors that one message may bring; one is expected, more are closed."""

_ROOM = room(MOST_DESCRIPTORS)
_FULL = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR))
_SCARCE = frozenset((errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE))


class MessageTooLong(ValueError):
    """A message that no channel carries."""


class Received(NamedTuple):
    """A message, and the descriptor that came with it: whoever receives it has to close it."""

    message: Message
    descriptor: int | None = None

    def discard(self) -> None:
        """Close the descriptor of a message that its receiver has no use for."""
        if self.descriptor is not None:
            os.close(self.descriptor)


def pair() -> tuple[socket.socket, socket.socket]:
    """The sockets of both ends of a channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _ignore(_: object) -> None:
    """Nobody wants to know."""


class Channel:
    """One end. ``report`` is told, in words, what came that is no message; that is left out."""

    def __init__(
        self, sock: socket.socket, report: Callable[[str], None] = _ignore, *, most: int = MOST_QUEUED
    ) -> None:
        sock.setblocking(False)
        self.closed = False
        """Whether there is nothing more to receive: the other end is gone, or this one was closed."""
        self.scarce = False
        """Whether the last message was not sent because the system lacked memory or room for descriptors on their way:
        that a socket is writable says nothing then."""
        self.on_wants_write: Callable[[bool], None] = _ignore
        """Called when something begins to wait for the socket to be writable, and when nothing does any more."""
        self._socket = sock
        self._report = report
        self._most = most
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._wants_write = False
        self._sending = False
        self._broken = False
        """Whether the other end receives nothing any more. What it sent before may still have to be received."""

    def fileno(self) -> int:
        """The socket's descriptor; -1 when it is closed."""
        return self._socket.fileno()

    @property
    def broken(self) -> bool:
        """Whether nothing that is sent arrives any more."""
        return self._broken or self.closed

    @property
    def wants_write(self) -> bool:
        """Whether `flush` is to be called when the socket is writable."""
        return bool(self._queue)

    def send(self, message: Message) -> None:
        """Send a message as soon as the other end has room for it; it is dropped when that is gone.

        Raises `MessageTooLong`. It may be called by a handler of a signal, also amid another call of the channel.
        """
        if self.broken:
            return
        data = _encode(message)
        self._queue.append(data)
        self._queued += len(data)
        if self._sending:
            return  # a signal's handler came in between: whom it interrupted sends this, too
        self.flush()
        if self._queued > self._most:
            self._report(f"a process does not read what it is told: {self._queued} bytes wait for it; it is given up")
            self._give_up()

    def try_send(self, message: Message, descriptor: int) -> bool:
        """Send a message with a copy of a descriptor, at once and after everything before it, or not at all."""
        self.flush()
        if self.broken or self._queue:
            return False
        return self._put(_encode(message), [descriptor])

    def flush(self) -> None:
        """Send what waits, as far as there is room."""
        self._sending = True
        try:
            while self._queue and self._put(self._queue[0], []):
                self._queued -= len(self._queue.popleft())
        finally:
            self._sending = False
        if self._broken:
            self._drop()
        self._tell_whether_it_wants_to_write()

    def receive(self) -> Iterator[Received]:
        """What has come so far; sets ``closed`` at the end of the channel.

        Nothing is lost where the iteration is left early. Read to the end: an end that left something unread resets
        the channel, and what it sent before still waits behind that.
        """
        was_reset = False
        while not self.closed:
            try:
                data, descriptors, cut = _receive(self._socket)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if not isinstance(error, ConnectionResetError) or was_reset:
                    self._end()
                was_reset = True
                continue
            if not data and not descriptors:
                self._end()
                return
            received = self._accept(data, descriptors, cut=cut)
            if received is not None:
                yield received

    def close(self) -> None:
        """Let go of this end, and of what waits; the other end receives what was sent, and then the end."""
        self.closed = True
        self._drop()
        self._socket.close()

    def _accept(self, data: bytes, descriptors: list[int], *, cut: bool) -> Received | None:
        """What came as a message; None, with nothing left open, where it is none."""
        try:
            if cut:
                raise DecodeError(f"it is longer than {LONGEST} bytes")
            message = CODEC.decode(data)
            wanted = isinstance(message, WITH_DESCRIPTOR)
            if wanted and not descriptors:
                raise DecodeError(f"{type(message).__name__} came without its descriptor: there may be too many open")
        except DecodeError as error:
            _close(descriptors)
            self._report(f"a message of another process of l7 is left out: {error}")
            return None
        _close(descriptors[int(wanted) :])
        return Received(message, descriptors[0] if wanted else None)

    def _put(self, data: bytes, descriptors: list[int]) -> bool:
        self.scarce = False
        try:
            self._socket.sendmsg([data], rights(descriptors), socket.MSG_NOSIGNAL)
        except OSError as error:
            self.scarce = error.errno in _SCARCE
            if not self.scarce and error.errno not in _FULL:
                self._broken = True
            return False
        return True

    def _give_up(self) -> None:
        """End the channel while it is watched: the descriptor stays open, and `receive` comes to the end."""
        self._broken = True
        self._drop()
        self._tell_whether_it_wants_to_write()
        with contextlib.suppress(OSError):  # the other end is gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        self.closed = True
        self._drop()
        self._tell_whether_it_wants_to_write()

    def _drop(self) -> None:
        self._queue.clear()
        self._queued = 0

    def _tell_whether_it_wants_to_write(self) -> None:
        if self.wants_write is not self._wants_write:
            self._wants_write = self.wants_write
            self.on_wants_write(self._wants_write)


def _encode(message: Message) -> bytes:
    data = CODEC.encode(message)
    if len(data) > LONGEST:
        raise MessageTooLong(f"{type(message).__name__}: {len(data)} bytes are more than {LONGEST}")
    return data


def _receive(sock: socket.socket) -> tuple[bytes, list[int], bool]:
    """A packet, its descriptors, and whether it was longer than `LONGEST`."""
    data, control, flags, _ = sock.recvmsg(LONGEST, _ROOM, socket.MSG_CMSG_CLOEXEC)
    return data, descriptors_in(control), bool(flags & socket.MSG_TRUNC)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
