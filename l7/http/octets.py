"""Looking at octets in place: classes of them, short comparisons, numbers, and cutting bytes out of bytes.

Compiled, the C in ``octets.pxd`` runs: a table of classes, sixteen octets of text at a time, no object but what is cut
out. It reads by address and clamps nothing, so every place has to lie within the data or at its end, where the zero
that CPython puts behind each bytes object ends all classes. A build with ``-DL7_CHECK_BOUNDS`` aborts where a place
does not, as this source raises.
"""

from __future__ import annotations

import re

from l7.http.grammar import CHUNK_SIZE, CONTENT_LENGTH, CRLF, OWS, TCHAR, TEXT, VCHAR

_NAME = re.compile(rb"[%b]*" % re.escape(TCHAR.replace(b"_", b"")))
_TEXT = re.compile(rb"[%b]*" % re.escape(TEXT))
_TARGET = re.compile(rb"[%b]*" % re.escape(bytes([code for code in VCHAR if code not in b'#"\\'])))
_SIZE_LINE = re.compile(rb"[1-9A-Fa-f][0-9A-Fa-f]{0,14}\r\n")
_HOST = re.compile(rb"[a-z0-9.-]*")
_PLAIN_PATH = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,=:@-]|/(?![/.]))*(?:\?|\Z)")


def _check(data: bytes, at: int) -> None:
    assert 0 <= at <= len(data), f"octet {at} of {len(data)}"


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    _check(data, at)
    found = pattern.match(data, at)
    assert found is not None
    return found.end()


def octet(data: bytes, at: int) -> int:
    """The octet at ``at``; 0 at the end of ``data``."""
    _check(data, at)
    return data[at] if at < len(data) else 0


def name_end(data: bytes, at: int) -> int:
    """The first place from ``at`` on that holds no ``tchar`` (RFC 9110, 5.6.2), or an underscore."""
    return _end(_NAME, data, at)


def text_end(data: bytes, at: int) -> int:
    """The first place from ``at`` on that holds what no field line may hold (RFC 9110, 5.5), as its CR."""
    return _end(_TEXT, data, at)


def target_end(data: bytes, at: int) -> int:
    """The first place from ``at`` on that holds what cannot stand in a target, or between quotes, as it is."""
    return _end(_TARGET, data, at)


def host_end(data: bytes, at: int) -> int:
    """The first place from ``at`` on that holds anything but lower case, digits, dots and hyphens."""
    return _end(_HOST, data, at)


def plain_path(data: bytes) -> bool:
    """Whether a path, up to its query, can be read in one way only: no escape, no ``;``, no ``//`` and no ``/.``."""
    return _PLAIN_PATH.match(data) is not None


def ends_line(data: bytes, at: int) -> bool:
    """Whether CR and LF stand at ``at``."""
    _check(data, at)
    return data.startswith(CRLF, at)


def starts(data: bytes, at: int, piece: bytes) -> bool:
    """Whether ``piece`` stands at ``at``."""
    _check(data, at)
    return data.startswith(piece, at)


def named(data: bytes, at: int, name: bytes) -> bool:
    """Whether the token that begins at ``at`` begins with ``name``, which is in lower case, in whatever case."""
    _check(data, at)
    return data[at : at + len(name)].lower() == name


def line_among(data: bytes, at: int, initials: bytes) -> int:
    """The first line of ``data``, from the one that begins at ``at`` on, that begins with one of ``initials``.

    Of these there are 256 octets: by octet, in lower case, whether it is one. The length of ``data`` without one.
    """
    _check(data, at)
    assert len(initials) == 256, f"{len(initials)} initials"
    while at < len(data):
        if initials[data[at] | 0x20]:
            return at
        at = data.find(b"\n", at) + 1 or len(data)
    return at


def line_named(data: bytes, at: int, initials: bytes, names: list[bytes], twins: bool) -> int:
    """As `line_among`, of those whose name is one of ``names``, in whatever case; the length of ``data`` without one.

    These are in lower case, and without the three octets that are no letters and have a bit of case, ``^``, ``_`` and
    ``~``. With ``twins`` an underscore in ``data`` counts as a hyphen.
    """
    at = line_among(data, at, initials)
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        name, colon, _ = data[at:end].lower().partition(b":")
        if colon and (name.replace(b"_", b"-") if twins else name) in names:
            return at
        at = line_among(data, end, initials)
    return at


def digits(number: int) -> bytes:
    """A number, 0 or more, in decimal digits."""
    return b"%d" % number


def numbered(before: bytes, first: int, between: bytes, second: int) -> bytes:
    """Two numbers, 0 or more, in decimal digits, each behind its text."""
    return b"%b%d%b%d" % (before, first, between, second)


def decimal(value: bytes) -> int:
    """The number that ``value`` is (``1*DIGIT``); -1 for what is none, or has more than 18 digits that count."""
    found = CONTENT_LENGTH.fullmatch(value)
    return -1 if found is None else int(found.group(1))


def hexadecimal(value: bytes) -> int:
    """The number that ``value`` is (``1*HEXDIG``); -1 for what is none, or has more than 15 digits that count."""
    found = CHUNK_SIZE.fullmatch(value)
    return -1 if found is None else int(found.group(1), 16)


def size_line_end(data: bytes, at: int) -> int:
    """The place behind a chunk's size line, where one begins at ``at`` that is as `size_line` writes it; else -1.

    Of at most 15 digits, which may be of either case.
    """
    _check(data, at)
    found = _SIZE_LINE.match(data, at)
    return -1 if found is None else found.end()


def hexadecimal_at(data: bytes, at: int) -> int:
    """The number that the hexadecimal digits from ``at`` on are: of those that `size_line_end` has seen."""
    _check(data, at)
    found = CHUNK_SIZE.match(data, at)
    return 0 if found is None else int(found.group(1), 16)


def size_line(size: int) -> bytes:
    """The line in front of a chunk of ``size`` bytes (RFC 9112, 7.1), with its CRLF."""
    return b"%x\r\n" % size


def cut(data: bytes, start: int, end: int) -> bytes:
    """The bytes of ``data`` from ``start`` to before ``end``, which have to lie within, and in this order."""
    assert 0 <= start <= end <= len(data), f"slice {start}:{end} of {len(data)} bytes"
    return data[start:end]


def joined(pieces: list[bytes]) -> bytes:
    """All of them, one behind the other."""
    return b"".join(pieces)


def stripped(data: bytes, start: int, end: int) -> bytes:
    """The same without white space (``OWS``) at both ends."""
    return cut(data, start, end).strip(OWS)
