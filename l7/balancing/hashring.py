"""Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2017): the ring of the policy ``hash``.

Each member has points on a ring in proportion to its share, and a key goes to the next point after it. A member that
joins or leaves moves only its own keys.

Hot with ``balance: hash``: `key_of` is worked out for each request there.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

from l7.balancing.members import Member

POINTS = 160
"""Points of the member with the largest share."""


def key_of(data: bytes) -> int:
    """The 64-bit hash of ``data``: the same in every process and after every start."""
    mixed = zlib.crc32(data) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    mixed = (mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    return mixed ^ (mixed >> 32)


def ring(members: Sequence[Member]) -> tuple[list[int], list[Member]]:
    """The points on the ring in order, and the member of each."""
    most = max([member.share for member in members], default=0)
    points: dict[int, Member] = {}
    for member in members:
        for number in range(max(1, round(POINTS * member.share / most))):
            digest = hashlib.blake2b(f"{member.label}#{number}".encode(), digest_size=8).digest()
            points.setdefault(int.from_bytes(digest, "big"), member)
    places = sorted(points)
    return places, [points[place] for place in places]
