"""Requests as rules see them."""

from __future__ import annotations

from l7.balancing.routing import Match
from l7.exchange import Exchange
from l7.http.forwarding import Hop
from l7.http.messages import UNREAD, RequestHead
from l7.rules.context import RuleContext
from l7.rules.login import LoginRule
from l7.rules.ruleset import RuleSet


def unread() -> RuleContext:
    """What a client at ``192.0.2.7`` has sent and could not be read."""
    exchange = Exchange("192.0.2.7", 0.0)
    exchange.request_id = "id-1"
    return RuleContext(exchange, UNREAD, Hop("192.0.2.7", 80, b"127.0.0.1"), None, None, RuleSet(()))


def context_of(
    target: bytes = b"/a/b?c=d", authority: bytes = b"Example.com:8080", believed: bytes | None = None
) -> RuleContext:
    """A request of ``ann`` at ``192.0.2.7`` on the route ``example.com/a``."""
    exchange = Exchange("192.0.2.7", 0.0)
    exchange.request_id = "id-1"
    exchange.user = b"ann"
    head = RequestHead(b"GET " + target + b" HTTP/1.1", b"GET", target, authority, 1)
    head.host = "example.com"
    rules = RuleSet([LoginRule(("users",), None)])
    match = Match("example.com/a", "example.com", "/a", None)
    return RuleContext(exchange, head, Hop("192.0.2.7", 80, b"127.0.0.1"), believed, match, rules)
