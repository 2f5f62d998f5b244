"""Which server of a backend gets the next request.

A policy is handed the members of a backend once and then asked, for each try of each request, for one that this request
has not tried yet. Members are whatever the caller made them: a policy only hands them back. Each worker has its own
policies and knows nothing of the others' choices. ``tests/conformance.py`` holds what every policy must pass.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Generic, Protocol, TypeVar

from l7.compiled import take_over

M = TypeVar("M")


class Policy(Protocol[M]):
    """Picks a member for one try of one request."""

    def pick(self, tried: Collection[M]) -> M | None:
        """Give a member that is not among ``tried``; ``None`` when there is none left."""


class RoundRobin(Generic[M]):
    """One member after the other, uniform over all of them.

    The first one is drawn by lot, so that many workers started together do not all begin with the first server.
    A retry moves the turn on as a first try does: what a dead server leaves is shared out evenly, too.
    """

    __slots__ = ("_members", "_next")

    def __init__(self, members: Sequence[M], start: int | None = None) -> None:
        self._members = tuple(members)
        count = len(self._members)
        self._next = (random.randrange(count) if start is None else start % count) if count else 0

    def pick(self, tried: Collection[M]) -> M | None:
        """Give the next member in turn, stepping over those already tried for this request."""
        members = self._members
        count = len(members)
        for _ in range(count):
            turn = self._next
            self._next = turn + 1 if turn + 1 < count else 0
            member = members[turn]
            if not tried or member not in tried:
                return member
        return None

    def __repr__(self) -> str:
        return f"<RoundRobin {self._next} of {len(self._members)}>"


take_over(globals())
