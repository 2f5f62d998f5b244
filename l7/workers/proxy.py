"""The life of one request. START READING HERE.

`Proxy.handle` is the table of contents, one verb a module: route (balancing.routing) -> admit by the rules there
(rules.ruleset) -> pick (workers.attempts) -> check out a connection (pool) -> forward the head (http.forwarding) ->
relay (relay) -> check in -> log (telemetry.access_log). What fails is a row of `l7.errors`; `Proxy.refuse` turns it
into an answer. Most requests are sent by `Proxy.begin`, and wait for their answer without a greenlet; `Proxy.resume`
does the rest.

Hot: each step calls the next one by its pointer, and nothing is made for what seldom happens.
"""

from __future__ import annotations

import sys

from l7 import clock
from l7.balancing.routing import Match, Routes
from l7.config.schema import Config
from l7.errors import (
    INTERNAL,
    LOOP,
    MISDIRECTED,
    NO_ROUTE,
    ProxyError,
    Side,
)
from l7.exchange import Exchange
from l7.http import forwarding
from l7.http.grammar import CHALLENGES
from l7.http.messages import ABSENT, UNREAD, LocalResponse, RequestHead
from l7.http.parser import RequestParser
from l7.networks import Trusted
from l7.rules.answers.error_pages import ErrorPagesRule
from l7.rules.answers.last_hop import last_hop
from l7.rules.compile import RuleCompiler, RuleResources
from l7.rules.context import ANY_SIZE, RuleContext
from l7.rules.login import claimed_login
from l7.sharedmem.challenges import ChallengeTable
from l7.telemetry.access_log import NullAccessLog
from l7.telemetry.counters import RequestCounters
from l7.telemetry.tracing.tracer import Tracer
from l7.workers import responses
from l7.workers.attempts import ServerAttempts
from l7.workers.downstream.body import RequestBody
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.downstream.request_handler import BegunRequest, RequestHandler
from l7.workers.limits import ClientProtocolLimits
from l7.workers.phase import WorkerPhase
from l7.workers.request_ids import RequestIds
from l7.workers.rules.compression import Compressor
from l7.workers.rules.credentials import Authenticators
from l7.workers.rules.https_redirect import early_answer
from l7.workers.rules.rate_limiter import RateLimiter
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.termination import end_waits
from l7.workers.transport.stream import DeadlineSweeper
from l7.workers.tunnels import Tunnels
from l7.workers.upstream.backend import BackendRuntime, BackendTable
from l7.workers.upstream.context import BackendContext
from l7.workers.upstream.forwarded_request import ForwardedRequest


class Proxy(RequestHandler):
    """What all client connections of a worker share: routes, credentials, limits, the log."""

    def __init__(
        self,
        config: Config,
        sweeper: DeadlineSweeper,
        greenlets: GreenletPool,
        log: NullAccessLog,
        context: BackendContext,
    ) -> None:
        limits = config.limits
        parser = RequestParser(limits.headers, limits.target, utf8=limits.target_bytes == "utf-8")
        super().__init__(greenlets, parser, ClientProtocolLimits(limits, config.timeouts))
        self.config = config
        self.sweeper = sweeper
        self.log = log
        self.upstreams = BackendTable(config, sweeper, context)
        self.routes = Routes(dict.fromkeys(config.backends))
        self.counters = RequestCounters(context.writer)
        resources = RuleResources(Authenticators().of, context.pages, _limiter(context))
        self._compiler = RuleCompiler(config, self.routes, resources)
        self.general = self._compiler.of(None)
        """The rules for requests without a route; None where there are none."""
        self.challenges: ChallengeTable | None = None
        """What is answered to a certificate authority, where certificates are obtained."""
        self._most_body = ANY_SIZE if limits.body is None else limits.body
        self.tracer: Tracer | None = None
        """What chooses the requests that are traced, where any are."""
        self._strips = config.authorization == "strip"
        """Whether servers get no Authorization where a login was checked, but the login."""
        self.answered = 0
        """Requests that came to their end, however they ended."""
        self.faults = 0
        """Answers 5xx that l7 made itself, for reasons that are not the client's."""
        self.tunnels = Tunnels(greenlets)
        self.attempts = ServerAttempts(self, self.counters, self.tunnels, Compressor(context.writer))
        self.in_flight = 0
        self.requests = 0
        self._ids = RequestIds(context.writer.number)
        self._trusted = Trusted(config.trusted_proxies) if config.trusted_proxies else None

    def next_request_id(self) -> str:
        """A new request id."""
        self.requests += 1
        return self._ids.of(self.requests)

    def begin(self, exchange: Exchange, head: RequestHead, client: ClientExchange) -> BegunRequest | None:
        """Send a request that has come whole on an idle connection, where it need not wait for one.

        Nothing is begun where it may be answered here.
        """
        whole = head.length == ABSENT or (not head.expects and client.has_body(head))
        simple = whole and not head.upgrade and not (head.via and forwarding.loops(head))
        if not simple or head.max_forwards == 0 or self.draining or client.hop.https_port:
            return None
        if client.hop.server_name and not client.hop.serves(head):
            return None
        if self.challenges is not None and head.path.startswith(CHALLENGES):
            return None
        try:
            match = self.routes.match(head.host, head.path)
        except ProxyError:
            return None
        if match is None or match.payload is None:
            return None
        upstream: BackendRuntime = match.payload
        believed = self._introduce(exchange, head, client)
        exchange.row, exchange.route = upstream.row, upstream.route
        rules = match.rules
        strips = False
        if head.authorization is not None and (rules is None or not rules.logs_in):
            exchange.user = claimed_login(head.authorization)
        if rules is not None:
            context = exchange.ruled = RuleContext(exchange, head, client.hop, believed, match, rules)
            if not rules.begins(context) or head.length > self._body_limit(context):
                return None
            strips = self._strips and rules.logs_in
        elif head.length > self._most_body:
            return None
        if self.tracer is not None:
            self.tracer.start(exchange, head, client.hop.scheme, trusted=client.trusted)
        body = None if head.length == ABSENT else client.read_body(exchange, head)
        forwarded = ForwardedRequest(exchange, head, body, client, upstream)
        forwarded.open(believed, strips)
        if upstream.plain and not upstream.total:
            forwarded.begin()
        self._record(exchange, client)
        self.attempts.record_begun(forwarded)
        self.in_flight += 1
        return forwarded

    def resume(self, begun: BegunRequest) -> None:
        """Do the rest of what was begun; never raises."""
        assert isinstance(begun, ForwardedRequest)
        try:
            self.attempts.forward(begun)
        except ProxyError as failure:
            self.refuse(failure, begun.exchange, begun.head, begun.client)
        except Exception:  # as in `handle`
            sys.excepthook(*sys.exc_info())
            self.refuse(ProxyError(INTERNAL), begun.exchange, begun.head, begun.client)
        finally:
            self.in_flight -= 1
            self.finish(begun.exchange)

    def handle(self, exchange: Exchange, head: RequestHead, client: ClientExchange) -> None:
        """Serve one request and say what happened; never raises."""
        self.in_flight += 1
        body: RequestBody | None = None
        try:
            believed = self._introduce(exchange, head, client)
            self._record(exchange, client)
            if self.tracer is not None:
                self.tracer.start(exchange, head, client.hop.scheme, trusted=client.trusted)
            if head.length != ABSENT:
                body = client.read_body(exchange, head)
            match: Match | None = None
            own = self._early_answer(exchange, head, client, believed)
            if own is None:
                match = self._route(exchange, head)
                own = self._admit(exchange, head, client, believed, body, match)
            if own is not None:
                exchange.status = own.status
                exchange.sent = client.answer(self._dressed(own, exchange), head)
                return
            assert match is not None
            forwarded = self._forwarded(exchange, head, client, believed, body, match)
            self.attempts.forward(forwarded)
        except ProxyError as failure:
            self.refuse(failure, exchange, head, client)
        except Exception:  # a fault of ours costs one request, is told to the operator, not to the client
            sys.excepthook(*sys.exc_info())
            self.refuse(ProxyError(INTERNAL), exchange, head, client)
        finally:
            if body is not None and body.buffered:
                body.release(self.buffers)
            self.in_flight -= 1
            self.finish(exchange)

    def reject(self, failure: ProxyError, exchange: Exchange, client: ClientExchange) -> None:
        """Answer what was no request, and log it."""
        exchange.request_id = self.next_request_id()
        self._record(exchange, client)
        self.refuse(failure, exchange, None, client)
        self.finish(exchange)

    def finish(self, exchange: Exchange) -> None:
        """The last thing that happens to a request: it is logged."""
        self.answered += 1
        exchange.total_time = clock.monotonic() - exchange.started
        self.counters.count(exchange)
        self.attempts.recorder.finish(exchange)
        self.log.log(exchange)
        if self.tracer is not None and exchange.trace is not None:
            self.tracer.finish(exchange)
        exchange.ruled = None  # the two know each other: without this only the garbage collector would free them

    def _record(self, exchange: Exchange, client: ClientExchange) -> None:
        """Let the request be seen while it is under way."""
        client.came += 1
        exchange.connection = client.came
        exchange.port = client.hop.port
        self.attempts.recorder.begin(exchange)

    def _introduce(self, exchange: Exchange, head: RequestHead, client: ClientExchange) -> bytes | None:
        """Note who asks for what, under which request id; returns the forwarding fields of a trusted peer.

        What `begin` has noted `handle` notes again, and it stays the same.
        """
        exchange.request_line = head.line
        exchange.clean = head.clean
        exchange.host = head.host
        exchange.user_agent = head.user_agent
        exchange.referer = head.referer
        if not client.trusted:
            if not exchange.request_id:
                exchange.request_id = self.next_request_id()
            return None
        exchange.client, believed = forwarding.believe(head, client.hop, self.trusts)
        told = forwarding.request_id_of(head)
        if not exchange.request_id:
            exchange.request_id = told.decode("ascii") if told else self.next_request_id()
        return believed

    def trusts(self, client: str) -> bool:
        """Whether ``client``, an address or `l7.networks.UNIX`, is one of the trusted proxies."""
        return self._trusted is not None and client in self._trusted

    def _early_answer(
        self, exchange: Exchange, head: RequestHead, client: ClientExchange, believed: bytes | None
    ) -> LocalResponse | None:
        """What is answered before the rules of a route: a challenge of ours, or where https is. Raises `ProxyError`."""
        own = None
        if client.hop.https_port or self.challenges is not None:
            own = early_answer(head, client.hop.https_port, believed, self.routes, self.challenges)
        if own is None and not client.hop.serves(head):
            raise ProxyError(MISDIRECTED, f"host {head.host}, but TLS was begun for {client.hop.server_name}")
        if own is not None and self.general is not None:
            exchange.ruled = RuleContext(exchange, head, client.hop, believed, None, self.general)
        return own

    def _admit(
        self,
        exchange: Exchange,
        head: RequestHead,
        client: ClientExchange,
        believed: bytes | None,
        body: RequestBody | None,
        match: Match | None,
    ) -> LocalResponse | None:
        """Let a request in by the rules of its route; returns what is answered without a server.

        Raises the `ProxyError` that it is refused with.
        """
        rules = self.general if match is None else match.rules
        context = exchange.ruled
        if head.authorization is not None and (rules is None or not rules.logs_in):
            exchange.user = claimed_login(head.authorization)
        if rules is not None:
            if context is None:
                context = exchange.ruled = RuleContext(exchange, head, client.hop, believed, match, rules)
            rules.admit(context)
        if head.via and forwarding.loops(head):
            raise ProxyError(LOOP, f"it came through {forwarding.MOST_HOPS} times")
        if body is not None:
            body.bound(head.length, self._body_limit(context))
        if head.max_forwards == 0:
            return last_hop(head)
        if match is None:
            raise ProxyError(NO_ROUTE, f"host {head.host or '(none)'}")
        return None if rules is None or rules.answer is None else rules.answer.answer(context)

    def _route(self, exchange: Exchange, head: RequestHead) -> Match | None:
        """Where a request goes, with its rules and servers. Raises `ProxyError` (400)."""
        match: Match | None = self.routes.match(head.host, head.path)
        if match is not None:
            if match.payload is None:
                match.rules = self._compiler.of(match)
                match.payload = self.upstreams[match.key]
            exchange.row = match.payload.row
            exchange.route = match.key
        return match

    def _body_limit(self, context: RuleContext | None) -> int:
        """The most bytes of a request's body that are taken."""
        return self._most_body if context is None or context.body_limit < 0 else context.body_limit

    def _forwarded(
        self,
        exchange: Exchange,
        head: RequestHead,
        client: ClientExchange,
        believed: bytes | None,
        body: RequestBody | None,
        match: Match,
    ) -> ForwardedRequest:
        """A request as it goes on to a server. Raises `ProxyError` where its body is buffered first."""
        upstream: BackendRuntime = match.payload
        if body is not None and len(body.first) < head.length <= upstream.bounds.request_buffer:
            client.buffer_body(head, upstream.total)
        rules = match.rules
        forwarded = ForwardedRequest(exchange, head, body, client, upstream)
        forwarded.open(believed, self._strips and rules is not None and rules.logs_in)
        return forwarded

    def refuse(self, failure: ProxyError, exchange: Exchange, head: RequestHead | None, client: ClientExchange) -> None:
        """Answer a failed request by its row of the table.

        Silent when part of an answer has gone out already: the client sees that it was cut short.
        """
        if self.cutting_off and (exchange.row or head is None):
            failure = self.attempts.killed(exchange, whole=head is not None)
        kind = failure.kind
        exchange.failure = failure
        exchange.code = kind.code
        if exchange.status:
            client.abort()
            return
        exchange.status = kind.logged
        if not kind.status or client.has_left():
            client.abort()
            return
        if kind.status >= 500 and kind.side is not Side.DOWNSTREAM and not self.cutting_off:
            self.faults += 1
        if exchange.ruled is None and self.general is not None:  # it came to no route
            asked = UNREAD if head is None else head
            exchange.ruled = RuleContext(exchange, asked, client.hop, None, None, self.general)
        own = responses.refusal(failure, head, exchange, self._pages(exchange))
        exchange.sent = client.answer(self._dressed(own, exchange), head, keep=kind.keep)

    def _pages(self, exchange: Exchange) -> ErrorPagesRule | None:
        """The error pages for a request: those of its route, or else the general ones."""
        context = exchange.ruled
        return None if context is None else context.rules.pages

    def _dressed(self, own: LocalResponse, exchange: Exchange) -> LocalResponse:
        """An answer of l7's own, with what the rules make of it."""
        context = exchange.ruled
        return own if context is None else context.rules.own(context, own)

    # --- the end ------------------------------------------------------------------------------------------------------

    def cut(self) -> int:
        """End what is in flight, each by its row of the table; returns how many that are. For callbacks of the loop.

        Tunnels are told that it ends, and have until `cut_rest`.
        """
        if not self.enter(WorkerPhase.CUTTING_OFF):
            return 0
        count = self.in_flight
        self.tunnels.go_away()
        end_waits(self.sweeper.streams - self.tunnels.streams())
        return count

    def cut_rest(self) -> None:
        """End what is left, tunnels too. For callbacks of the loop."""
        self.tunnels.end()
        end_waits(self.sweeper.streams)


def _limiter(context: BackendContext) -> RateLimiter | None:
    """What counts clients, where there is a table of them."""
    return None if context.rate_limits is None else RateLimiter(context.rate_limits, context.writer, context.report)
