"""Requests as rules see them."""

from __future__ import annotations

from l7.exchange import Exchange
from l7.http.forwarding import Hop
from l7.http.messages import RequestHead


class Context:
    """What a template takes its values from."""

    def __init__(
        self, target: bytes = b"/a/b?c=d", authority: bytes = b"Example.com:8080", believed: bytes | None = None
    ) -> None:
        self.exchange = Exchange("192.0.2.7", 0.0)
        self.exchange.request_id = "id-1"
        self.exchange.user = b"ann"
        self.head = RequestHead(b"", b"GET", target, authority, 1)
        self.head.host = "example.com"
        self.hop = Hop("192.0.2.7", 80, b"127.0.0.1")
        self.believed = believed
        self.target = target
        self.route = "example.com/a"
