"""A backend in one worker: its members with their pools, which of them can be picked, and by what policy.

Hot: most backends need no more for a request than the policy's pick; `BackendRuntime.plain` says so. What can be picked
is worked out when something has changed: our own failures at once, what others found out within `BackendTable.tick`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from l7.balancing import health
from l7.balancing.budget import RetryBudget
from l7.balancing.dns_records import ResolvedEndpoint
from l7.balancing.members import Member
from l7.balancing.outlier_detection import OutlierDetector, count_failure
from l7.balancing.policies import POLICIES, Policy
from l7.balancing.routing import Match
from l7.balancing.server_state import ServerState, StateRules, evaluate_backend, last_resort, read_record
from l7.clock import monotonic
from l7.config.schema import Backend, Config, Server
from l7.config.sections.backends import merged
from l7.config.values.addresses import Address
from l7.errors import CONNECT_REFUSED, CONNECT_TIMEOUT, NO_SERVER, TLS_FAILED, ProxyError, Retry, Side
from l7.sharedmem.layout import IN_FLIGHT, REACHED_AT, RETRIES, UNREACHED_AT, place
from l7.telemetry.events import named
from l7.tls.servers.failure_numbers import is_lost
from l7.workers.limits import BackendProtocolLimits
from l7.workers.transport.stream import NEVER, DeadlineSweeper, Stream
from l7.workers.upstream.context import BackendContext
from l7.workers.upstream.pool import ConnectionPool
from l7.workers.upstream.pooling.member_pools import TLS_KINDS, MemberPools
from l7.workers.upstream.retry_queue import RetryQueue
from l7.workers.upstream.selection import MemberSelector

_UNREACHED = frozenset((CONNECT_REFUSED, CONNECT_TIMEOUT))
"""The failures that mark a server as unreachable."""
_NOTHING_SENT = frozenset((Retry.NOT_REACHED, Retry.NOTHING_SENT))
TICK = 0.05
"""Seconds within which a worker notices what other processes changed."""


class BackendRuntime:
    """One backend in this worker."""

    __slots__ = (
        "_arranged", "_context", "_given", "_passive", "_pools", "_rules", "_servers", "_timed", "again", "at",
        "available", "backend", "bounds", "budget", "by_host", "last_resort", "limit", "members", "plain", "policy",
        "retries", "retry_queue", "route", "row", "selection", "total", "waiting", "writer",
    )  # fmt: skip

    def __init__(
        self,
        route: str,
        backend: Backend,
        config: Config,
        sweeper: DeadlineSweeper,
        context: BackendContext,
        timed: set[BackendRuntime],
    ) -> None:
        self.route = route
        self.backend = backend
        self.writer = context.writer
        self.row = context.rows[(route,)]
        self.at = place(self.row)
        self.retries = backend.retries
        self.limit = backend.max_connections or 0
        self.total = backend.timeouts.total or 0.0
        self.bounds = _bounds(backend, config)
        self.policy: Policy = POLICIES[backend.balance]()
        self.budget = RetryBudget(context.writer, self.row, backend.retry_budget, monotonic())
        self.waiting: dict[Stream, tuple[Member, Any]] | None = None if backend.health is None else {}
        """The member and the request awaited on each connection, where health checks can end the wait; else None."""
        self._timed = timed
        self._context = context
        self._pools = MemberPools(route, backend, sweeper, context)
        self.by_host = self._pools.by_host
        """Whether connections to its servers are kept apart by the host of requests."""
        self._rules = StateRules.of(backend)
        self._passive = self._outlier_detector(backend)
        self._servers = merged(backend.servers)
        self._given: dict[str, list[Member]] = {address: self._first(one) for address, one in self._servers.items()}
        self._begin_without_members()
        self.selection = MemberSelector(self, context.cookie_key)
        self.retry_queue = RetryQueue(self, context.writer, backend.retry_for)
        self.plain = True
        """Whether the policy alone decides, so that nothing has to be claimed or looked up in the request."""
        self._take_members()

    def _outlier_detector(self, backend: Backend) -> OutlierDetector | None:
        if backend.ejection is None:
            return None
        return OutlierDetector(backend.ejection, backend.panic, self.writer, self._refresh_now)

    def _begin_without_members(self) -> None:
        self.members: list[Member] = []
        self._arranged: tuple[tuple[Member, int], ...] | None = None
        self.available: tuple[Member, ...] = ()
        """The members that the policy picks from."""
        self.last_resort: tuple[Member, ...] = ()
        """The members to try, in this order, when all available ones have failed a request."""
        self.again = 0
        """When this can change by time alone, in nanoseconds; 0: never."""

    # --- members ------------------------------------------------------------------------------------------------------

    def _first(self, server: Server) -> list[Member]:
        """The members of a server at the start."""
        name = (self.route, str(server.address))
        found = self._context.resolved.get(name)
        if found is not None:
            return [self._resolved(server, one) for one in found]
        return [self._member(server, server.address, self._context.rows[name], server.weight)]

    def _member(
        self, server: Server, address: Address, row: int, weight: int, parent: int = 0, *, reserve: bool = False
    ) -> Member:
        limit, backup = server.max_connections or 0, server.backup or reserve
        member = Member(str(address), self.writer, row, weight, limit, backup=backup)
        member.parent = parent
        member.pool = self._pools.make(server.address, address)
        member.authority = (address if server.address.srv else server.address).host_field.encode("ascii")
        return member

    def _resolved(self, server: Server, found: ResolvedEndpoint) -> Member:
        parent = self._context.rows[self.route, str(server.address)]
        weight = server.weight if found.weight < 0 else found.weight
        return self._member(server, Address(found.host, found.port), found.row, weight, parent, reserve=found.reserve)

    def set_members(self, address: str, found: Iterable[ResolvedEndpoint]) -> None:
        """Use these addresses for the server ``address``: members that stay are kept, those that leave drain."""
        server = self._servers.get(address)
        if server is None:
            return
        before = {member.row: member for member in self._given[address]}
        members = []
        for one in found:
            member = before.pop(one.row, None) or self._resolved(server, one)
            member.weight = server.weight if one.weight < 0 else one.weight
            member.backup = server.backup or one.reserve
            members.append(member)
        self._given[address] = members
        for member in before.values():
            member.pool.retire()
        self._take_members()

    def _take_members(self) -> None:
        self.members = [member for given in self._given.values() for member in given]
        self.selection.arrange(self.members)
        if self._passive is not None:
            self._passive.arrange(self.members)
        self._refresh_now()

    # --- who can be picked --------------------------------------------------------------------------------------------

    def refresh(self, now: int) -> None:
        """Compute which members can be picked, from the shared memory at ``now`` (nanoseconds)."""
        up = [member for member in self.members if member.verdict.state is not ServerState.DOWN]
        self.available, self.again = evaluate_backend(self.members, self._rules, self.backend.panic, now)
        if self.again:
            self._timed.add(self)
        else:
            self._timed.discard(self)
        for member in up:
            if member.verdict.state is ServerState.DOWN:
                self._leave(member)
        arranged = tuple([(member, member.share) for member in self.available])
        if arranged != self._arranged:
            self._arranged = arranged
            self.policy.arrange(self.available)
        self.last_resort = last_resort(self.members, self.available)
        self.settle()

    def settle(self) -> None:
        """Compute whether the policy alone decides."""
        capped = self.limit or [member for member in self.members if member.effective_limit]
        self.plain = not (self.selection.particular or self.by_host or capped or self.retry_queue.waiting)

    def _refresh_now(self) -> None:
        self.refresh(time.monotonic_ns())

    def _leave(self, member: Member) -> None:
        """Retry, on another server, requests that wait for an answer of one that health checks found down."""
        member.pool.close()
        if self.waiting is None or not [one for one in self.available if one.verdict.pickable]:
            return
        for server, (asked, forwarded) in list(self.waiting.items()):
            if asked is member and forwarded.move():
                server.close()

    # --- one request --------------------------------------------------------------------------------------------------

    def pick(self, forwarded: Any, tried: Sequence[Member]) -> Member | None:
        """Give a request a member, which counts as busy until `release`; None when there is none left.

        Waits in the queue where it has to; raises `ProxyError` when no server has room in time.
        """
        if not self.plain:
            return self.selection.pick(forwarded, tried)
        member = self.policy.pick(tried)
        if member is None:
            return self.selection.claim_last_resort(forwarded, tried)
        member.begin()
        return member

    def wait(self, forwarded: Any, failure: ProxyError | None) -> Sequence[Member]:
        """Let a request that no server has taken wait in the retry queue; raises the last failure when time is up.

        Returns the members to skip in the next attempt, because others are known to take connections.
        """
        failure = failure or ProxyError(NO_SERVER, "no server can be used")
        kind = failure.kind
        waits = kind is NO_SERVER or (kind.side is Side.UPSTREAM and kind.retry in _NOTHING_SENT)
        if kind is TLS_FAILED and not is_lost(failure.errno):
            waits = False  # another certificate does not come by waiting
        if not waits or not self.backend.retry_for or not [one for one in self.members if one.verdict.usable]:
            raise failure
        self.retry_queue.wait(forwarded, failure)
        self.budget.pass_by()
        closed = [member for member in self.members if member.unreachable]
        return closed if len(closed) < len(self.members) else ()

    def release(self, member: Member) -> None:
        """Count the end of a request, and let queued ones take its place."""
        member.end()
        if self.plain:
            return
        if self.limit:
            self.writer.add(self.at + IN_FLIGHT, -1)
        if self.selection.queue.waiting:
            self.selection.queue.move()

    def answered(self, member: Member, status: int) -> None:
        """Count a complete response."""
        if member.answered(status):
            self._look(member, status)

    def _look(self, member: Member, status: int) -> None:
        if status < 500:
            self.writer.changed(member.row)  # the probation is over
            self._refresh_now()
        elif self._passive is not None:
            self._act(member, self._passive.answered(member, status, self.available))

    def reached(self, member: Member) -> None:
        """Note a connection that succeeded to a member marked unreachable."""
        self.writer.put(member.at + REACHED_AT, time.monotonic_ns())
        self.writer.changed(member.row)
        self._refresh_now()

    def failed(self, member: Member, failure: ProxyError) -> None:
        """Count a failed request."""
        if failure.kind.side is not Side.DOWNSTREAM:
            self._context.debug(f"{self.route}: server {member.label}: {failure.reason}")
        if failure.kind in TLS_KINDS and not self._pools.blames_server(member.label, failure):
            return
        if failure.kind in _UNREACHED and not member.unreachable:
            self.writer.put(member.at + UNREACHED_AT, time.monotonic_ns())
            self.writer.changed(member.row)
            self._refresh_now()
        if self._passive is not None:
            self._act(member, self._passive.failed(member, failure, self.available))
        else:
            count_failure(member, failure)

    def _act(self, member: Member, ejected: str) -> None:
        """Log an ejection and compute anew which members can be picked; does nothing for an empty text."""
        if ejected:
            self._refresh_now()
            words = f"{self.route}: {ejected}"
            self._context.report(named("server.ejected", words, backend=self.route, server=member.label))

    def may_retry(self, forwarded: Any, failure: ProxyError, tried: Sequence[Member]) -> bool:
        """Whether a request that the last of ``tried`` has failed, and that may be sent again, is tried once more.

        A refused connection is retried without the budget. Where no member is left, the request may wait (`wait`).
        """
        rule = failure.kind.retry
        left = [one for one in (*self.available, *self.last_resort) if one not in tried]
        if rule is Retry.NOT_REACHED:
            if left:
                self.budget.pass_by()
                self.writer.add(tried[-1].at + RETRIES, 1)
            return True
        if not left:
            return rule is Retry.NOTHING_SENT
        if forwarded.spent >= self.retries or not self.budget.take(monotonic()):
            return False
        forwarded.spent += 1
        self.writer.add(tried[-1].at + RETRIES, 1)
        return True

    def checks_fail(self, member: Member) -> bool:
        """Whether the last health check of a server failed, whether or not it is down yet."""
        return self.backend.health is not None and health.has_failed(read_record(self.writer, member.row).health_why)

    def close(self) -> None:
        """Close all idle connections."""
        for member in self.members:
            member.pool.close()


class BackendTable:
    """All backends of a worker, by route, each made when it is first asked for: most of ten thousand never are."""

    __slots__ = ("_by_row", "_changes", "_config", "_context", "_made", "_seen", "_sweeper", "_timed", "writer")

    def __init__(self, config: Config, sweeper: DeadlineSweeper, context: BackendContext) -> None:
        self._config = config
        self._sweeper = sweeper
        self._context = context
        self.writer = context.writer
        self.writer.moment = monotonic()
        self._changes = context.writer.changes
        self._seen: list[int] = []
        context.writer.changed_since(self._seen)
        self._timed: set[BackendRuntime] = set()
        """Backends whose members change by time alone."""
        self._made: dict[str, BackendRuntime] = {}
        self._by_row: dict[int, BackendRuntime] = {}

    def __getitem__(self, route: str) -> BackendRuntime:
        """The backend of a route as the configuration writes it; raises ``KeyError``."""
        upstream = self._made.get(route)
        if upstream is None:
            backend = self._config.backends[route]
            upstream = BackendRuntime(route, backend, self._config, self._sweeper, self._context, self._timed)
            self._made[route] = upstream
            self._note(upstream)
        return upstream

    def of(self, match: Match) -> BackendRuntime:
        """The backend of a rule that wins its first request in this worker, for which it becomes the payload."""
        match.payload = upstream = self[match.key]
        return upstream

    def _note(self, upstream: BackendRuntime) -> None:
        for member in upstream.members:
            self._by_row[member.row] = self._by_row[member.parent] = upstream

    def tick(self) -> None:
        """Refresh backends whose servers other processes have changed: to be called every `TICK`."""
        self.writer.moment = monotonic()
        now = time.monotonic_ns()
        for upstream in [one for one in self._timed if now >= one.again]:
            upstream.refresh(now)
        changes = self.writer.changes
        if changes == self._changes:
            return
        self._changes = changes
        rows = self.writer.changed_since(self._seen)
        concerned = self._made.values() if rows is None else {self._by_row[row] for row in rows & self._by_row.keys()}
        for upstream in concerned:
            upstream.refresh(now)

    def retry_waits(self) -> int:
        """Requests that have waited for a server that takes connections, since the worker started."""
        return sum([backend.retry_queue.entered for backend in self._made.values()])

    def set_members(self, route: str, address: str, found: Iterable[ResolvedEndpoint]) -> None:
        """Use these addresses for a server that is given by name, also in a backend that is made later."""
        self._context.resolved[route, address] = list(found)
        upstream = self._made.get(route)
        if upstream is not None:
            upstream.set_members(address, self._context.resolved[route, address])
            self._note(upstream)

    def longest_idle(self) -> ConnectionPool | None:
        """The pool whose idle connection has been idle longest; None when there is none."""
        pools: list[ConnectionPool] = [member.pool for upstream in self._made.values() for member in upstream.members]
        longest = min(pools, key=lambda pool: pool.idle_since(), default=None)
        return longest if longest is not None and longest.idle_since() != NEVER else None

    def close(self) -> None:
        """Close all idle connections."""
        for upstream in self._made.values():
            upstream.close()


def _bounds(backend: Backend, config: Config) -> BackendProtocolLimits:
    return BackendProtocolLimits(config.limits, backend.timeouts, backend.buffer)
