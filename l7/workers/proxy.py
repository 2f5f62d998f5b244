"""The life of one request. START READING HERE.

`Proxy.handle` is the table of contents, one verb a module: admit (credentials) -> route (balancing.routing) -> pick
(workers.upstream) -> check out a connection (pool) -> forward the head (http.forwarding) -> relay (relay) -> check in
-> log (telemetry.accesslog). What fails is a row of `l7.errors`; `Proxy.refuse` turns it into an answer. Most requests
are sent by `Proxy.begin`, and wait for their answer without a greenlet; `Proxy.resume` does the rest.

Hot: each step calls the next one by its pointer, and nothing is made for what seldom happens.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

from l7 import clock
from l7.balancing.members import Member
from l7.balancing.routing import Routes
from l7.config.schema import Config
from l7.errors import (
    BODY_STALLED,
    INTERNAL,
    KILLED_DATA,
    LOOP,
    MISDIRECTED,
    NO_ROUTE,
    TRUNCATED,
    UNAUTHORIZED,
    ProxyError,
    Side,
)
from l7.exchange import Exchange
from l7.http import forwarding
from l7.http.grammar import CHALLENGES
from l7.http.messages import ABSENT, RequestHead
from l7.http.parser import RequestParser
from l7.networks import Trusted
from l7.sharedmem.challenges import ChallengeTable
from l7.telemetry.access_log import NullAccessLog
from l7.telemetry.counters import RequestCounters
from l7.workers import responses
from l7.workers.credentials import authenticator_of, claimed_login, known_user, needs_login
from l7.workers.downstream.body import RequestBody
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.downstream.request_handler import BegunRequest, RequestHandler
from l7.workers.https_redirect import early_answer
from l7.workers.limits import ClientProtocolLimits
from l7.workers.phase import WorkerPhase
from l7.workers.request_ids import RequestIds
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.termination import end_waits, killed
from l7.workers.transport.stream import DeadlineSweeper, Stream
from l7.workers.tunnels import Tunnels
from l7.workers.upstream.backend import BackendRuntime, BackendTable
from l7.workers.upstream.context import BackendContext
from l7.workers.upstream.forwarded_request import ForwardedRequest
from l7.workers.upstream.pool import ConnectionPool
from l7.workers.upstream.request_deadline import TotalDeadline

_BROKEN_OFF = frozenset((BODY_STALLED, TRUNCATED))
"""The failures of a server within its answer: what has come of it is the client's all the same."""


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
        self.credentials = authenticator_of(config.users)
        self.challenges: ChallengeTable | None = None
        """What is answered to a certificate authority, where certificates are obtained."""
        self._strips = config.authorization == "strip"
        """Whether servers get no Authorization, but the login that was checked."""
        self.answered = 0
        """Requests that came to their end, however they ended."""
        self.faults = 0
        """Answers 5xx that l7 made itself, for reasons that are not the client's."""
        self.tunnels = Tunnels(greenlets)
        self.in_flight = 0
        self.requests = 0
        self._ids = RequestIds()
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
        if head.authorization is not None or self.credentials is not None:
            user = known_user(self.credentials, head.authorization)
            if user is None:
                return None
            exchange.user = user
        match = self.routes.match(head.host, head.path)
        if match is None or match.payload is None:
            return None
        upstream: BackendRuntime = match.payload
        believed = self._introduce(exchange, head, client)
        exchange.row = upstream.row
        body = None if head.length == ABSENT else client.read_body(exchange, head)
        forwarded = ForwardedRequest(exchange, head, body, client, upstream)
        forwarded.open(believed, self._strips)
        if upstream.plain and not upstream.total:
            forwarded.begin()
        self.in_flight += 1
        return forwarded

    def resume(self, begun: BegunRequest) -> None:
        """Do the rest of what was begun; never raises."""
        assert isinstance(begun, ForwardedRequest)
        try:
            self._forward(begun)
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
            if head.length != ABSENT:
                body = client.read_body(exchange, head)
            if client.hop.https_port or self.challenges is not None:
                own = early_answer(head, client.hop.https_port, believed, self.routes, self.challenges)
                if own is not None:
                    exchange.sent = client.answer(own, head)
                    exchange.status = own.status
                    return
            if not client.hop.serves(head):
                raise ProxyError(MISDIRECTED, f"host {head.host}, but TLS was begun for {client.hop.server_name}")
            self._admit(exchange, head)
            if head.max_forwards == 0:
                exchange.sent = client.answer(responses.last_hop(head), head)
                exchange.status = 200
                return
            match = self.routes.match(head.host, head.path)
            if match is None:
                raise ProxyError(NO_ROUTE, f"host {head.host or '(none)'}")
            upstream: BackendRuntime = self.upstreams.of(match) if match.payload is None else match.payload
            exchange.row = upstream.row
            if body is not None and len(body.first) < head.length <= upstream.bounds.request_buffer:
                client.buffer_body(head, upstream.total)
            forwarded = ForwardedRequest(exchange, head, body, client, upstream)
            forwarded.open(believed, self._strips)
            self._forward(forwarded)
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
        self.refuse(failure, exchange, None, client)
        self.finish(exchange)

    def finish(self, exchange: Exchange) -> None:
        """The last thing that happens to a request: it is logged."""
        self.answered += 1
        exchange.total_time = clock.monotonic() - exchange.started
        self.counters.count(exchange)
        self.log.log(exchange)

    def _introduce(self, exchange: Exchange, head: RequestHead, client: ClientExchange) -> bytes | None:
        """Note who asks for what, under which request id; returns the forwarding fields of a trusted peer."""
        exchange.request_line = head.line
        exchange.clean = head.clean
        exchange.host = head.host
        exchange.user_agent = head.user_agent
        exchange.referer = head.referer
        if not client.trusted:
            exchange.request_id = self.next_request_id()
            return None
        exchange.client, believed = forwarding.believe(head, client.hop, self.trusts)
        told = forwarding.request_id_of(head)
        exchange.request_id = told.decode("ascii") if told else self.next_request_id()
        return believed

    def trusts(self, client: str) -> bool:
        """Whether ``client``, an address or `l7.networks.UNIX`, is one of the trusted proxies."""
        return self._trusted is not None and client in self._trusted

    def _admit(self, exchange: Exchange, head: RequestHead) -> None:
        """Refuse a request without a valid login, where logins are configured, and one that loops."""
        login = None if self.credentials is None else self.credentials.check(head.authorization)
        if login is not None:
            exchange.user = login
        elif head.authorization is not None:
            exchange.user = claimed_login(head.authorization)
        if login is None and self.credentials is not None and needs_login(head):
            raise ProxyError(UNAUTHORIZED)
        if head.via and forwarding.loops(head):
            raise ProxyError(LOOP, f"it came through {forwarding.MOST_HOPS} times")

    def _forward(self, forwarded: ForwardedRequest) -> None:
        """Try servers until one answers; raises the `ProxyError` of the last one when none does."""
        upstream = forwarded.upstream
        client = forwarded.client
        if upstream.total:
            forwarded.deadline = TotalDeadline(client, forwarded.exchange.started, upstream.total)
        try:
            self._try_servers(forwarded, upstream)
            if client.held:
                forwarded.deliver()
        except ProxyError as failure:
            if client.held and failure.kind in _BROKEN_OFF and not self.cutting_off:
                with suppress(ProxyError):
                    forwarded.deliver()
            raise
        finally:
            forwarded.deadline.stop()
            if forwarded.released:
                upstream.retry_queue.settled(forwarded)

    def _try_servers(self, forwarded: ForwardedRequest, upstream: BackendRuntime) -> None:
        tried: Sequence[Member] = ()
        failure: ProxyError | None = None
        forwarded.exchange.queue_time = 0.0
        while True:
            member = forwarded.member or upstream.pick(forwarded, tried)
            if member is None:
                tried = upstream.wait(forwarded, failure)
                continue
            try:
                self._attempt(forwarded, member)
                upstream.answered(member, forwarded.exchange.status)
                return
            except ProxyError as error:
                failure = forwarded.deadline.verdict(error, answered=forwarded.answered)
                if self.cutting_off:
                    raise failure from None
                if not forwarded.failing_since:
                    forwarded.failing_since = clock.monotonic()
                if forwarded.deadline.blames_server():
                    upstream.failed(member, failure)
                tried = [*tried, member]
                if not forwarded.may_retry(failure, member) or not upstream.may_retry(forwarded, failure, tried):
                    raise failure from None
            finally:
                upstream.release(member)

    def _attempt(self, forwarded: ForwardedRequest, member: Member) -> None:
        """One server: first on an idle connection; one that turns out to be dead is replaced by a new one, once."""
        exchange = forwarded.exchange
        exchange.server = member.label
        exchange.attempts += 1
        forwarded.member = None
        forwarded.deadline.begin_attempt()
        pool = member.pool.of(exchange.host) if forwarded.upstream.by_host else member.pool
        server = forwarded.sent_on
        if server is None:
            forwarded.moved = False
            server = pool.check_out()
        if server is not None:
            exchange.connect_time = 0.0
            try:
                self._through(forwarded, member, pool, server)
                return
            except ProxyError as failure:
                if forwarded.deadline.over or forwarded.moved or not forwarded.may_retry(failure):
                    raise
                exchange.attempts += 1
        started = clock.monotonic()
        server = pool.connector.dial(min(forwarded.upstream.bounds.connect, forwarded.deadline.until - started))
        exchange.connect_time = clock.monotonic() - started
        member.connected()
        if member.unreachable:
            forwarded.upstream.reached(member)
        self._through(forwarded, member, pool, server)

    def _through(self, forwarded: ForwardedRequest, member: Member, pool: ConnectionPool, server: Stream) -> None:
        """One connection, which is checked in when it can be used again and closed in every other case."""
        relay = forwarded.relay_on(server)
        if forwarded.released:
            forwarded.upstream.retry_queue.connected(forwarded)
        waiting = forwarded.upstream.waiting
        if waiting is not None:
            waiting[server] = (member, forwarded)
        try:
            response = relay.request(forwarded.opening, self.greenlets)
            if forwarded.body is not None and forwarded.body.buffered:
                forwarded.forget_body(self.buffers)
            member.unanswered = 0
            self.counters.answered(member.row, forwarded.exchange.response_time)
            if forwarded.cookie:
                response.runs.append(forwarded.cookie)
            if response.status == 101:
                if self.tunnels.run(forwarded, relay, server):
                    forwarded.exchange.failure = self._killed(forwarded.exchange, whole=True)
                    forwarded.exchange.code = KILLED_DATA.code
                forwarded.client.abort()
            else:
                relay.respond()
        except ProxyError:
            forwarded.answered = relay.answered or relay.announced
            raise
        finally:
            relay.stop()
            if waiting is not None:
                del waiting[server]
            if relay.reusable and not self.draining:
                pool.check_in(server, relay.response.keep_alive)
            else:
                server.close()

    def refuse(self, failure: ProxyError, exchange: Exchange, head: RequestHead | None, client: ClientExchange) -> None:
        """Answer a failed request by its row of the table.

        Silent when part of an answer has gone out already: the client sees that it was cut short.
        """
        if self.cutting_off and (exchange.row or head is None):
            failure = self._killed(exchange, whole=head is not None)
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
        exchange.sent = client.answer(responses.refusal(failure, head, exchange.request_id), head, keep=kind.keep)

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

    def _killed(self, exchange: Exchange, *, whole: bool) -> ProxyError:
        self.counters.cut(exchange)
        return killed(exchange, whole=whole)
