"""Writing lines of the access log into a ``bytearray``, in place: what is behind ``at`` there may be anything.

Each function writes at ``at``, which lies within the buffer or at its end, makes room where there is none, and returns
the place behind what it has written. Compiled, the C in ``line_writing.pxd`` runs: no object is made, and text is
looked at and copied eight octets at a time.
"""

from __future__ import annotations

_PRINTABLE = bytes([code for code in range(0x20, 0x7F) if code not in b'"\\'])
_QUOTED = {code: chr(code) if code in _PRINTABLE else f"\\x{code:02X}" for code in range(256)}
_BARE = {**_QUOTED, 0x20: "\\x20"}


def escape(raw: bytes) -> str:
    """Write ``raw`` as it may stand between quotes: ``"``, ``\\`` and all but printable ASCII as ``\\xHH``."""
    return raw.decode("latin-1").translate(_QUOTED)


def put(buffer: bytearray, at: int, raw: bytes) -> int:
    """Write ``raw`` as it is."""
    buffer[at : at + len(raw)] = raw
    return at + len(raw)


def put_quoted(buffer: bytearray, at: int, raw: bytes) -> int:
    """Write ``raw`` as it may stand between quotes (`escape`), ``-`` for nothing."""
    return put(buffer, at, escape(raw).encode("ascii") or b"-")


def put_bare(buffer: bytearray, at: int, raw: bytes) -> int:
    """Write ``raw`` as it may stand without quotes, with spaces escaped as well, ``-`` for nothing."""
    return put(buffer, at, raw.decode("latin-1").translate(_BARE).encode("ascii") or b"-")


def put_text(buffer: bytearray, at: int, text: str) -> int:
    """Write ``text`` as it may stand without quotes: what is not ASCII by the bytes of its UTF-8."""
    return put_bare(buffer, at, text.encode("utf-8", "backslashreplace"))


def put_number(buffer: bytearray, at: int, number: int, digits: int) -> int:
    """Write a number in decimal, with zeros in front up to so many ``digits`` where it is not negative."""
    return put(buffer, at, b"%0*d" % (digits, number) if number >= 0 else b"%d" % number)
