"""Where a WebSocket's frames end (RFC 6455, 5.2): enough to say goodbye between two of them, and no more."""

from __future__ import annotations

import os

from l7.http import octets

GOING_AWAY = 1001
"""The close code of a server that goes down (RFC 6455, 7.4.1)."""
LONGEST = 2**62
"""Bytes in a frame: none is longer before its tunnel ends."""
CLOSE = 0x8
"""The opcode of a close frame."""


class FrameBoundaryTracker:
    """Follows one direction of a WebSocket: feed it every byte that is passed on."""

    __slots__ = ("_head", "_left", "closed")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self.closed = False
        """Whether a close frame has passed: after it nothing may be said (RFC 6455, 5.5.1)."""

    @property
    def between(self) -> bool:
        """Whether the bytes so far end with a whole frame."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the direction."""
        if len(data) < self._left:
            self._left -= len(data)
            return
        place, self._left = self._left, 0
        if self._head:
            data, place, self._head = self._head + data[place:], 0, b""
        size = len(data)
        while place < size:
            length = _head_length(data, place)
            if place + length > size:
                self._head = data[place:]
                return
            self.closed = self.closed or octets.octet(data, place) & 0x0F == CLOSE
            place += length + _payload_length(data, place)
        self._left = place - size


def _head_length(data: bytes, place: int) -> int:
    """The length of the frame head at ``place``; of one that is not there yet, more than there is."""
    if place + 2 > len(data):
        return 2
    second = octets.octet(data, place + 1)
    short = second & 0x7F
    return 2 + (2 if short == 126 else 8 if short == 127 else 0) + (4 if second & 0x80 else 0)


def _payload_length(data: bytes, place: int) -> int:
    short = octets.octet(data, place + 1) & 0x7F
    if short < 126:
        return short
    length = int.from_bytes(data[place + 2 : place + (4 if short == 126 else 10)], "big")
    return min(length, LONGEST)


def going_away(*, masked: bool) -> bytes:
    """A close frame 1001; what goes to a server is ``masked`` (RFC 6455, 5.3)."""
    payload = GOING_AWAY.to_bytes(2, "big")
    if not masked:
        return bytes((0x80 | CLOSE, 2)) + payload
    mask = os.urandom(4)
    hidden = bytes(byte ^ mask[place] for place, byte in enumerate(payload))
    return bytes((0x80 | CLOSE, 0x80 | 2)) + mask + hidden
