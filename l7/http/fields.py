"""Field lines: the one scan that requests, responses and trailers share.

Hot: runs for every field of every head. Clients and servers say the same lines in the same order over and over, so each
line that was read is remembered, as HPACK does (RFC 7541, 2.3.2), with the line that followed it last: what comes next
is compared with that before anything is searched, cut out or looked up. Ordinary lines that keep following each other
are compared as one. A guess costs 130 instructions, a line that is looked up 1,200, one that is new 3,500. The memory
is bounded and emptied when it is full, so that a client that invents lines cannot fill it for good; a wrong guess costs
a comparison and changes nothing.
"""

from __future__ import annotations

from l7.errors import BAD_REQUEST, Kind, ProxyError
from l7.http import limits, slices
from l7.http.grammar import CRLF, MARK_TEXT, OWS, is_token

ORDINARY = 0
"""Travels on as it came."""
DROP = 1
"""Is left out: hop-by-hop, or not for a client to say."""
HOST, LENGTH, CODING, CONNECTION, TE, UPGRADE, EXPECT, MAX_FORWARDS = range(2, 10)
"""Taken out of the head, to be acted on or written anew."""
FORWARDED, REQUEST_ID = 10, 11
"""What earlier hops say; for trusted peers."""
USER_AGENT, REFERER, VIA, DATE, AUTHORIZATION = 12, 13, 14, 15, 16
"""Noted and left in its place; from here on a field stays in the head."""
KEPT = USER_AGENT
KINDS = 17
END = -1
"""The empty line that ends a head."""

Values = list[bytes | None]
"""One value a kind: what `scan` found; several fields of a list kind are joined by commas."""

_SINGLE = frozenset((HOST, LENGTH, CODING, AUTHORIZATION, MAX_FORWARDS))
_REMEMBERED = 2048
_LONGEST_NAME = 64
_LONGEST_LINE = 256
_LONGEST_RUN = 1024
"""Bytes of lines that are guessed as one."""
_SURE = 16
"""After so many right guesses two are."""
_FLEETING = frozenset(
    b"authorization request-id x-request-id x-correlation-id traceparent tracestate x-amzn-trace-id "
    b"x-b3-spanid x-b3-traceid".split()
)
"""Never the same twice, or a password: these lines are not remembered."""

_HOP_BY_HOP = {
    b"connection": CONNECTION,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authorization": DROP,
    b"proxy-authenticate": DROP,
    b"proxy-authentication-info": DROP,
    b"te": TE,
    b"transfer-encoding": CODING,
    b"upgrade": UPGRADE,
    b"http2-settings": DROP,
}
"""RFC 9110, 7.6.1 and 11.7; HTTP2-Settings goes with an upgrade to h2c, which is never passed on."""

REQUEST_FIELDS = _HOP_BY_HOP | {
    b"host": HOST,
    b"content-length": LENGTH,
    b"expect": EXPECT,
    b"authorization": AUTHORIZATION,
    b"max-forwards": MAX_FORWARDS,
    b"forwarded": FORWARDED,
    b"x-real-ip": FORWARDED,
    b"x-request-id": REQUEST_ID,
    b"user-agent": USER_AGENT,
    b"referer": REFERER,
    b"via": VIA,
}
RESPONSE_FIELDS = _HOP_BY_HOP | {b"content-length": LENGTH, b"date": DATE}

TRAILER_FIELDS = dict.fromkeys(
    [
        *_HOP_BY_HOP,
        *(
            b"content-length host trailer expect max-forwards authorization www-authenticate cookie set-cookie "
            b"content-encoding content-type content-range cache-control range age date expires location retry-after "
            b"vary via forwarded x-real-ip x-request-id if-match if-none-match if-modified-since if-unmodified-since "
            b"if-range"
        ).split(),
    ],
    DROP,
)
"""RFC 9110, 6.5.1: fields for framing, routing, modifiers, authentication and content format are not for trailers."""

_PROTECTED = frozenset(REQUEST_FIELDS) - {b"user-agent", b"referer"}

# Kinds as the compiler's own integers: see the .pxd.
_ORDINARY = ORDINARY
_DROP = DROP
_FORWARDED = FORWARDED
_KEPT = KEPT
_END = END


class Field:
    """What a checked line means: its kind, its value where l7 looks at it, and what came after it last time."""

    __slots__ = ("kind", "lasting", "lines", "next", "raw", "right", "value")

    def __init__(self, raw: bytes, kind: int, value: bytes) -> None:
        self.raw = raw
        """The line as it came, with its CRLF."""
        self.kind = kind
        self.value = value
        self.lasting = False
        """Whether it is remembered."""
        self.next: Field | None = None
        self.lines = 1
        """How many lines it stands for: ordinary ones that keep following each other become one."""
        self.right = 0
        """How often it was guessed and came, behind another ordinary one."""


class Table:
    """The kind of each field in one kind of head: caches of lines and of names over a table of names in lower case."""

    __slots__ = ("_start", "bounds", "failure", "fields", "known", "names", "prefix", "underscores")

    def __init__(self, fields: dict[bytes, int], failure: Kind, prefix: int, *, underscores: bool = False) -> None:
        self.fields = fields
        self.failure = failure
        """The failure of a malformed field: the client's or the server's."""
        self.bounds = limits.REQUEST if failure is BAD_REQUEST else limits.RESPONSE
        """The names of its limits, for errors."""
        self.prefix = prefix
        """The kind of all names that begin with ``x-forwarded-``."""
        self.underscores = underscores
        """Whether ``X_Forwarded_For`` and its like are dropped: CGI and WSGI cannot tell them from the real one."""
        self.known: dict[bytes, Field] = {}
        """By line, as it came."""
        self.names: dict[bytes, int] = {}
        """By name, in its exact spelling."""
        self._start = Field(b"\r\n", _END, b"")
        """What stands before the first line."""

    def learn(self, name: bytes) -> int:
        """Check and classify a name seen for the first time; raises `ProxyError` when it is not a token."""
        if not is_token(name):
            raise ProxyError(self.failure, "invalid field name")
        lower = name.lower()
        kind = self.fields.get(lower, _ORDINARY)
        if lower.startswith(b"x-forwarded-"):
            kind = self.prefix
        elif self.underscores and b"_" in lower:
            twin = lower.replace(b"_", b"-")
            if twin in _PROTECTED or twin.startswith(b"x-forwarded-"):
                kind = _DROP
        if len(self.names) >= _REMEMBERED:
            self.names.clear()
        if len(name) <= _LONGEST_NAME:
            self.names[name] = kind
        return kind

    def read(self, raw: bytes) -> Field:
        """Check a line and take it apart, and remember it when it may come again; raises `ProxyError`."""
        if raw == b"\r\n":
            return self.remember(Field(raw, _END, b""))
        line = raw[:-2]
        if line.translate(MARK_TEXT) != line:
            raise ProxyError(self.failure, "control character, bare CR or bare LF in the head")
        name, colon, value = line.partition(b":")
        if not colon:
            raise ProxyError(self.failure, "a field line without a colon")
        kind = self.names.get(name, -1)
        if kind < 0:
            kind = self.learn(name)
        field = Field(raw, kind, line if kind == _FORWARDED else b"" if kind <= _DROP else value.strip(OWS))
        return field if len(raw) > _LONGEST_LINE or name.lower() in _FLEETING else self.remember(field)

    def remember(self, field: Field) -> Field:
        """Keep what was read for the next time."""
        if len(self.known) >= _REMEMBERED:
            self.known.clear()
        self.known[field.raw] = field
        field.lasting = True
        return field

    def scan(self, data: bytes, at: int, most: int, kept: list[bytes], values: Values) -> int:
        """Go through the lines of ``data`` from ``at`` to the empty one; returns the place behind that, -1 without one.

        Fills ``values`` by kind and ``kept`` with the lines that travel on, those that stand together as one run.
        Raises `ProxyError` for a malformed line, for more than ``most`` fields, and for a second field where there can
        be one only.
        """
        before: Field | None = None
        last = self._start
        count, start = 0, -1  # how many fields, and where the present run begins
        while True:
            field = last.next
            if field is not None and data.startswith(field.raw, at):
                if field.kind == _ORDINARY and last.kind == _ORDINARY:
                    self._follow(before, last, field)
                before, last = last, field
            else:
                field = self._look_up(data, at)
                if field is None:
                    return -1
                if field.lasting:
                    last.next = field
                    before, last = last, field
                else:
                    before = None
            begin = at
            at += len(field.raw)
            kind = field.kind
            if kind == _ORDINARY or kind >= _KEPT:
                if start < 0:
                    start = begin
            else:
                if start >= 0:
                    kept.append(slices.cut(data, start, begin - 2))
                    start = -1
                if kind == _END:
                    return at
            count += field.lines
            if count > most:
                raise ProxyError(self.bounds.failure, self.bounds.many(most, "fields"))
            if kind > _DROP:
                previous = values[kind]
                values[kind] = field.value if previous is None else self.combine(kind, previous, field.value)

    def _follow(self, before: Field | None, first: Field, second: Field) -> None:
        """Count that one ordinary line, or run, followed another; when it always does, they are guessed as one."""
        second.right += 1
        if second.right < _SURE or before is None:
            return
        second.right = 0
        raw = first.raw + second.raw
        # One run behind a line, not runs behind runs: they would be copies of whole heads.
        if len(raw) <= _LONGEST_RUN and before.lines == 1 and before.next is first:
            joined = Field(raw, _ORDINARY, b"")
            joined.lines = first.lines + second.lines
            joined.next = second.next
            before.next = joined

    def _look_up(self, data: bytes, at: int) -> Field | None:
        """The line of ``data`` at ``at``, known or read; None when it has not come to its end."""
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        raw = slices.cut(data, at, end + 2)
        field = self.known.get(raw)
        return self.read(raw) if field is None else field

    def combine(self, kind: int, previous: bytes, value: bytes) -> bytes:
        """Join a repeated field into one value (RFC 9110, 5.3); raises `ProxyError` where only one may be."""
        if kind in _SINGLE:
            raise ProxyError(self.failure, "more than one Host, Content-Length, Transfer-Encoding, or Authorization")
        if kind == _FORWARDED:
            return previous + CRLF + value
        if kind in (USER_AGENT, REFERER):
            return previous
        return previous + b", " + value


def name_of(line: bytes) -> bytes:
    """The name of a checked field line, in lower case."""
    return line[: line.find(b":")].lower()
