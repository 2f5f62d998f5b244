"""Heads as l7 knows them: what the parser found out, once, and everybody else reads.

Plain classes with slots: one of each is made per request. ``runs`` are the field lines that travel on just as they came
(case, order and white space kept), those that stood together as one piece: they are copied once, not line by line.
Everything l7 acts on or writes itself was taken out.

Hot: compiled, with attributes that are fields of a C struct, making and freeing both heads of a request takes 1,800 of
its 57,000 instructions; looking at an attribute that is not declared takes 140.
"""

from __future__ import annotations

from typing import NamedTuple

ABSENT = -1
"""No body and no framing field."""
CHUNKED = -2
"""``Transfer-Encoding: chunked``."""
UNTIL_CLOSE = -3
"""A response that ends with its connection (RFC 9112, 6.3, rule 8)."""


def lines_of(runs: list[bytes]) -> list[bytes]:
    """The lines of which ``runs`` are made."""
    return b"\r\n".join(runs).split(b"\r\n") if runs else []


class RequestHead:
    """A request line and its fields, checked; ``length`` is a count of bytes, `ABSENT` or `CHUNKED`."""

    __slots__ = (
        "authority",
        "authorization",
        "clean",
        "digits",
        "expects",
        "forwarded",
        "host",
        "length",
        "line",
        "max_forwards",
        "method",
        "minor",
        "path",
        "persistent",
        "plain",
        "referer",
        "request_id",
        "runs",
        "size",
        "trailers",
        "upgrade",
        "user_agent",
        "via",
    )

    def __init__(self, line: bytes, method: bytes, path: bytes, authority: bytes, minor: int) -> None:
        self.line = line
        self.method = method
        self.path = path
        """What is asked for: origin-form, or ``*``."""
        self.authority = authority
        """The value of Host that travels on; empty only for an HTTP/1.0 request that names none."""
        self.minor = minor
        """0 or 1: anything above is treated as 1 (RFC 9110, 2.5)."""
        self.plain = False
        """Whether ``line`` can go on as it is."""
        self.clean = False
        """Whether ``line`` can be logged as it is: visible ASCII without quotes and backslashes."""
        self.host = ""
        """The host to route by: lower case, no port, no trailing dot."""
        self.runs: list[bytes] = []
        self.length = ABSENT
        self.digits = b""
        """A length as it goes on."""
        self.size = 0
        """Bytes that the head took, its last CRLFCRLF included."""
        self.persistent = minor > 0
        """Whether the client wants the connection kept (RFC 9112, 9.3)."""
        self.expects = False
        """Whether the client waits for ``100 Continue``."""
        self.upgrade = b""
        """The protocols the client offers to change to, without h2c; empty when none."""
        self.trailers = False
        """Whether the client takes trailers (``TE: trailers``)."""
        self.authorization: bytes | None = None
        self.user_agent = b""
        self.referer = b""
        self.forwarded = b""
        """Lines, joined by CRLF, that tell of earlier hops (X-Forwarded-*, Forwarded): for trusted peers only."""
        self.request_id = b""
        self.via = b""
        self.max_forwards = -1

    @property
    def lines(self) -> list[bytes]:
        """The field lines that travel on, one by one."""
        return lines_of(self.runs)


UNREAD = RequestHead(b"", b"", b"", b"", 0)
"""What stands for a request that could not be read: it has no line, and nothing is known of it."""


class StatusLine:
    """A status line, checked; ``line`` is as it goes on: with our version (RFC 9112, 2.3), without CRLF."""

    __slots__ = ("line", "minor", "raw", "reason", "status")

    def __init__(self, raw: bytes, status: int, reason: bytes, minor: int) -> None:
        self.raw = raw
        """As it came, with its CRLF."""
        self.status = status
        self.reason = reason
        self.minor = minor
        self.line = b"HTTP/1.1 %d %b" % (status, reason)


class ResponseHead:
    """A status line and its fields, checked; ``length`` as in `RequestHead`, or `UNTIL_CLOSE`."""

    __slots__ = (
        "dated",
        "declared",
        "digits",
        "keep_alive",
        "length",
        "persistent",
        "runs",
        "size",
        "start",
        "status",
        "upgrade",
    )

    def __init__(self, start: StatusLine) -> None:
        self.start = start
        self.status = self.start.status  # by the attribute, whose type is known when it is compiled
        self.persistent = self.start.minor > 0
        """Whether the server keeps the connection."""
        self.runs: list[bytes] = []
        self.length = ABSENT
        self.declared = ABSENT
        """The Content-Length as it was sent, also where no body follows (HEAD, 304)."""
        self.digits = b""
        """That length as it goes on."""
        self.size = 0
        self.upgrade = b""
        self.dated = False
        """Whether the server sent Date."""
        self.keep_alive = -1.0
        """Seconds for which the server keeps the connection unused (``Keep-Alive: timeout``); -1 for no word of it."""

    @property
    def lines(self) -> list[bytes]:
        """The field lines that travel on, one by one."""
        return lines_of(self.runs)


CONTINUE = ResponseHead(StatusLine(b"HTTP/1.1 100 Continue\r\n", 100, b"Continue", 1))
"""The interim response to ``Expect: 100-continue``, where the body is read before a server is asked."""


class LocalResponse(NamedTuple):
    """A whole answer of l7's own; ``fields`` are further field lines, ``media_type`` is empty where there is none."""

    status: int
    media_type: str
    body: bytes
    fields: tuple[str, ...] = ()
