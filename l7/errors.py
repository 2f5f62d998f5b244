"""Every way in which a request or a configuration can fail, and what follows from it.

The table is the law: nobody else decides a status, a termination code, whether a request may be tried again or
whether the client's connection survives. A row is *kind -> side, status, code, retry, connection*.

The termination code is HAProxy's (configuration manual, 8.5): the first letter says who ended the request (``P`` l7
refused it, ``C`` the client left, ``c`` the client was too slow, ``S`` the server failed, ``s`` the server was too
slow, ``L`` answered locally, ``R`` out of resources, ``K`` killed by l7 as it or a worker had to end, ``I`` our own
fault), the second says in which phase (``R`` request head, ``Q`` queue, ``C`` connect, ``H`` response head, ``D``
data). ``--`` is a request that went well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Side(Enum):
    """Who is to blame, seen from l7."""

    DOWNSTREAM = "downstream"
    US = "l7"
    UPSTREAM = "upstream"


class Retry(Enum):
    """When another server may be tried."""

    NEVER = "never"
    NOTHING_SENT = "nothing was sent"
    NOT_REACHED = "nothing was sent; costs no retry"
    IDEMPOTENT = "idempotent methods whose body can be sent again"
    FAILING = "the same, when the last check of the server has failed, too"


@dataclass(frozen=True)
class Kind:
    """One row of the failure table.

    ``status`` is 0 where no answer can be given; ``keep`` says whether the client's connection may live on once the
    request's body has been read.
    """

    name: str
    side: Side
    status: int
    code: str
    retry: Retry
    keep: bool
    logged: int = 0

    def __post_init__(self) -> None:
        """Log the status that was answered unless the row names another."""
        if not self.logged:
            object.__setattr__(self, "logged", self.status)


def _down(name: str, status: int, code: str = "PR", *, keep: bool = False, logged: int = 0) -> Kind:
    return Kind(name, Side.DOWNSTREAM, status, code, Retry.NEVER, keep, logged)


def _us(name: str, status: int, code: str, retry: Retry = Retry.NEVER, *, keep: bool = True) -> Kind:
    return Kind(name, Side.US, status, code, retry, keep)


def _up(name: str, status: int, code: str, retry: Retry, *, keep: bool = True, logged: int = 0) -> Kind:
    return Kind(name, Side.UPSTREAM, status, code, retry, keep, logged)


BAD_REQUEST = _down("bad request", 400)
HEAD_TIMEOUT = _down("request head too slow", 408, "cR")
BODY_TIMEOUT = _down("request body too slow", 408, "cD")
WRITE_TIMEOUT = _down("client reads too slowly", 0, "cD", logged=499)
BODY_TOO_LARGE = _down("request body too large", 413)
TARGET_TOO_LONG = _down("request target too long", 414)
HEAD_TOO_LARGE = _down("request head too large", 431)
UNKNOWN_EXPECTATION = _down("unknown expectation", 417)
NOT_IMPLEMENTED = _down("not implemented", 501)
UNKNOWN_VERSION = _down("HTTP version not supported", 505)
METHOD_NOT_ALLOWED = _down("method not allowed", 405)
MISDIRECTED = _down("misdirected request", 421, keep=True)
RATE_LIMITED = _down("too many requests", 429, keep=True)
FORBIDDEN = _down("forbidden", 403, keep=True)
UNAUTHORIZED = _down("no or wrong credentials", 401, keep=True)
CLIENT_GONE_REQUEST = _down("client went away", 0, "CR", logged=499)
CLIENT_GONE_QUEUE = _down("client went away", 0, "CQ", logged=499)
CLIENT_GONE_HEAD = _down("client went away", 0, "CH", logged=499)
CLIENT_GONE_DATA = _down("client went away", 0, "CD", logged=499)

NO_ROUTE = _us("no backend for this host", 404, "LR")
RESPONSE_HEAD_TOO_LARGE = _us("response head too large", 502, "PH")
NO_SERVER = _us("no server available", 503, "SC")
QUEUE_FULL = _us("too many requests for this backend", 503, "PQ")
QUEUE_TIMEOUT = _us("no server had room in time", 503, "sQ")
NO_RESOURCES = _us("out of resources", 503, "RC", Retry.NOTHING_SENT)
KILLED_REQUEST = _us("l7 ends", 503, "KR", keep=False)
KILLED_QUEUE = _us("l7 ends before a server had the request", 503, "KQ", keep=False)
KILLED_HEAD = _us("l7 ends before the response came", 502, "KH", keep=False)
KILLED_DATA = _us("l7 ends before the response did", 0, "KD", keep=False)
LOOP = _us("request loops through l7", 508, "LR", keep=False)
INTERNAL = _us("internal error", 500, "IR", keep=False)

CONNECT_REFUSED = _up("connection refused", 502, "SC", Retry.NOT_REACHED)
CONNECT_TIMEOUT = _up("connect timed out", 504, "sC", Retry.NOTHING_SENT)
CLOSED_UNSENT = _up("connection lost before anything was sent", 502, "SH", Retry.NOT_REACHED)
CLOSED_EARLY = _up("closed before the response head", 502, "SH", Retry.IDEMPOTENT)
TLS_FAILED = _up("TLS failed", 502, "SC", Retry.NOTHING_SENT)
TLS_TIMEOUT = _up("TLS handshake timed out", 504, "sC", Retry.NOTHING_SENT)
TLS_REFUSED = _up("client certificate refused", 502, "SC", Retry.IDEMPOTENT)
BAD_RESPONSE = _up("invalid response", 502, "PH", Retry.NEVER)
RESPONSE_TIMEOUT = _up("response timed out", 504, "sH", Retry.FAILING)
TOTAL_TIMEOUT = _up("request took too long", 504, "sH", Retry.NEVER)
TRUNCATED = _up("response cut short", 0, "SD", Retry.NEVER, keep=False)
BODY_STALLED = _up("response stalled", 0, "sD", Retry.NEVER, keep=False)
TOTAL_CUT = _up("response took too long", 0, "sD", Retry.NEVER, keep=False)

FAILURES: tuple[Kind, ...] = tuple(row for row in list(globals().values()) if isinstance(row, Kind))
"""The whole table, in the order of the design's rows."""


class L7Error(Exception):
    """The root of everything l7 raises on purpose."""


class ProxyError(L7Error):
    """One request failed: a row of the table and the words for this case.

    ``detail`` goes into the log and, where it says nothing of how l7 and a server are connected, into the answer: it
    never holds a password or a field's whole value. ``errno`` is what the system said (`l7.oserrors`), 0 when it said
    nothing. ``seen`` is what was malformed, escaped and cut, for the log alone. ``fields`` are lines that its answer
    has beside those of its kind.
    """

    def __init__(
        self, kind: Kind, detail: str = "", errno: int = 0, *, seen: str = "", fields: tuple[str, ...] = ()
    ) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.errno = errno
        self.seen = seen
        self.fields = fields
        self.rule = ""
        """The setting of the rule that has refused the request, as ``deny``; empty where none has."""

    def __str__(self) -> str:
        return f"{self.kind.name}: {self.detail}" if self.detail else self.kind.name

    @property
    def reason(self) -> str:
        """Why, for who runs l7: a client hears of a refused connection whatever stood in the way of it."""
        why = self.detail if self.kind is CONNECT_REFUSED and self.detail else str(self)
        return f"{why}: {self.seen}" if self.seen else why


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a configuration: where (``config.yml:12``, ``--port``), the path, and what."""

    where: str
    path: str
    what: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.path, self.what) if part)


class ConfigError(L7Error):
    """A configuration that cannot be used: every problem at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class StartError(L7Error):
    """l7 could not start or could not go on: the message says what and what to do instead."""
