"""What clients and servers of a rehearsal say to each other, and how it is read.

A target ends with ``/rehearse/KIND/NUMBER``. Every request has a number of its own, and everything that is sent with it
or answered to it can be told from its number: so what was lost, doubled or mixed up shows.
"""

from __future__ import annotations

from asyncio import IncompleteReadError, StreamReader

MARK = b"/rehearse/"
GET, POST, SLOW, UPLOAD, DOWNLOAD, SOCKET = b"g", b"p", b"s", b"u", b"d", b"w"
"""The kinds of requests: quick ones, an answer that takes its time, a body that does, a download, a WebSocket."""
POSTS = (POST, UPLOAD)
SLOW_SECONDS = 1.0
"""How long a slow answer takes."""
DOWNLOAD_SIZE = 4 * 1024 * 1024
"""Bytes of a download, about."""
HEAD_END = b"\r\n\r\n"
TEXT, CLOSE = 1, 8
"""Opcodes of WebSocket frames (RFC 6455, 5.2)."""
LOST = (OSError, IncompleteReadError)
"""What reading raises when the connection ends before a message is whole."""
_LENGTH = b"\r\ncontent-length:"


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
    """The body of a request, and of most answers."""
    return b"%d\n" % number * 10


def answer(kind: bytes, number: int) -> bytes:
    """The body of the answer."""
    if kind == DOWNLOAD:
        return (b"%020d" % number) * (DOWNLOAD_SIZE // 20)
    return b"" if kind == SOCKET else content(number)


async def read_message(reader: StreamReader) -> tuple[bytes, bytes]:
    """Head and body of a request or an answer, whose length its head tells; raises one of `LOST`."""
    head = await reader.readuntil(HEAD_END)
    _, found, rest = head.lower().partition(_LENGTH)
    return head, await reader.readexactly(int(rest.partition(b"\r\n")[0])) if found else b""


def frame(opcode: int, payload: bytes, *, masked: bool) -> bytes:
    """A WebSocket frame of less than 126 bytes; its mask, if it has one, is zero, and leaves the payload as it is."""
    return bytes((0x80 | opcode, masked << 7 | len(payload))) + bytes(4 * masked) + payload


async def read_frame(reader: StreamReader) -> tuple[int, bytes]:
    """Opcode and payload of such a frame; raises one of `LOST`."""
    first, second = await reader.readexactly(2)
    await reader.readexactly(4 * (second >> 7))
    return first & 0x0F, await reader.readexactly(second & 0x7F)
