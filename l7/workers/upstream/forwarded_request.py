"""One request on its way to a server: what every attempt needs, and whether it may be retried.

Hot: one is made a request; 1,200 instructions to make and free it.
"""

from __future__ import annotations

from l7.balancing.members import Member
from l7.errors import ProxyError, Retry
from l7.exchange import Exchange
from l7.http import forwarding
from l7.http.grammar import CRLF
from l7.http.messages import RequestHead
from l7.workers.buffers import BufferLimit
from l7.workers.downstream.body import RequestBody
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.downstream.request_handler import BegunRequest
from l7.workers.transport.stream import Stream
from l7.workers.upstream.backend import BackendRuntime
from l7.workers.upstream.relay import Relay
from l7.workers.upstream.request_deadline import NO_DEADLINE

_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""RFC 9110, 9.2.2."""
_HOST = b"\r\nHost: "


class ForwardedRequest(BegunRequest):
    """One request on its way to a server; shared by all its attempts."""

    __slots__ = (
        "answered", "body", "client", "cookie", "deadline", "failing_since", "member", "moved", "opening", "relay",
        "released", "spent", "upstream", "why",
    )  # fmt: skip

    def __init__(
        self,
        exchange: Exchange,
        head: RequestHead,
        body: RequestBody | None,
        client: ClientExchange,
        upstream: BackendRuntime,
    ) -> None:
        self.exchange = exchange
        self.head = head
        self.body = body
        self.client = client
        self.upstream = upstream
        self.answered = False
        self.cookie = b""
        """The Set-Cookie field that goes into the answer for sticky connections; empty for none."""
        self.relay: Relay | None = None
        """The relay of the present attempt."""
        self.member: Member | None = None
        """The member that was picked for the first attempt, where that was begun without a greenlet."""
        self.sent_on = None
        self.unfinished = False
        self.late = False
        self.moved = False
        """Whether the present attempt is to be given up for another server."""
        self.spent = 0
        """Retries used so far, of the backend's ``retries``."""
        self.failing_since = 0.0
        """When a server first failed it, or it entered the retry queue; 0 before."""
        self.released = False
        """Whether it was released from the retry queue for another attempt."""
        self.why = 0
        """Why the member is the one that it is, where the policy did not say so (`l7.telemetry.recorder.layout`)."""
        self.deadline = NO_DEADLINE
        self.opening = b""
        """The head and the part of the body received so far, as they go to the server: `open` writes it."""

    def open(self, believed: bytes | None, strips: bool) -> None:
        """Write the head anew, as rules have it, with what a trusted peer says of the request, or None of any other.

        ``strips`` says that the server gets no Authorization, but the login that was checked.
        """
        head, body, exchange = self.head, self.body, self.exchange
        first = user = b""
        if body is not None:
            first = body.first
            body.first = b""  # it is kept once
        runs, path, plain = head.runs, head.path, head.plain
        if strips:
            user = exchange.user
            if head.authorization is not None:
                head.runs = [kept for run in head.runs if (kept := forwarding.without(run, b"authorization"))]
            believed = None if believed is None else forwarding.without(believed, b"x-forwarded-user")
        context = exchange.ruled
        if context is not None:
            context.believed = believed
            rules = context.rules
            rules.on_request(context)
            believed = context.believed
        self.opening = self.client.hop.request_head(head, exchange.request_id.encode("ascii"), believed, first, user)
        if context is not None:
            # What l7 goes by is what the client has sent: cookies, hash keys, what is accepted.
            head.runs, head.path, head.plain = runs, path, plain
            if context.sent_host:
                self.name_host(context.sent_host)

    def name_host(self, host: bytes) -> None:
        """Have the server get ``host`` as Host, whatever was to go there."""
        begin = self.opening.find(_HOST) + len(_HOST)  # it is the first field
        end = self.opening.find(CRLF, begin)
        self.opening = b"".join((self.opening[:begin], host, self.opening[end:]))
        self.exchange.ruled.sent_host = host

    def begin(self) -> None:
        """Pick a member, and send the request on an idle connection to it if there is one: for callbacks of the loop.

        Only where the backend is ``plain``: then nothing waits.
        """
        upstream = self.upstream
        member = upstream.pick(self, ())
        if member is None:
            return
        server: Stream | None = None
        try:
            pool = member.pool
            server = pool.check_out()
            if server is not None:
                context = self.exchange.ruled
                if context is not None and context.names_server:
                    self.name_host(member.authority)
                self._send_on(server, member)
        except Exception:
            upstream.release(member)
            if server is not None:
                server.close()
                if upstream.waiting is not None:
                    upstream.waiting.pop(server, None)
            raise
        self.member = member

    def _send_on(self, server: Stream, member: Member) -> None:
        """Send what ``server`` takes at once; close it where that is nothing. Nothing can fail after that."""
        waiting = self.upstream.waiting
        if waiting is not None:
            waiting[server] = (member, self)
        if self.relay_on(server).send_at_once(self.opening):
            self.unfinished = self.body is not None and bool(self.body.unsent)
            self.sent_on = server
            return
        if waiting is not None:
            del waiting[server]
        server.close()

    def relay_on(self, server: Stream) -> Relay:
        """The relay that has sent the request on this connection already, else a new one."""
        relay = self.relay
        if relay is None or self.sent_on is None:
            relay = Relay(self.exchange, self.head, self.body, self.client, server, self.upstream.bounds)
            self.relay = relay
        relay.late = self.late
        self.sent_on = None
        self.late = False
        self.deadline.connected(server)
        return relay

    def may_retry(self, failure: ProxyError, leaving: Member | None = None) -> bool:
        """Whether the request may be sent again after ``failure`` (RFC 9110, 9.2.2; the failure table).

        To the same server, or to another one than ``leaving``. What a server only takes long for is asked for nowhere
        else; one whose checks fail as well is about to be down, and what waits for it then is moved.
        """
        if self.answered or self.client.has_left():
            return False
        rule = failure.kind.retry
        if rule is Retry.NOTHING_SENT or rule is Retry.NOT_REACHED:
            return True
        if rule is Retry.NEVER or not self._repeatable():
            return False
        return rule is Retry.IDEMPOTENT or (leaving is not None and self.upstream.checks_fail(leaving))

    def _repeatable(self) -> bool:
        """Whether the request is idempotent and its body is complete and kept."""
        whole = self.body is None or (self.body.is_done() and not self.body.streamed)
        return self.head.method in _IDEMPOTENT and whole

    def forget_body(self, buffers: BufferLimit) -> None:
        """Let go of a buffered body that the server has: once it answers, nothing is sent again."""
        if self.body is not None and self.body.is_sent():
            self.opening = b""
            self.body.release(buffers)

    def deliver(self) -> None:
        """Wait until the client has taken what was read ahead for it, which holds no server. Raises `ProxyError`."""
        self.deadline.await_client()
        try:
            self.client.flush()
        except ProxyError as failure:
            raise self.deadline.verdict(failure, answered=True) from None

    def move(self) -> bool:
        """Give up the present attempt for another server; returns whether that is possible."""
        relay = self.relay
        if self.answered or relay is None or relay.answered or relay.announced or not self._repeatable():
            return False
        self.moved = True
        return True
