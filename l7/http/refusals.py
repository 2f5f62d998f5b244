"""What is refused of a head, in words: what is too large by which limit, and which line is malformed.

What may be told to the other side is the ``detail`` of a `ProxyError`; what came itself, escaped and cut, goes into the
log alone (``seen``). Of a field that is its name, never its value.
"""

from __future__ import annotations

from dataclasses import dataclass

from l7.errors import (
    BAD_REQUEST,
    BAD_RESPONSE,
    HEAD_TOO_LARGE,
    RESPONSE_HEAD_TOO_LARGE,
    TARGET_TOO_LONG,
    Kind,
    ProxyError,
)
from l7.http.grammar import CRLF, MARK_TEXT, is_token
from l7.units import quoted

BEGINNING = b"HTTP/1."
"""What every response that is understood begins with."""

_HTTP2_FRAMES = (b"\x04", b"\x07")
"""The types of SETTINGS and GOAWAY (RFC 9113, 6.5 and 6.8): an HTTP/2 server begins with one of them."""
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""An alert and a handshake (RFC 8446, 5.1)."""

PROXY_HEADER = "a PROXY protocol header, which this listener does not take (proxy-protocol)"
BINARY_PROXY_HEADER = b"\0\r\nQUIT\n"
"""What one of version 2 has behind two empty lines."""


@dataclass(frozen=True)
class Bounds:
    """The limits of a head and of trailers by their names: ``size`` in bytes, ``count`` of fields."""

    failure: Kind
    size: str
    count: str

    def large(self, most: int, what: str) -> str:
        """``what`` has more than ``most`` bytes."""
        return f"{what} larger than {most} bytes ({self.size})"

    def many(self, most: int, what: str) -> str:
        """There are more than ``most`` of ``what``."""
        return f"more than {most} {what} ({self.count})"


REQUEST = Bounds(HEAD_TOO_LARGE, "limits.head", "limits.headers")
RESPONSE = Bounds(RESPONSE_HEAD_TOO_LARGE, "limits.response-head", "limits.response-headers")


def target_too_long(most: int) -> ProxyError:
    """A target has more than ``most`` bytes."""
    return ProxyError(TARGET_TOO_LONG, f"longer than {most} bytes (limits.target)")


def no_request_line(line: bytes) -> ProxyError:
    """The failure of a client that begins with ``line``: that is no request line (RFC 9112, 3)."""
    return ProxyError(BAD_REQUEST, PROXY_HEADER if line.startswith(b"PROXY ") else "malformed request line")


def shown(data: bytes) -> str:
    """Bytes for the log: quoted, escaped, cut."""
    return quoted(data.decode("latin-1"))


def no_response(data: bytes) -> ProxyError:
    """The failure of a server whose answer begins with ``data``: that is no status line of HTTP/1 (RFC 9112, 4)."""
    line = data.partition(CRLF)[0]
    if data.startswith(b"\0") and data[3:4] in _HTTP2_FRAMES:
        detail = "an HTTP/2 frame: the server speaks HTTP/2 only, and HTTP/1.1 is spoken to servers"
    elif data.startswith((b"HTTP/2", b"HTTP/3", b"PRI * HTTP/2")):
        detail = "another version of HTTP: only 1.0 and 1.1 are spoken to servers"
    elif data.startswith(_TLS_RECORDS):
        detail = "a TLS record: the server speaks TLS on this port"
    elif data.startswith(CRLF):
        detail = "an empty line before the status line"
    elif data.startswith(BEGINNING):
        detail = "malformed status line"
    else:
        detail = "no status line: this is HTTP/0.9, or no HTTP at all"
    return ProxyError(BAD_RESPONSE, detail, seen=shown(line))


def begins_as_response(data: bytes | bytearray) -> bool:
    """Whether a response may begin with ``data``, of which little may have come so far."""
    return data[: len(BEGINNING)] == BEGINNING[: len(data)]


def field_line(failure: Kind, line: bytes, number: int) -> ProxyError:
    """The failure of a malformed field line, ``number`` in its head or among its trailers (RFC 9112, 5 and 5.2)."""
    if line.startswith((b" ", b"\t")):  # it is of the value before it, so nothing of it may be shown
        return ProxyError(failure, f"folded field (obs-fold) in line {number}")
    name, colon, _ = line.partition(b":")
    where = f"line {number}"
    if is_token(name) and colon:
        where += f" ({name.decode('ascii')[:60]})"
    if line.translate(MARK_TEXT) != line:
        return ProxyError(failure, f"control character, bare CR or bare LF in {where}")
    if not colon:
        return ProxyError(failure, f"no colon in {where}", seen=shown(line.partition(b"=")[0].partition(b" ")[0][:40]))
    return ProxyError(failure, f"invalid field name in {where}", seen=shown(name))
