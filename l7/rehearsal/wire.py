"""What clients and origins of a rehearsal say to each other: targets, bodies and WebSocket frames.

A target ends with ``/rehearse/KIND/NUMBER``. Every request has a number of its own, and everything that is sent with it
or answered to it can be told from its number: so what was lost, doubled or mixed up shows.
"""

from __future__ import annotations

import os

MARK = b"/rehearse/"
GET, POST, SLOW, UPLOAD, DOWNLOAD, SOCKET = b"g", b"p", b"s", b"u", b"d", b"w"
"""The kinds of requests: quick ones, an answer that takes its time, a body that does, a download, a WebSocket."""

SLOW_SECONDS = 1.0
"""How long a slow answer takes."""
DOWNLOAD_SIZE = 4 * 1024 * 1024
"""Bytes of a download."""
HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "


def target(kind: bytes, number: int) -> bytes:
    """The end of a target."""
    return b"%b%b/%d" % (MARK, kind, number)


def parse_target(path: bytes) -> tuple[bytes, int]:
    """Kind and number; raises ``ValueError`` for a target that no rehearsal made."""
    _, mark, rest = path.rpartition(MARK)
    kind, _, number = rest.partition(b"/")
    if not mark:
        raise ValueError(path)
    return kind, int(number)


def content(number: int) -> bytes:
    """The body of a request, and of an answer."""
    return b"%d\n" % number * 10


def block(number: int) -> bytes:
    """What a download repeats."""
    return (b"%020d" % number) * 3277


def download(number: int) -> bytes:
    """A whole download."""
    piece = block(number)
    return (piece * (DOWNLOAD_SIZE // len(piece) + 1))[:DOWNLOAD_SIZE]


def length_of(head: bytes) -> int:
    """The value of Content-Length in a head; 0 without one."""
    lowered = head.lower()
    start = lowered.find(_LENGTH)
    if start < 0:
        return 0
    start += len(_LENGTH)
    end = lowered.find(b"\r\n", start)
    return int(lowered[start:] if end < 0 else lowered[start:end])


# --- WebSocket frames of less than 126 bytes (RFC 6455, 5.2) -------------------------------------------------------


def frame(payload: bytes, *, opcode: int = 2, masked: bool) -> bytes:
    """One frame."""
    if not masked:
        return bytes((0x80 | opcode, len(payload))) + payload
    mask = os.urandom(4)
    return bytes((0x80 | opcode, 0x80 | len(payload))) + mask + _mask(payload, mask)


def parse_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Opcode, payload, and what follows; None when the frame is not whole."""
    if len(data) < 2:
        return None
    masked, size = data[1] & 0x80, data[1] & 0x7F
    start = 6 if masked else 2
    if len(data) < start + size:
        return None
    payload = data[start : start + size]
    return data[0] & 0x0F, _mask(payload, data[2:6]) if masked else payload, data[start + size :]


def _mask(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
