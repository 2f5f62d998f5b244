"""What rules know of one request: made only where its route has rules.

Hot: one is made a request of such a route.
"""

from __future__ import annotations

from typing import Any

from l7.balancing.routing import Match
from l7.exchange import Exchange
from l7.http.forwarding import UNKNOWN, Hop
from l7.http.messages import RequestHead
from l7.networks import ipv4_number

ANY_SIZE = 2**63 - 1
"""More bytes than any body has."""
GENERAL = -1
"""A limit that is the general one."""
# As the compiler's own integers: see the .pxd.
_GENERAL = GENERAL
_UNKNOWN = UNKNOWN


class RuleContext:
    """One request as its rules see it.

    ``believed`` are the forwarding fields of a trusted proxy, None of any other peer. ``match`` is its route, None
    where it has none and the general rules are meant. ``rules`` is the `RuleSet` that holds for it.
    """

    __slots__ = (
        "admitted", "asked", "believed", "body_limit", "exchange", "head", "hop", "match", "names_server", "quota",
        "rules", "sent_host", "target",
    )  # fmt: skip

    def __init__(
        self, exchange: Exchange, head: RequestHead, hop: Hop, believed: bytes | None, match: Match | None, rules: Any
    ) -> None:
        self.exchange = exchange
        self.head = head
        self.hop = hop
        self.believed = believed
        self.match = match
        self.rules = rules
        self.target = self.head.path
        """What the client asked for, whatever becomes of it on the way to a server."""
        self.sent_host = b""
        """The Host that the server gets, where it is not the client's; empty where it is."""
        self.names_server = False
        """Whether each server gets its own address as Host."""
        self.body_limit = _GENERAL
        """The most bytes of a body that are taken."""
        self.asked: Any = None
        """What the client takes of codings (`l7.rules.compression.plan.Asked`), on a route that compresses."""
        self.admitted = 0
        """How many of the rules that may refuse it have let it pass."""
        self.quota = b""
        """The lines that tell its client what a rate limit has left for it, joined by CRLF; empty without one."""

    def ipv4(self) -> int:
        """The client's IPv4 address as a number, -1 for any other: worked out once for the peer of a connection."""
        client = self.exchange.client
        hop = self.hop
        if client is not hop.client:
            return ipv4_number(client)
        if hop.ipv4 == _UNKNOWN:
            hop.ipv4 = ipv4_number(client)
        return hop.ipv4

    @property
    def authority(self) -> bytes:
        """The Host that the client asks for; our own address where it names none."""
        return self.head.authority or self.hop.authority

    @property
    def route(self) -> str:
        """The pattern that has matched, as in ``example.com/api``; empty for none."""
        return "" if self.match is None else self.match.host + self.match.path
