"""Picking a member where the policy alone does not decide: sticky cookies, hash keys, limits, queues.

A worker claims a request in flight by raising its own count and adding up the counts of all; where the sum exceeds the
limit it takes its count back. New requests do not overtake queued ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from l7.balancing.hashring import key_of
from l7.balancing.members import Member
from l7.balancing.policies import Policy
from l7.balancing.server_state import ServerState
from l7.balancing.sticky import Stickiness
from l7.config.schema import Backend
from l7.errors import QUEUE_FULL, ProxyError
from l7.http.cookies import cookies_of, values_of
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import IN_FLIGHT, OVERFLOWED, QUEUED
from l7.telemetry.recorder.layout import LAST_RESORT, POLICY, STICKY
from l7.workers.upstream.queue import RequestQueue
from l7.workers.upstream.retry_queue import RetryQueue

STICKS = frozenset((ServerState.UP, ServerState.DRAIN))
"""States of a server in which it still gets the clients whose cookie names it."""


class SelectableBackend(Protocol):
    """The backend whose members are picked."""

    route: str
    backend: Backend
    writer: CounterWriter
    row: int
    at: int
    limit: int
    policy: Policy
    available: tuple[Member, ...]
    last_resort: tuple[Member, ...]
    retry_queue: RetryQueue


class MemberSelector:
    """Picks the members of one backend, by cookie, key, limit and policy."""

    __slots__ = ("_hash_kind", "_hash_name", "_sticky", "_upstream", "particular", "queue")

    def __init__(self, upstream: SelectableBackend, cookie_key: bytes) -> None:
        backend = upstream.backend
        self._upstream = upstream
        kind, _, name = backend.hash_key.partition(":") if backend.balance == "hash" else ("", "", "")
        self._hash_kind = kind
        self._hash_name = name.encode("ascii")
        self._sticky = None
        if backend.sticky is not None:
            self._sticky = Stickiness(backend.sticky, upstream.route, cookie_key)
        self.queue = RequestQueue(self, upstream.writer, upstream.row, backend.queue)
        self.particular = bool(kind) or self._sticky is not None
        """Whether the pick depends on the request: a cookie or a hash key."""

    def arrange(self, members: Sequence[Member]) -> None:
        """Set the members that cookies may name."""
        if self._sticky is not None:
            self._sticky.arrange(members)

    def pick(self, forwarded: Any, tried: Sequence[Member]) -> Member | None:
        """Give a request a member, after waiting for one if need be; raises `ProxyError` when none has room.

        While others wait in the retry queue, it waits behind them.
        """
        upstream = self._upstream
        if upstream.retry_queue.waiting and not forwarded.released and not tried:
            upstream.retry_queue.wait(forwarded)
        if not self._others_wait():
            member = self.claim(forwarded, tried)
            if member is not None:
                return member
        if (
            self._all_tried(tried)
            and not _untried(upstream.last_resort, tried)
            and self._stuck(forwarded, tried) is None
        ):
            return None
        if forwarded.released:
            upstream.retry_queue.settled(forwarded)
        return self._wait(forwarded, tried)

    def _all_tried(self, tried: Sequence[Member]) -> bool:
        return not _untried(self._upstream.available, tried)

    def _others_wait(self) -> bool:
        upstream = self._upstream
        return bool(upstream.writer.total(upstream.at + QUEUED))

    def _wait(self, forwarded: Any, tried: Sequence[Member]) -> Member:
        upstream = self._upstream
        if upstream.writer.total(upstream.at + QUEUED) >= upstream.backend.queue.size:
            upstream.writer.add(upstream.at + OVERFLOWED, 1)
            raise ProxyError(QUEUE_FULL, f"{upstream.backend.queue.size} are waiting already")
        return self.queue.wait(forwarded, tried)

    def claim(self, forwarded: Any, tried: Sequence[Member]) -> Member | None:
        """Give a request a member that has room now; None when none has."""
        upstream = self._upstream
        if not self._claim_backend():
            return None
        member = self._claim_stuck(forwarded, tried)
        forwarded.why = POLICY if member is None else STICKY
        if member is None:
            member = self._claim_picked(forwarded, tried)
        if member is None and self._all_tried(tried):
            member = self.claim_last_resort(forwarded, tried)
        if member is None:
            if upstream.limit:
                upstream.writer.add(upstream.at + IN_FLIGHT, -1)
        elif self._sticky is not None:
            forwarded.cookie = self._sticky.field(member, self._cookie(forwarded))
        return member

    def _claim_backend(self) -> bool:
        upstream = self._upstream
        if not upstream.limit:
            return True
        upstream.writer.add(upstream.at + IN_FLIGHT, 1)
        if upstream.writer.total(upstream.at + IN_FLIGHT) > upstream.limit:
            upstream.writer.add(upstream.at + IN_FLIGHT, -1)
            return False
        return True

    def _claim_stuck(self, forwarded: Any, tried: Sequence[Member]) -> Member | None:
        member = self._stuck(forwarded, tried)
        return member if member is not None and member.claim() else None

    def _stuck(self, forwarded: Any, tried: Sequence[Member]) -> Member | None:
        """The member that the client's cookie names, if it may still be used: also one that drains."""
        if self._sticky is None:
            return None
        member = self._sticky.member(self._cookie(forwarded))
        if member is None or member in tried or member.verdict.state not in STICKS:
            return None
        return member

    def _claim_picked(self, forwarded: Any, tried: Sequence[Member]) -> Member | None:
        policy, key = self._upstream.policy, self._key(forwarded)
        full = list(tried)
        while True:
            member = policy.pick(full, key)
            if member is None or member.claim():
                return member
            full.append(member)

    def claim_last_resort(self, forwarded: Any, tried: Sequence[Member]) -> Member | None:
        """Give a request that all available members have failed another one with room (`BackendRuntime.last_resort`).

        An ejected member gets one request at a time as long as there is another one to try.
        """
        rest = _untried(self._upstream.last_resort, tried)
        waiting = [one for one in rest[:-1] if one.verdict.state is ServerState.EJECTED and one.load()]
        for member in [*(one for one in rest if one not in waiting), *waiting]:
            if member.claim():
                forwarded.why = LAST_RESORT
                return member
        return None

    def _cookie(self, forwarded: Any) -> bytes:
        """The first sticky cookie that names one of the members; clients also send those of other paths."""
        assert self._sticky is not None
        for cookie in cookies_of(forwarded.head.lines, self._sticky.name):
            if self._sticky.member(cookie) is not None:
                return cookie
        return b""

    def _key(self, forwarded: Any) -> int:
        """The key of the policy ``hash``: 64 bits."""
        kind = self._hash_kind
        if not kind:
            return 0
        if kind == "target":
            return key_of(forwarded.head.path)
        if kind == "header":
            name = self._hash_name
            found = forwarded.head.authority if name == b"host" else next(values_of(forwarded.head.lines, name), b"")
        else:
            found = next(cookies_of(forwarded.head.lines, self._hash_name), b"") if kind == "cookie" else b""
        return key_of(found or forwarded.exchange.client.encode())


def _untried(members: Sequence[Member], tried: Sequence[Member]) -> list[Member]:
    return [member for member in members if member not in tried]
