"""``rate-limit``: how many requests of one client are let in, counted by all workers together.

A bucket holds ``requests`` + ``burst`` tokens and gets ``requests`` a ``per`` back, evenly; a request takes one, and
where there is none it is refused, which takes none (GCRA, `l7.sharedmem.rate_limits`). What a client has left it is
told by the fields of draft-ietf-httpapi-ratelimit-headers-10, as l7's own policy beside those of servers.

Hot: whose bucket it is, is found out for each request.
"""

from __future__ import annotations

import hashlib
import math
from ipaddress import IPv6Network
from typing import Any, Protocol

from l7.config.generation import Path
from l7.config.sections.rules import RateLimit
from l7.config.values.scalars import show_duration
from l7.errors import RATE_LIMITED, ProxyError
from l7.http import octets
from l7.http.messages import LocalResponse, RequestHead, ResponseHead
from l7.networks import UNIX, subscriber_of
from l7.rules.context import RuleContext
from l7.rules.inheritance import RouteSettings
from l7.rules.rule import AdmissionRule
from l7.sharedmem.rate_limits import NO_ROOM, Bucket, RateLimitTable

# As the compiler's own integers: see the .pxd.
_LOWER = 0x20
_COLON = 0x3A
_NO_ROOM = NO_ROOM


class BucketKey:
    """Whose bucket a request takes from.

    :param identity: what the keys of one limit begin with.
    :param by: ``client``, ``all`` or ``header:NAME``.
    """

    __slots__ = ("_everybody", "_first", "_identity", "_name")

    def __init__(self, identity: bytes, by: str) -> None:
        self._identity = identity
        self._everybody = by == "all"
        name = by.partition(":")[2].lower().replace("_", "-").encode("ascii")
        self._name = name + b":" if name else b""
        self._first = name[0] if name[:1].isalpha() else 0
        """The first octet of its name, by which most lines are told from it; 0 where that is no letter."""

    def of(self, context: RuleContext) -> int:
        """The key of a request's client: a number that nobody can choose."""
        if self._everybody:
            return hash(self._identity)
        value = self.value(context.head) if self._name else b""
        if value:
            return hash(self._identity + b"=" + value)
        client = context.exchange.client
        hop = context.hop
        if client is not hop.client:
            return self._of_client(client)
        if hop.limit is not self:  # else the peer of the connection has asked here before
            hop.bucket = self._of_client(client)
            hop.limit = self
        return hop.bucket

    def _of_client(self, client: str) -> int:
        owner = client.encode("ascii")
        if _COLON in owner:  # else it is an IPv4 address, as most are, which stands for itself
            owner = subscriber_of(client)
        return hash(self._identity + owner)

    def owner(self, context: RuleContext) -> str:
        """Whose bucket it is, for people; a value is not shown, because it may prove who asks."""
        if self._everybody:
            return "all clients together"
        if self._name and self.value(context.head):
            return f"this value of {self._name[:-1].decode('ascii')}"
        client = context.exchange.client
        return f"{IPv6Network((client, 64), strict=False)}" if ":" in client and client != UNIX else client

    def value(self, head: RequestHead) -> bytes:
        """The value of the header, its lines joined; empty where there is none.

        A name with underscores counts as the one with hyphens: CGI and WSGI take ``X_Key`` for ``X-Key``. A host counts
        as routes know it: other case, a port or a last dot would make another bucket for the same one.
        """
        if self._name == b"host:":
            return head.host.encode("ascii")
        value = b""
        for run in head.runs:
            at = 0
            while at < len(run):
                end = octets.text_end(run, at)
                if not self._first or octets.octet(run, at) | _LOWER == self._first:
                    colon = at + len(self._name) - 1
                    if colon < end and run[at : colon + 1].lower().replace(b"_", b"-") == self._name:
                        one = octets.stripped(run, colon + 1, end)
                        value = value + b", " + one if value and one else value or one
                at = end + 2
        return value


class Limiter(Protocol):
    """Where clients are counted, and who is told of what."""

    table: RateLimitTable

    def overflowed(self, context: RuleContext) -> None:
        """Called for a request for whose client the table had no room."""

    def refused(self, route: str, context: RuleContext) -> None:
        """Called when a client is refused by a limit of its own."""


class RateLimitRule(AdmissionRule):
    """One limit of one route; a request is charged once.

    :param route: the route, which has buckets of its own.
    :param limiter: None where it is only explained.
    """

    __slots__ = ("_bucket", "_key", "_limit", "_limiter", "_policy", "_route", "_table")

    setting = "rate-limit"
    changes_answers = True

    def __init__(self, path: Path, limit: RateLimit, route: str, limiter: Limiter | None) -> None:
        super().__init__(path)
        self._limit = limit
        self._route = route
        self._limiter = limiter
        self._table = None if limiter is None else limiter.table
        size = limit.requests + limit.burst
        self._bucket = Bucket(limit.requests, limit.per, size)
        # What makes it another limit, which begins with full buckets after a reload.
        identity = repr((route, limit.requests, limit.per, limit.burst, limit.by)).encode("utf-8")
        seed = b"" if limiter is None else limiter.table.seed
        self._key = BucketKey(hashlib.blake2b(identity, digest_size=16, key=seed).digest(), limit.by)
        seconds = math.ceil(size * limit.per / limit.requests)
        self._policy = f'RateLimit-Policy: "l7";q={size};w={seconds}\r\nRateLimit: "l7";r='.encode("ascii")
        """What is told, up to how many tokens are left."""

    @classmethod
    def of(cls, settings: RouteSettings, resources: Any) -> RateLimitRule | None:
        """The limit of a route; None where it has none."""
        placed, match = settings.own("rate_limit"), settings.match
        if placed is None or match is None:
            return None
        limit, path = placed
        return cls(path, limit, match.host + match.path, resources.limiter)

    def describe(self) -> str:
        """The rule in a line."""
        limit = self._limit
        burst = f", and {limit.burst} more at once" if limit.burst else ""
        return f"{limit.requests} requests each {show_duration(limit.per)}{burst}, by {limit.by}"

    def verdict(self, context: RuleContext) -> str:
        """Who a request is counted for."""
        return f"counted for {self._key.owner(context)}"

    def admit(self, context: RuleContext) -> None:
        """Charge a request; raises `ProxyError` (RATE_LIMITED) where its client has no token."""
        wait = self._charge(context)
        if wait and self._limiter is not None:
            if self._limit.by != "all":
                self._limiter.refused(self._route, context)
            seconds = max(1, math.ceil(wait * self._bucket.unit))
            fields = (f"Retry-After: {seconds}", *_lines(self._quota(0, seconds)))
            raise ProxyError(RATE_LIMITED, f"try again in {seconds} s", fields=fields)

    def admits_at_once(self, context: RuleContext) -> bool:
        """Charge a request where there is a token."""
        return not self._charge(context)

    def on_response(self, context: RuleContext, response: ResponseHead) -> None:
        """Tell the client what it has left."""
        if context.quota:
            response.runs.append(context.quota)

    def on_own(self, context: RuleContext, answer: LocalResponse) -> LocalResponse:
        """The same in an answer of l7's own."""
        if not context.quota:
            return answer
        return answer._replace(fields=(*answer.fields, *_lines(context.quota)))

    def _charge(self, context: RuleContext) -> int:
        """Take a token; returns how long there will be none, in the bucket's units, 0 where there was one."""
        table, bucket = self._table, self._bucket
        if table is None:
            context.quota = self._policy + b"<left>;t=<seconds>"
            return 0
        ahead = table.charge(self._key.of(context), bucket)
        if ahead < 0:
            return -ahead
        if ahead == _NO_ROOM and self._limiter is not None:
            self._limiter.overflowed(context)
        left = bucket.left(ahead)
        # Until when: all are there again, or else the next one.
        wait = ahead if left else ahead - bucket.tolerance
        exact = wait * bucket.unit
        seconds = int(exact)
        context.quota = self._quota(left, seconds + 1 if exact > seconds else seconds)
        return 0

    def _quota(self, left: int, seconds: int) -> bytes:
        return octets.numbered(self._policy, left, b";t=", seconds)


def _lines(quota: bytes) -> list[str]:
    return quota.decode("ascii").split("\r\n")
