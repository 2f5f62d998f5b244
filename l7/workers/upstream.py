"""A backend as one worker runs it: its members with their connections, who of them can be picked, and by what policy.

Hot: most backends need no more for a request than the policy's pick; `Upstream.plain` says so. What can be picked is
worked out when something has changed: our own failures at once, what others found out within `Upstreams.tick`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from l7.balancing import health
from l7.balancing.budget import Budget
from l7.balancing.cells import IN_FLIGHT, REACHED_AT, RETRIES, ROW, UNREACHED_AT
from l7.balancing.members import Member
from l7.balancing.names import Endpoint
from l7.balancing.passive import Passive, count_failure
from l7.balancing.policies import POLICIES, Policy
from l7.balancing.standing import Rules, Standing, assess, facts, last_resort
from l7.clock import monotonic
from l7.config.addresses import Address
from l7.config.backends import merged
from l7.config.schema import Backend, Config, Server
from l7.errors import CONNECT_REFUSED, CONNECT_TIMEOUT, NO_SERVER, ProxyError, Retry, Side
from l7.telemetry.events import named
from l7.workers.bounds import Bounds
from l7.workers.pool import Pool
from l7.workers.retryqueue import RetryQueue
from l7.workers.selection import Selection
from l7.workers.shared import Shared
from l7.workers.stream import NEVER, Stream, Sweeper

_UNREACHED = frozenset((CONNECT_REFUSED, CONNECT_TIMEOUT))
"""What says that a server takes no connections now."""
_NOTHING_SENT = frozenset((Retry.NOT_REACHED, Retry.NOTHING_SENT))
TICK = 0.05
"""Seconds within which a worker notices what others found out."""


class Upstream:
    """One backend."""

    __slots__ = (
        "_arranged",
        "_given",
        "_passive",
        "_rules",
        "_servers",
        "_shared",
        "_sweeper",
        "_timed",
        "again",
        "at",
        "available",
        "backend",
        "bounds",
        "budget",
        "lane",
        "last_resort",
        "limit",
        "members",
        "plain",
        "policy",
        "retries",
        "retry_queue",
        "route",
        "row",
        "selection",
        "total",
        "waiting",
    )

    def __init__(
        self, route: str, backend: Backend, config: Config, sweeper: Sweeper, shared: Shared, timed: set[Upstream]
    ) -> None:
        self.route = route
        self.backend = backend
        self.lane = shared.lane
        self.row = shared.rows[(route,)]
        self.at = self.row * ROW
        self.retries = backend.retries
        self.limit = backend.max_connections or 0
        self.total = backend.timeouts.total or 0.0
        self.bounds = _bounds(backend, config)
        self.policy: Policy = POLICIES[backend.balance]()
        self.budget = Budget(shared.lane, self.row, backend.retry_budget, monotonic())
        self.available: tuple[Member, ...] = ()
        """Among whom the policy picks."""
        self.last_resort: tuple[Member, ...] = ()
        """Who is asked, in this order, when those have failed a request."""
        self.again = 0
        """When this can change by itself, in nanoseconds; 0: never."""
        self.waiting: dict[Stream, tuple[Member, Any]] | None = None if backend.health is None else {}
        """What is awaited on which connection, where checks can tell that it will not come."""
        self._timed = timed
        self._shared = shared
        self._sweeper = sweeper
        self._arranged: tuple[tuple[Member, int], ...] | None = None
        self._rules = Rules.of(backend)
        self._passive = None
        if backend.ejection is not None:
            self._passive = Passive(backend.ejection, backend.panic, shared.lane, self._refresh_now)
        self._servers = merged(backend.servers)
        self._given: dict[str, list[Member]] = {address: self._first(one) for address, one in self._servers.items()}
        self.members: list[Member] = []
        self.selection = Selection(self, shared.cookie_key)
        self.retry_queue = RetryQueue(self, shared.lane, backend.retry_for)
        self.plain = True
        """Whether the policy alone decides, so that nothing has to be claimed or looked up."""
        self._take_members()

    # --- members ------------------------------------------------------------------------------------------------------

    def _first(self, server: Server) -> list[Member]:
        """The members of a server as they are known at the beginning."""
        name = (self.route, str(server.address))
        found = self._shared.resolved.get(name)
        if found is not None:
            return [self._resolved(server, one) for one in found]
        return [self._member(server, server.address, self._shared.rows[name], server.weight)]

    def _member(
        self, server: Server, address: Address, row: int, weight: int, parent: int = 0, *, reserve: bool = False
    ) -> Member:
        limit, backup = server.max_connections or 0, server.backup or reserve
        member = Member(str(address), self.lane, row, weight, limit, parent, backup=backup)
        member.pool = Pool(address, self.backend.timeouts.idle, self._sweeper, self._shared.look_up)
        return member

    def _resolved(self, server: Server, found: Endpoint) -> Member:
        parent = self._shared.rows[self.route, str(server.address)]
        weight = server.weight if found.weight < 0 else found.weight
        return self._member(server, Address(found.host, found.port), found.row, weight, parent, reserve=found.reserve)

    def set_members(self, address: str, found: Iterable[Endpoint]) -> None:
        """Use these addresses for the server ``address``: those that stay go on, those that leave finish."""
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
        """Work out anew who can be picked, from what everybody knows at ``now`` (nanoseconds)."""
        up = [member for member in self.members if member.verdict.standing is not Standing.DOWN]
        self.available, self.again = assess(self.members, self._rules, self.backend.panic, now)
        if self.again:
            self._timed.add(self)
        else:
            self._timed.discard(self)
        for member in up:
            if member.verdict.standing is Standing.DOWN:
                self._leave(member)
        arranged = tuple([(member, member.share) for member in self.available])
        if arranged != self._arranged:
            self._arranged = arranged
            self.policy.arrange(self.available)
        self.last_resort = last_resort(self.members, self.available)
        self.settle()

    def settle(self) -> None:
        """Work out anew whether the policy alone decides."""
        capped = self.limit or [member for member in self.members if member.cap]
        self.plain = not (self.selection.particular or capped or self.retry_queue.waiting)

    def _refresh_now(self) -> None:
        self.refresh(time.monotonic_ns())

    def _leave(self, member: Member) -> None:
        """Checks say that a server is down: what waits for its answer, and can, is tried on another one."""
        member.pool.close()
        if self.waiting is None or not [one for one in self.available if one.verdict.pickable]:
            return
        for server, (asked, job) in list(self.waiting.items()):
            if asked is member and job.move():
                server.close()

    # --- one request --------------------------------------------------------------------------------------------------

    def pick(self, job: Any, tried: Sequence[Member]) -> Member | None:
        """Give a request a member, which counts as busy until `release`; None when there is none left.

        Waits where it has to; raises `ProxyError` when nobody has room.
        """
        if not self.plain:
            return self.selection.pick(job, tried)
        member = self.policy.pick(tried)
        if member is None:
            return self.selection.claim_last_resort(tried)
        member.begin()
        return member

    def wait(self, job: Any, failure: ProxyError | None) -> Sequence[Member]:
        """Let a request that no server has taken wait for one that does; raises the last failure when none does.

        Returns those that need not be tried, because others are known to take connections by then.
        """
        failure = failure or ProxyError(NO_SERVER, "no server can be used")
        kind = failure.kind
        waits = kind is NO_SERVER or (kind.side is Side.UPSTREAM and kind.retry in _NOTHING_SENT)
        if not waits or not self.backend.retry_for or not [one for one in self.members if one.verdict.usable]:
            raise failure
        self.retry_queue.wait(job, failure)
        self.budget.pass_by()
        closed = [member for member in self.members if member.unreachable]
        return closed if len(closed) < len(self.members) else ()

    def release(self, member: Member) -> None:
        """A member has done with a request."""
        member.end()
        if self.plain:
            return
        if self.limit:
            self.lane.add(self.at + IN_FLIGHT, -1)
        if self.selection.queue.waiting:
            self.selection.queue.move()

    def answered(self, member: Member, status: int) -> None:
        """A request was answered whole."""
        if member.answered(status):
            self._look(member, status)

    def _look(self, member: Member, status: int) -> None:
        if status < 500:
            self.lane.changed(member.row)  # it has proven itself
            self._refresh_now()
        elif self._passive is not None:
            self._act(member, self._passive.answered(member, status, self.available))

    def reached(self, member: Member) -> None:
        """A connection was made to a member of which it is known that it takes none."""
        self.lane.put(member.at + REACHED_AT, time.monotonic_ns())
        self.lane.changed(member.row)
        self._refresh_now()

    def failed(self, member: Member, failure: ProxyError) -> None:
        """A request was not."""
        if failure.kind.side is not Side.DOWNSTREAM:
            self._shared.debug(f"{self.route}: server {member.label}: {failure.reason}")
        if failure.kind in _UNREACHED and not member.unreachable:
            self.lane.put(member.at + UNREACHED_AT, time.monotonic_ns())
            self.lane.changed(member.row)
            self._refresh_now()
        if self._passive is not None:
            self._act(member, self._passive.failed(member, failure, self.available))
        else:
            count_failure(member, failure)

    def _act(self, member: Member, ejected: str) -> None:
        """A member was ejected, or not."""
        if ejected:
            self._refresh_now()
            words = f"{self.route}: {ejected}"
            self._shared.report(named("server.ejected", words, backend=self.route, server=member.label))

    def may_retry(self, job: Any, failure: ProxyError, tried: Sequence[Member]) -> bool:
        """Whether a request that the last of ``tried`` has failed, and that may be sent again, is tried once more.

        A connection that was refused costs nothing. Where nobody is left, the request may wait (`wait`).
        """
        rule = failure.kind.retry
        left = [one for one in (*self.available, *self.last_resort) if one not in tried]
        if rule is Retry.NOT_REACHED:
            if left:
                self.budget.pass_by()
                self.lane.add(tried[-1].at + RETRIES, 1)
            return True
        if not left:
            return rule is Retry.NOTHING_SENT
        if job.spent >= self.retries or not self.budget.take(monotonic()):
            return False
        job.spent += 1
        self.lane.add(tried[-1].at + RETRIES, 1)
        return True

    def checks_fail(self, member: Member) -> bool:
        """Whether the last check of a server has failed, be it down already or not."""
        return self.backend.health is not None and health.has_failed(facts(self.lane, member.row).health_why)

    def close(self) -> None:
        """Close all idle connections."""
        for member in self.members:
            member.pool.close()


class Upstreams:
    """All backends of a worker, by route."""

    __slots__ = ("_by_row", "_changes", "_seen", "_timed", "by_route", "lane")

    def __init__(self, config: Config, sweeper: Sweeper, shared: Shared) -> None:
        self.lane = shared.lane
        self.lane.moment = monotonic()
        self._changes = shared.lane.changes
        self._seen: list[int] = []
        shared.lane.changed_since(self._seen)
        self._timed: set[Upstream] = set()
        """Those in which something changes by itself."""
        self.by_route: Mapping[str, Upstream] = {
            route: Upstream(route, backend, config, sweeper, shared, self._timed)
            for route, backend in config.backends.items()
        }
        self._by_row: dict[int, Upstream] = {}
        for upstream in self.by_route.values():
            self._note(upstream)

    def _note(self, upstream: Upstream) -> None:
        for member in upstream.members:
            self._by_row[member.row] = self._by_row[member.parent] = upstream

    def tick(self) -> None:
        """Look whether anybody has changed who can be picked: to be called every `TICK`."""
        self.lane.moment = monotonic()
        now = time.monotonic_ns()
        for upstream in [one for one in self._timed if now >= one.again]:
            upstream.refresh(now)
        changes = self.lane.changes
        if changes == self._changes:
            return
        self._changes = changes
        rows = self.lane.changed_since(self._seen)
        concerned = (
            self.by_route.values() if rows is None else {self._by_row[row] for row in rows & self._by_row.keys()}
        )
        for upstream in concerned:
            upstream.refresh(now)

    def set_members(self, route: str, address: str, found: Iterable[Endpoint]) -> None:
        """Use other addresses for a server that is given by name."""
        upstream = self.by_route.get(route)
        if upstream is not None:
            upstream.set_members(address, found)
            self._note(upstream)

    def longest_idle(self) -> Pool | None:
        """Whose idle connection has waited longest for a request; None when there is none."""
        pools: list[Pool] = [member.pool for upstream in self.by_route.values() for member in upstream.members]
        longest = min(pools, key=lambda pool: pool.idle_since(), default=None)
        return longest if longest is not None and longest.idle_since() != NEVER else None

    def close(self) -> None:
        """Close all idle connections."""
        for upstream in self.by_route.values():
            upstream.close()


def _bounds(backend: Backend, config: Config) -> Bounds:
    timeouts = backend.timeouts
    return Bounds(
        timeouts.connect,
        timeouts.response,
        timeouts.idle,
        config.timeouts.write,
        config.limits.response_head,
        config.limits.response_headers,
        NEVER if config.timeouts.half_closed is None else config.timeouts.half_closed,
    )
