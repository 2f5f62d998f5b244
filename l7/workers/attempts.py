"""The second half of the life of a request: servers are tried until one has answered.

One on an idle connection or a new one, relayed, and checked in again; what fails is tried on another one where the
failure table and the backend allow it. Hot: each step calls the next one by its pointer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from l7 import clock
from l7.balancing.members import Member
from l7.errors import BODY_STALLED, KILLED_DATA, TRUNCATED, ProxyError
from l7.exchange import NOT_REACHED, Exchange
from l7.telemetry.counters import RequestCounters
from l7.telemetry.recorder.layout import AGAIN, BACKUP, RETRY
from l7.telemetry.recorder.writer import NullRecorder
from l7.workers.downstream.request_handler import RequestHandler
from l7.workers.rules.compression import Compressor
from l7.workers.termination import killed
from l7.workers.transport.stream import Stream
from l7.workers.tunnels import Tunnels
from l7.workers.upstream.backend import BackendRuntime
from l7.workers.upstream.forwarded_request import ForwardedRequest
from l7.workers.upstream.pool import ConnectionPool
from l7.workers.upstream.request_deadline import TotalDeadline

_AGAIN = AGAIN
_BACKUP = BACKUP
_RETRY = RETRY
_BROKEN_OFF = frozenset((BODY_STALLED, TRUNCATED))
"""The failures of a server within its answer: what has come of it is the client's all the same."""


class ServerAttempts:
    """Brings the requests of ``handler`` to servers; upgraded connections are kept among ``tunnels``."""

    __slots__ = ("_compressor", "_counters", "_handler", "_tunnels", "recorder")

    def __init__(
        self, handler: RequestHandler, counters: RequestCounters, tunnels: Tunnels, compressor: Compressor
    ) -> None:
        self._compressor = compressor
        self._handler = handler
        self._counters = counters
        self._tunnels = tunnels
        self.recorder = NullRecorder()
        """What is told of each request and its attempts."""

    def forward(self, forwarded: ForwardedRequest) -> None:
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
            if client.held and failure.kind in _BROKEN_OFF and not self._handler.cutting_off:
                with suppress(ProxyError):
                    forwarded.deliver()
            raise
        finally:
            forwarded.deadline.stop()
            if forwarded.released:
                upstream.retry_queue.settled(forwarded)

    def record_begun(self, forwarded: ForwardedRequest) -> None:
        """Tell the recorder of the attempt that a request was begun with, if it was."""
        if forwarded.sent_on is not None and forwarded.member is not None:
            self._record(forwarded, forwarded.member)

    def _record(self, forwarded: ForwardedRequest, member: Member) -> None:
        """Tell the recorder which member was picked, and why."""
        upstream = forwarded.upstream
        why = forwarded.why
        if member.backup:
            why |= _BACKUP
        if forwarded.exchange.attempts > 1 and not why & _AGAIN:
            why |= _RETRY
        self.recorder.attempt(forwarded.exchange, member.label, why, len(upstream.available), len(upstream.members))

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
                if forwarded.exchange.trace is not None:
                    forwarded.exchange.trace.end_attempt(forwarded.exchange.status)
                upstream.answered(member, forwarded.exchange.status)
                return
            except ProxyError as error:
                if forwarded.exchange.trace is not None:
                    forwarded.exchange.trace.end_attempt(forwarded.exchange.status, error)
                failure = forwarded.deadline.verdict(error, answered=forwarded.answered)
                if self._handler.cutting_off:
                    raise failure from None
                if not forwarded.failing_since:
                    forwarded.failing_since = clock.monotonic()
                if forwarded.deadline.blames_server():
                    upstream.failed(member, failure)
                tried = [*tried, member]
                self.recorder.failed(forwarded.exchange, failure)
                forwarded.why = 0
                if not forwarded.may_retry(failure, member) or not upstream.may_retry(forwarded, failure, tried):
                    raise failure from None
            finally:
                upstream.release(member)

    def _attempt(self, forwarded: ForwardedRequest, member: Member) -> None:
        """One server: first on an idle connection; one that turns out to be dead is replaced by a new one, once."""
        exchange = forwarded.exchange
        exchange.server = member.label
        exchange.attempts += 1
        if exchange.trace is not None:
            self._trace(forwarded)
        forwarded.member = None
        forwarded.deadline.begin_attempt()
        context = exchange.ruled
        if context is not None and context.names_server:
            forwarded.name_host(member.authority)
        pool = member.pool.of(exchange.host) if forwarded.upstream.by_host else member.pool
        server = forwarded.sent_on
        if server is None:
            forwarded.moved = False
            self._record(forwarded, member)
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
                self.recorder.failed(exchange, failure)
                forwarded.why |= _AGAIN
                self._record(forwarded, member)
                if exchange.trace is not None:
                    exchange.trace.end_attempt(0, failure)
                    self._trace(forwarded)
        exchange.connect_time = NOT_REACHED
        started = clock.monotonic()
        server = pool.connector.dial(min(forwarded.upstream.bounds.connect, forwarded.deadline.until - started))
        exchange.connect_time = clock.monotonic() - started
        member.connected()
        if member.unreachable:
            forwarded.upstream.reached(member)
        self._through(forwarded, member, pool, server)

    def _trace(self, forwarded: ForwardedRequest) -> None:
        """Begin the span of an attempt; one that was begun without a greenlet began with its request."""
        exchange = forwarded.exchange
        started = clock.monotonic() if forwarded.sent_on is None else exchange.started
        route = forwarded.upstream.route
        forwarded.opening = exchange.trace.begin_attempt(exchange.server, route, forwarded.opening, started)

    def _through(self, forwarded: ForwardedRequest, member: Member, pool: ConnectionPool, server: Stream) -> None:
        """One connection, which is checked in when it can be used again and closed in every other case."""
        relay = forwarded.relay_on(server)
        if forwarded.released:
            forwarded.upstream.retry_queue.connected(forwarded)
        waiting = forwarded.upstream.waiting
        if waiting is not None:
            waiting[server] = (member, forwarded)
        try:
            response = relay.request(forwarded.opening, self._handler.greenlets)
            if forwarded.body is not None and forwarded.body.buffered:
                forwarded.forget_body(self._handler.buffers)
            member.unanswered = 0
            self._counters.answered(member.row, forwarded.exchange.response_time)
            context = forwarded.exchange.ruled
            if context is not None:
                rules = context.rules
                rules.on_response(context, response)
            if forwarded.cookie:  # it is l7's own, whatever rules say of cookies
                response.runs.append(forwarded.cookie)
            if response.status == 101:
                if self._tunnels.run(forwarded, relay, server):
                    forwarded.exchange.failure = self.killed(forwarded.exchange, whole=True)
                    forwarded.exchange.code = KILLED_DATA.code
                forwarded.client.abort()
            elif context is not None and context.asked is not None:
                self._compressor.respond(relay, context.asked, forwarded, server)
            else:
                relay.respond()
        except ProxyError:
            forwarded.answered = relay.answered or relay.announced
            raise
        finally:
            relay.stop()
            if waiting is not None:
                del waiting[server]
            if relay.reusable and not self._handler.draining:
                pool.check_in(server, relay.response.keep_alive)
            else:
                server.close()

    def killed(self, exchange: Exchange, *, whole: bool) -> ProxyError:
        """What a request has failed with that is cut off now; ``whole`` says that its head had come. It is counted."""
        self._counters.cut(exchange)
        return killed(exchange, whole=whole)
