"""What a case is, and the few words that the tables are written in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Pairs = tuple[tuple[bytes, bytes], ...]

CRLF = b"\r\n"
HOST = b"Host: example.com"

LIMITS = {"head": 32 * 1024, "headers": 100, "target": 8 * 1024, "body": 1024 * 1024}
"""What the tests configure as ``limits``; bytes and a count."""

CANARY = b"GET /canary HTTP/1.1\r\nHost: canary.test\r\nConnection: close\r\n\r\n"
"""Follows every case on its connection: answered when the connection lives on, never read after a refusal."""


@dataclass(frozen=True)
class Forward:
    """The request goes on, as exactly this.

    ``kept`` are the fields that travel on untouched, in order; ``also`` are fields that l7 writes itself and that must
    have this value, None for "absent". Host, X-Forwarded-*, Via, X-Request-ID and the framing are always checked.
    """

    method: bytes = b"GET"
    target: bytes = b"/p"
    host: bytes | None = b"example.com"
    """None: any one valid Host."""
    kept: Pairs = ()
    body: bytes = b""
    framing: str = "none"
    trailers: Pairs = ()
    also: tuple[tuple[bytes, bytes | None], ...] = ()
    closes: bool | None = False
    """Whether the client's connection ends with the answer; None: either."""


@dataclass(frozen=True)
class Reject:
    """l7 answers with one of these statuses and closes; nothing behind it is read as a request.

    With ``late`` the fault is in the body: the head may have gone on, but no server ever sees a complete request.
    """

    statuses: frozenset[int] = frozenset({400})
    late: bool = False


@dataclass(frozen=True)
class Answer:
    """l7 answers itself, without a server."""

    statuses: frozenset[int]
    closes: bool | None = None


Outcome = Forward | Reject | Answer


@dataclass(frozen=True)
class Case:
    """Bytes of one client connection, and the outcome of each request in them."""

    name: str
    raw: bytes
    outcomes: tuple[Outcome, ...]
    canary: bool = True
    """False where the bytes end within a message that never gets its end."""

    @property
    def family(self) -> str:
        """The part of the name before the first slash."""
        return self.name.partition("/")[0]

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Relay:
    """The client is given this answer, whole."""

    status: int = 200
    body: bytes = b""
    kept: Pairs | None = None
    """The end-to-end fields, in order, without Date; None: not looked at."""
    interim: tuple[int, ...] = ()
    """The 1xx that must have come before it."""
    trailers: Pairs = ()
    framing: str | None = None
    """``length``, ``chunked``, ``close`` or ``none``; None: any."""
    length: bytes | None = None
    """The value of Content-Length; None: not looked at."""
    reason: bytes | None = None


@dataclass(frozen=True)
class Refuse:
    """The answer is not shown: the client is given a 502, also when an interim one has gone out."""


@dataclass(frozen=True)
class Cut:
    """The client sees that the answer is not whole: the head, at most this body, and an aborted connection."""

    status: int = 200
    body: bytes = b""


@dataclass(frozen=True)
class Exchange:
    """What a server answers to one request, and what the client sees of it."""

    name: str
    raw: bytes
    outcome: Relay | Refuse | Cut
    method: bytes = b"GET"
    minor: int = 1
    """The client speaks HTTP/1.``minor``."""
    then: str = "keep"
    """What the server does next: ``keep``, ``close`` or ``reset`` its connection."""
    reused: bool | None = None
    """Whether the next request travels on the same connection to the server; None: either."""
    fields: tuple[bytes, ...] = ()
    """More field lines in the request."""

    @property
    def family(self) -> str:
        """The part of the name before the first slash."""
        return self.name.partition("/")[0]

    def __repr__(self) -> str:
        return self.name


def statuses(*codes: int) -> Reject:
    """A refusal with one of these statuses."""
    return Reject(frozenset(codes))


BAD = Reject()
LATE = Reject(late=True)


def lines(*parts: bytes) -> bytes:
    """A head of these lines, each and the whole ended by CRLF."""
    return CRLF.join([*parts, b"", b""])


def get(*fields: bytes, target: bytes = b"/p", host: bytes = HOST, version: bytes = b"HTTP/1.1") -> bytes:
    """A GET with these field lines."""
    return lines(b"GET " + target + b" " + version, *([host] if host else []), *fields)


def post(*fields: bytes, body: bytes = b"", method: bytes = b"POST", host: bytes = HOST) -> bytes:
    """A POST with these field lines and these bytes behind the head; its framing must be among the fields."""
    return lines(method + b" /p HTTP/1.1", *([host] if host else []), *fields) + body


def chunked(body: bytes, *fields: bytes) -> bytes:
    """A POST in chunked coding; *body* is the coded form."""
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


def chunks(*parts: bytes) -> bytes:
    """The canonical coding of these chunks, with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@dataclass
class Family:
    """Collects the cases of one family."""

    name: str
    cases: list[Case] = field(default_factory=list)

    def add(self, name: str, raw: bytes, *outcomes: Outcome, canary: bool = True) -> None:
        """One case."""
        self.cases.append(Case(f"{self.name}/{name}", raw, outcomes, canary))

    def forward(self, name: str, raw: bytes, expected: Forward) -> None:
        """One request that goes on."""
        self.add(name, raw, expected)

    def reject(self, name: str, raw: bytes, outcome: Reject = BAD, *, canary: bool = True) -> None:
        """One request that is refused."""
        self.add(name, raw, outcome, canary=canary)


@dataclass
class Answers:
    """Collects the exchanges of one family."""

    name: str
    cases: list[Exchange] = field(default_factory=list)

    def add(self, name: str, raw: bytes, outcome: Relay | Refuse | Cut, **more: object) -> None:
        """One exchange."""
        self.cases.append(Exchange(f"{self.name}/{name}", raw, outcome, **more))  # type: ignore[arg-type]


def ok(*fields: bytes, body: bytes = b"", status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A response with these field lines and these bytes behind the head."""
    return lines(status, *fields) + body


def label(data: bytes) -> str:
    """Bytes as part of a name."""
    return (
        "".join(chr(byte) if 0x21 <= byte < 0x7F and byte not in b"[]\\" else f"x{byte:02x}" for byte in data)
        or "empty"
    )


CONTROLS = bytes([*range(0x09), *range(0x0B, 0x0D), *range(0x0E, 0x20), 0x7F])
"""Control bytes but for HTAB, LF and CR, which have cases of their own."""
HIGH = b"\x80\x85\x8a\x8d\xa0\xad\xb2\xc2\xe2\xff"
"""Bytes that some decoding takes for white space, a line end or a digit."""
SEPARATORS = b'"(),/;<=>?@[\\]{}'
"""What RFC 9110, 5.6.2 keeps out of tokens."""


def each(data: bytes) -> Iterable[tuple[str, bytes]]:
    """Every byte with a name for it."""
    return ((f"x{byte:02x}", bytes([byte])) for byte in data)
