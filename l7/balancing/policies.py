"""Which server of a backend gets the next request.

A policy gets the usable members whenever they change (`arrange`), and picks, for each attempt of each request, one that
this request has not tried yet. ``tests/conformance.py`` holds what every policy must pass.

`Member.share` is the effective weight and never 0. Each worker keeps turns of its own, in exact cycles that begin at a
random place; requests in flight are counted over all workers.

Hot: 270 instructions a pick by turns. All derive from `Policy`, so that a compiled caller reaches them by a pointer.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Collection, Sequence
from functools import reduce
from math import gcd

from l7.balancing.hashring import ring
from l7.balancing.members import Member

LONGEST_CYCLE = 16 * 1024
"""The most turns in a cycle; shares that would need more are rounded."""
DRAWS = 8
"""Attempts to draw a second, different member."""
BOUND = 1.25
"""How far above its part of all requests in flight a member may be that a key maps to."""
SLACK = 4
"""Requests in flight a member may always have, whatever `BOUND` says."""


class Policy:
    """Picks a member for one attempt of one request."""

    __slots__ = ()

    def arrange(self, members: Sequence[Member]) -> None:
        """Pick among these members from now on, by the shares that they have now."""
        raise NotImplementedError

    def pick(self, tried: Collection[Member], key: int = 0) -> Member | None:
        """Return a member that is not among ``tried``; ``None`` when there is none left.

        ``key`` is a 64-bit hash that is equal for requests that belong together.
        """
        raise NotImplementedError


def cycle(members: Sequence[Member]) -> list[Member]:
    """The turns of smooth weighted round-robin: each member as often as its share, evenly spread."""
    shares = [member.share for member in members]
    total = sum(shares)
    if not total:
        return []
    divisor = reduce(gcd, shares)
    if total // divisor > LONGEST_CYCLE:
        shares = [max(1, share * LONGEST_CYCLE // total) for share in shares]
        divisor = reduce(gcd, shares)
    shares = [share // divisor for share in shares]
    if max(shares) == 1:
        return list(members)
    total = sum(shares)
    credit = [0] * len(shares)
    turns = []
    for _ in range(total):
        for place, share in enumerate(shares):
            credit[place] += share
        best = credit.index(max(credit))
        credit[best] -= total
        turns.append(members[best])
    return turns


class RoundRobin(Policy):
    """Smooth weighted round-robin, as in nginx: one member after the other, each as often as its share says.

    The first turn is random, so that workers started together do not all begin with the first server. A retry takes a
    turn as a first attempt does, so the requests of a dead server are spread evenly, too. A server that stops answering
    is skipped as long as others answer: a handful of requests wait for it and not all of them.
    """

    __slots__ = ("_next", "_turns")

    def __init__(self) -> None:
        self._turns: list[Member] = []
        self._next = 0

    def arrange(self, members: Sequence[Member]) -> None:
        """Compute the turns."""
        self.begin(members, random.randrange(1 << 30))

    def begin(self, members: Sequence[Member], start: int) -> None:
        """As `arrange`, beginning with turn ``start``."""
        self._turns = cycle(members)
        self._next = start % len(self._turns) if self._turns else 0

    def pick(self, tried: Collection[Member], key: int = 0) -> Member | None:
        """Return the next member in turn, skipping those already tried for this request."""
        turns = self._turns
        count = len(turns)
        silent = -1
        for _ in range(count):
            turn = self._next
            self._next = turn + 1 if turn + 1 < count else 0
            member = turns[turn]
            if not tried or member not in tried:
                if not member.is_silent():
                    return member
                if silent < 0:
                    silent = turn
        if silent < 0:
            return None
        self._next = silent + 1 if silent + 1 < count else 0
        return turns[silent]

    def __repr__(self) -> str:
        return f"<RoundRobin {self._next} of {len(self._turns)}>"


class LeastRequests(Policy):
    """The member with the fewest requests in flight for its share, over all workers; in turn among equals."""

    __slots__ = ("_members", "_turns")

    def __init__(self) -> None:
        self._members: tuple[Member, ...] = ()
        self._turns = RoundRobin()

    def arrange(self, members: Sequence[Member]) -> None:
        """Set the members and compute the turns."""
        self._members = tuple(members)
        self._turns.arrange(members)

    def pick(self, tried: Collection[Member], key: int = 0) -> Member | None:
        """Return the least busy member."""
        best = self._turns.pick(tried)
        if best is None:
            return None
        least = best.load()
        if not least:
            return best
        for member in self._members:
            if member is best or member in tried:
                continue
            load = member.load()
            if load * best.share < least * member.share:
                best, least = member, load
        return best


class TwoChoices(Policy):
    """The less busy of two random members, weighted by their shares: nearly as good as comparing all."""

    __slots__ = ("_state", "_turns")

    def __init__(self, seed: int | None = None) -> None:
        self._turns: list[Member] = []
        self._state = random.getrandbits(64) if seed is None else seed

    def arrange(self, members: Sequence[Member]) -> None:
        """Make the list to draw from: each member as often as its share."""
        self._turns = cycle(members)

    def pick(self, tried: Collection[Member], key: int = 0) -> Member | None:
        """Draw two members, return the one with fewer requests for its share."""
        first = self._draw(tried, None)
        if first is None:
            return None
        second = self._draw(tried, first)
        if second is None or first.load() * second.share <= second.load() * first.share:
            return first
        return second

    def _draw(self, tried: Collection[Member], other: Member | None) -> Member | None:
        """A random member that is neither tried nor ``other``; None when `DRAWS` draws found none."""
        turns = self._turns
        count = len(turns)
        if not count:
            return None
        for _ in range(DRAWS):
            # Knuth's MMIX generator: one multiplication, and its upper half is random enough.
            self._state = (self._state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
            member = turns[(self._state >> 33) % count]
            if member is not other and member not in tried:
                return member
        for member in turns:
            if member is not other and member not in tried:
                return member
        return None


class First(Policy):
    """The first member in the order of the configuration; the others get what it has no room for or has failed."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: tuple[Member, ...] = ()

    def arrange(self, members: Sequence[Member]) -> None:
        """Set the members, in order."""
        self._members = tuple(members)

    def pick(self, tried: Collection[Member], key: int = 0) -> Member | None:
        """Return the first that was not tried."""
        for member in self._members:
            if member not in tried:
                return member
        return None


class Hash(Policy):
    """Consistent hashing with bounded loads: the same member for the same key.

    A member with more than `BOUND` times its part of all requests in flight is skipped, so that a popular key cannot
    overload a server.
    """

    __slots__ = ("_members", "_owners", "_points", "_total")

    def __init__(self) -> None:
        self._members: tuple[Member, ...] = ()
        self._points: list[int] = []
        self._owners: list[Member] = []
        self._total = 0

    def arrange(self, members: Sequence[Member]) -> None:
        """Compute the ring."""
        self._members = tuple(members)
        self._total = sum([member.share for member in members])
        self._points, self._owners = ring(members)

    def pick(self, tried: Collection[Member], key: int = 0) -> Member | None:
        """Return the first member behind the key with room; when none has room, any that was not tried."""
        count = len(self._owners)
        if not count:
            return None
        load = 1
        for member in self._members:
            load += member.load()
        start = bisect(self._points, key)
        fallback: Member | None = None
        passed: set[Member] = set()
        for step in range(count):
            member = self._owners[(start + step) % count]
            if member in passed or member in tried:
                continue
            if (member.load() + 1 - SLACK) * self._total <= BOUND * load * member.share:
                return member
            fallback = fallback or member
            passed.add(member)
            if len(passed) == len(self._members):
                break
        return fallback


POLICIES: dict[str, Callable[[], Policy]] = {
    "round-robin": RoundRobin,
    "least-requests": LeastRequests,
    "two-choices": TwoChoices,
    "hash": Hash,
    "first": First,
}
"""Every value of ``balance``."""
