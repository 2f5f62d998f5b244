"""Field lines: the one scan that requests, responses and trailers share.

Hot: runs for every field of every head. Clients and servers say the same lines over and over, so a line that was read
before costs one dictionary look-up: what it means is remembered, as HPACK does (RFC 7541, 2.3.2), a third of what
checking and taking it apart costs; of a line that is new the name is known by heart. Both memories are bounded and
emptied when they are full, so that a client that invents lines cannot fill them for good.
"""

from __future__ import annotations

from l7.compiled import take_over
from l7.errors import BAD_REQUEST, HEAD_TOO_LARGE, Kind, ProxyError
from l7.http.grammar import CRLF, OWS, TEXT, is_token

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

Values = list[bytes | None]
"""One value a kind: what `scan` found; several fields of a list kind are joined by commas."""

_SINGLE = frozenset((HOST, LENGTH, CODING, AUTHORIZATION, MAX_FORWARDS))
_REMEMBERED = 2048
_LONGEST_NAME = 64
_LONGEST_LINE = 256
_FLEETING = frozenset(
    b"authorization set-cookie request-id x-request-id x-correlation-id traceparent tracestate x-amzn-trace-id "
    b"x-b3-spanid x-b3-traceid".split()
)
"""Never the same twice, or a secret: these lines are not remembered. Others that vary cost a place in the memory."""

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


_MARKED = bytes(code if code in TEXT else code ^ 0x80 for code in range(256))
"""Changes control bytes, and nothing else."""


class Field:
    """What a checked field line means: its kind, and its value where l7 looks at it."""

    __slots__ = ("kind", "value")

    def __init__(self, kind: int, value: bytes) -> None:
        self.kind = kind
        self.value = value


class Table:
    """What each field means in one place: memories of lines and of names over a table of names in lower case."""

    __slots__ = ("failure", "fields", "known", "names", "prefix", "underscores")

    def __init__(self, fields: dict[bytes, int], failure: Kind, prefix: int, *, underscores: bool = False) -> None:
        self.fields = fields
        self.failure = failure
        """What a malformed field is: the client's fault or the server's."""
        self.prefix = prefix
        """The kind of all names that begin with ``x-forwarded-``."""
        self.underscores = underscores
        """Whether ``X_Forwarded_For`` and its like are dropped: CGI and WSGI cannot tell them from the real one."""
        self.known: dict[bytes, Field] = {}
        """By line, as it came."""
        self.names: dict[bytes, int] = {}
        """By name, in its exact spelling."""

    def learn(self, name: bytes) -> int:
        """Check and classify a name seen for the first time; raises `ProxyError` when it is not a token."""
        if not is_token(name):
            raise ProxyError(self.failure, "invalid field name")
        lower = name.lower()
        kind = self.fields.get(lower, ORDINARY)
        if lower.startswith(b"x-forwarded-"):
            kind = self.prefix
        elif self.underscores and b"_" in lower:
            twin = lower.replace(b"_", b"-")
            if twin in _PROTECTED or twin.startswith(b"x-forwarded-"):
                kind = DROP
        if len(self.names) >= _REMEMBERED:
            self.names.clear()
        if len(name) <= _LONGEST_NAME:
            self.names[name] = kind
        return kind

    def read(self, line: bytes) -> Field:
        """Check a line and take it apart, and remember it when it may come again; raises `ProxyError`."""
        if line.translate(_MARKED) != line:
            raise ProxyError(self.failure, "control character, bare CR or bare LF in the head")
        name, colon, value = line.partition(b":")
        if not colon:
            raise ProxyError(self.failure, "a field line without a colon")
        kind = self.names.get(name, -1)
        if kind < 0:
            kind = self.learn(name)
        field = Field(kind, line if kind == FORWARDED else b"" if kind <= DROP else value.strip(OWS))
        if len(line) <= _LONGEST_LINE and name.lower() not in _FLEETING:
            if len(self.known) >= _REMEMBERED:
                self.known.clear()
            self.known[line] = field
        return field

    def split(self, head: bytes, most: int) -> list[bytes]:
        """The lines of ``head``, not looked at yet; raises `ProxyError` for more than ``most`` fields."""
        lines = head.split(b"\r\n")
        if len(lines) - 1 > most:
            raise ProxyError(HEAD_TOO_LARGE if self.failure is BAD_REQUEST else self.failure, f"more than {most} fields")
        return lines

    def scan(self, lines: list[bytes], first: int, values: Values) -> list[bytes]:
        """Go through ``lines[first:]``: fill ``values`` by kind and return the lines that travel on.

        Raises `ProxyError` for a malformed line and for a second field where there can be one only.
        """
        known = self.known
        kept: list[bytes] = []
        for index in range(first, len(lines)):
            line = lines[index]
            field = known.get(line)
            if field is None:
                field = self.read(line)
            kind = field.kind
            if kind == ORDINARY:
                kept.append(line)
            elif kind != DROP:
                if kind >= KEPT:
                    kept.append(line)
                previous = values[kind]
                values[kind] = field.value if previous is None else self.combine(kind, previous, field.value)
        return kept

    def combine(self, kind: int, previous: bytes, value: bytes) -> bytes:
        """Join a repeated field into one value (RFC 9110, 5.3); raises `ProxyError` where only one may be."""
        if kind in _SINGLE:
            raise ProxyError(self.failure, "more than one Host, Content-Length, Transfer-Encoding, or Authorization")
        if kind == FORWARDED:
            return previous + CRLF + value
        if kind in (USER_AGENT, REFERER):
            return previous
        return previous + b", " + value


def name_of(line: bytes) -> bytes:
    """The name of a checked field line, in lower case."""
    return line[: line.find(b":")].lower()


take_over(globals())
