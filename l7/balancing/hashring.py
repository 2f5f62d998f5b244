"""Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2017): the ring of the policy ``hash``.

Each member has points on a ring, the more the greater its share, and a key goes to the next point after it. A member
that comes or goes moves only its own keys. One that has more than 1.25 times its part of what is in flight is passed
by, so that a key that many ask for cannot drown a server.
"""

from __future__ import annotations

import hashlib
import zlib
from bisect import bisect
from collections.abc import Collection, Sequence

from l7.balancing.members import Member
from l7.compiled import take_over

POINTS = 160
"""Points of the member with the greatest share."""
BOUND = 1.25
"""How far above its part of the load a member may be."""
SLACK = 4
"""So many requests at a time are never too many."""


def key_of(data: bytes) -> int:
    """The number of 64 bits that stands for ``data``: the same in every process and after every start."""
    mixed = zlib.crc32(data) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    mixed = (mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    return mixed ^ (mixed >> 32)


class Hash:
    """Always the same member for the same key."""

    __slots__ = ("_members", "_owners", "_points", "_total")

    def __init__(self) -> None:
        self._members: tuple[Member, ...] = ()
        self._points: list[int] = []
        self._owners: list[Member] = []
        self._total = 0

    def arrange(self, members: Sequence[Member]) -> None:
        """Make the ring."""
        self._members = tuple(members)
        self._total = sum(member.share for member in members)
        most = max((member.share for member in members), default=0)
        points: dict[int, Member] = {}
        for member in members:
            for number in range(max(1, round(POINTS * member.share / most))):
                digest = hashlib.blake2b(f"{member.label}#{number}".encode(), digest_size=8).digest()
                points.setdefault(int.from_bytes(digest, "big"), member)
        self._points = sorted(points)
        self._owners = [points[point] for point in self._points]

    def pick(self, tried: Collection[Member], key: int = 0) -> Member | None:
        """Give the first member behind the key that may have more; any that was not tried when none may."""
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


take_over(globals())
