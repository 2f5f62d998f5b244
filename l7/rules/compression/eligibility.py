"""Which answers may be compressed. Everything here is about the answer and its route; what a client takes is not."""

from __future__ import annotations

import re

from l7.http.grammar import elements
from l7.http.messages import ResponseHead, lines_of

MINIMUM = 1024
"""Bytes of a body from which on it is compressed, where its length is known."""

TYPES = frozenset(
    b"""
    application/ecmascript application/graphql application/javascript application/json application/jsonl
    application/ndjson application/rtf application/sql application/toml application/vnd.ms-fontobject application/wasm
    application/x-font-ttf application/x-javascript application/x-ndjson application/x-sh application/x-yaml
    application/xml application/xml-dtd application/yaml
    font/collection font/otf font/ttf image/bmp image/vnd.microsoft.icon image/x-icon
    """.split()
)
"""What is compressed beside `text/*` and what ends with one of `SUFFIXES`."""
SUFFIXES = (b"+json", b"+xml", b"+text", b"+yaml")
EVENTS = b"text/event-stream"
"""Not compressed though it is text: an event is small, and its stream holds a compressor's memory for hours."""

_NEVER = frozenset((204, 205, 206, 226, 304))
"""Final statuses without content, or with a part of one or a change of it."""
_FIELDS = re.compile(
    rb"(?:^|\n)(content-type|content-encoding|content-range|cache-control|set-cookie|etag|vary):[ \t]*([^\r\n]*)",
    re.IGNORECASE,
)
_NO_TRANSFORM = b"no-transform"


class AnswerFields:
    """What the fields of an answer say that decides whether it is compressed; names in lower case."""

    __slots__ = ("_values",)

    def __init__(self, runs: list[bytes]) -> None:
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in _FIELDS.findall(b"\r\n".join(runs)):
            self._values.setdefault(name.lower(), []).append(value.rstrip(b" \t"))

    def has(self, name: bytes) -> bool:
        """Whether there is such a field."""
        return name in self._values

    def value(self, name: bytes) -> bytes:
        """The values of a field, joined; empty without one."""
        return b", ".join(self._values.get(name, ()))

    def values(self, name: bytes) -> list[bytes]:
        """The values of a field, line by line."""
        return self._values.get(name, [])


def is_text_like(media_type: bytes) -> bool:
    """Whether what has this Content-Type is worth compressing; parameters do not matter."""
    kind = media_type.partition(b";")[0].strip(b" \t").lower()
    if kind.startswith(b"text/"):
        return kind != EVENTS
    return kind in TYPES or kind.endswith(SUFFIXES)


def may_compress(response: ResponseHead, fields: AnswerFields, own_cookie: bytes = b"") -> bool:
    """Whether an answer may be compressed for those who take it: then each answer of its kind says so by Vary.

    ``own_cookie`` is the line of a cookie that l7 itself sets, which holds no secret of the server's.
    """
    if response.status < 200 or response.status in _NEVER or 0 <= response.declared < MINIMUM:
        return False
    if not is_text_like(fields.value(b"content-type")):
        return False
    if fields.has(b"content-encoding") or fields.has(b"content-range"):
        return False
    if _sets_cookie(fields, own_cookie):
        return False
    return not transforms_forbidden(fields.value(b"cache-control"))


def _sets_cookie(fields: AnswerFields, own_cookie: bytes) -> bool:
    """Whether the server sets a cookie: what it says is personal then, and its length could tell of it (BREACH)."""
    own = own_cookie.partition(b":")[2].strip(b" \t")
    return any(value != own for value in fields.values(b"set-cookie"))


def transforms_forbidden(cache_control: bytes) -> bool:
    """Whether Cache-Control says that content has to stay as it is (RFC 9111, 5.2.1.6 and 5.2.2.6)."""
    lower = cache_control.lower()
    return _NO_TRANSFORM in lower and _NO_TRANSFORM in elements(lower)


def request_values(runs: list[bytes]) -> tuple[bytes | None, bytes]:
    """Accept-Encoding, None without it, and Cache-Control of a request; several lines are one list."""
    accepted: list[bytes] = []
    control: list[bytes] = []
    for line in lines_of(runs):
        if line[:1] in b"aAcC":
            name, _, value = line.partition(b":")
            if len(name) == 15 and name.lower() == b"accept-encoding":
                accepted.append(value.strip(b" \t"))
            elif len(name) == 13 and name.lower() == b"cache-control":
                control.append(value)
    return (b", ".join(accepted) if accepted else None), b", ".join(control)
