"""One request on its way to a server: what every try of it needs, and what may still be done with it.

Hot: one is made a request; 1,200 instructions to make and free it.
"""

from __future__ import annotations

from l7.balancing.members import Member
from l7.errors import TOTAL_CUT, TOTAL_TIMEOUT, ProxyError, Retry
from l7.exchange import Exchange
from l7.http.messages import RequestHead
from l7.workers.downstream.body import RequestBody
from l7.workers.downstream.interface import ClientSide
from l7.workers.transport.stream import NEVER
from l7.workers.upstream.backend import BackendRuntime
from l7.workers.upstream.relay import Relay
from l7.workers.upstream.request_deadline import RequestDeadline

_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""RFC 9110, 9.2.2."""


class ForwardedRequest:
    """One request on its way: what every try of it needs."""

    __slots__ = (
        "answered", "body", "cookie", "exchange", "failing_since", "head", "moved", "opening", "relay", "released",
        "session", "spent", "total", "until", "upstream",
    )  # fmt: skip

    def __init__(
        self,
        exchange: Exchange,
        head: RequestHead,
        body: RequestBody | None,
        session: ClientSide,
        upstream: BackendRuntime,
        opening: bytes,
    ) -> None:
        self.exchange = exchange
        self.head = head
        self.body = body
        self.session = session
        self.upstream = upstream
        self.answered = False
        self.cookie = b""
        """A field of ours that goes into the answer, so that the client comes back to its server."""
        self.relay: Relay | None = None
        """What carries it now."""
        self.moved = False
        """Whether it is to go to another server at once."""
        self.spent = 0
        """How many of its `retries` it has used up."""
        self.failing_since = 0.0
        """When a server failed it for the first time, or it began to wait behind such; 0 before."""
        self.released = False
        """Whether it has waited for a server that takes connections, and tries its luck again."""
        self.until = NEVER
        """When `timeouts.total` ends."""
        self.total: RequestDeadline | None = None
        self.opening = opening
        """The head and what has come of the body, as they go to the server."""

    def verdict(self, failure: ProxyError) -> ProxyError:
        """What a failure is called: when the time for all was up, that is what failed."""
        if self.total is None or not self.total.over:
            return failure
        kind = self.total.client_fault or (TOTAL_CUT if self.answered else TOTAL_TIMEOUT)
        return ProxyError(kind, f"not done within {self.upstream.total:g} s")

    def may_retry(self, failure: ProxyError, leaving: Member | None = None) -> bool:
        """Whether the request may be sent again after ``failure`` (RFC 9110, 9.2.2; the failure table).

        To the same server, or to another one than ``leaving``. What a server only takes long for is asked for nowhere
        else; one whose checks fail as well is about to be down, and what waits for it then is moved.
        """
        if self.answered or self.session.stream.closed:
            return False
        rule = failure.kind.retry
        if rule is Retry.NOTHING_SENT or rule is Retry.NOT_REACHED:
            return True
        if rule is Retry.NEVER or not self._repeatable():
            return False
        return rule is Retry.IDEMPOTENT or (leaving is not None and self.upstream.checks_fail(leaving))

    def _repeatable(self) -> bool:
        """Whether sending it again does no harm, and can be done."""
        whole = self.body is None or (self.body.done and not self.body.streamed)
        return self.head.method in _IDEMPOTENT and whole

    def move(self) -> bool:
        """Go to another server instead of waiting for this one; returns whether that can be."""
        relay = self.relay
        if self.answered or relay is None or relay.answered or relay.announced or not self._repeatable():
            return False
        self.moved = True
        return True
