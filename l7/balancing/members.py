"""A member of a backend: one address of one server, as one worker knows it. Policies pick among members.

Hot: what a request changes here are additions to the worker's own cells. Whatever follows from settings and from what
is known of the server (`verdict`, ``share``, ``cap``) is worked out when that changes, not when a request comes.
"""

from __future__ import annotations

from typing import Any

from l7.balancing.cells import ANSWERED_5XX, CONNECTS, GOOD, IN_FLIGHT, LANES, REQUESTS, ROW
from l7.balancing.lane import Lane
from l7.balancing.standing import STEPS, Standing, Verdict

SILENT = 3
SILENT_FOR = 0.25
"""After so many requests and so many seconds in which a server has not begun to answer any of them, others are
preferred that do."""

UP = Verdict(Standing.UP, 1)


# Numbers of cells as the compiler's own integers: see the .pxd.
_ANSWERED_5XX = ANSWERED_5XX
_CONNECTS = CONNECTS
_GOOD = GOOD
_IN_FLIGHT = IN_FLIGHT
_REQUESTS = REQUESTS
_ROW = ROW


class Member:
    """A server, or one of the addresses that its name stands for.

    :param lane: the worker's view of the ledger, in which ``row`` is the member's.
    :param parent: the row of the name that it is an address of.
    :param limit: the most requests that it may have at a time; 0 for any number.
    """

    __slots__ = (
        "asked", "at", "backup", "cap", "label", "lane", "limit", "parent", "pool", "row", "share", "trial",
        "unheard", "unreachable", "verdict", "weight",
    )  # fmt: skip

    def __init__(
        self,
        label: str,
        lane: Lane,
        row: int,
        weight: int = 1,
        limit: int = 0,
        parent: int = 0,
        *,
        backup: bool = False,
    ) -> None:
        self.label = label
        self.lane = lane
        self.row = row
        self.parent = parent
        self.weight = weight
        self.backup = backup
        self.limit = limit
        self.at = row * _ROW
        self.pool: Any = None
        """Its connections: the caller's business."""
        self.verdict = UP
        self.share = weight * STEPS
        """Its part of the requests, as against that of others."""
        self.trial = False
        """Whether the next good answer proves that it has recovered."""
        self.unreachable = False
        """Whether it is known to take no connections now."""
        self.unheard = 0
        """How many requests this worker has given it since it last began to answer one."""
        self.asked = 0.0
        """When the first of them was (`Lane.moment`)."""
        self.cap = limit
        """As ``limit``, but 1 for who has to prove itself."""

    def __repr__(self) -> str:
        return f"<Member {self.label}: {self.verdict.standing.value}, {self.share}>"

    def load(self) -> int:
        """The requests it has now, over all workers."""
        return self.lane.total(self.at + _IN_FLIGHT)

    def begin(self) -> None:
        """It is given a request."""
        self._ask()
        self.lane.add(self.at + _IN_FLIGHT, 1)
        self.lane.add(self.at + _REQUESTS, 1)

    def claim(self) -> bool:
        """As `begin`, if that leaves it within its cap, over all workers; returns whether it does.

        Two workers that claim the last place at once may both be refused, and never both be given it.
        """
        self.lane.add(self.at + _IN_FLIGHT, 1)
        if self.cap and self.load() > self.cap:
            self.lane.add(self.at + _IN_FLIGHT, -1)
            return False
        self.lane.add(self.at + _REQUESTS, 1)
        self._ask()
        return True

    def _ask(self) -> None:
        if not self.unheard:
            self.asked = self.lane.moment
        self.unheard += 1

    def is_silent(self) -> bool:
        """Whether it owes this worker an answer to each of the last few requests."""
        if self.unheard < SILENT or self.lane.moment - self.asked < SILENT_FOR:
            return False
        return self.lane.get(self.at + _IN_FLIGHT) >= SILENT

    def end(self) -> None:
        """It has one request less."""
        self.lane.add(self.at + _IN_FLIGHT, -1)

    def connected(self) -> None:
        """A connection to it was opened."""
        self.lane.add(self.at + _CONNECTS, 1)

    def answered(self, status: int) -> bool:
        """It has answered a request whole; returns whether somebody has to look at that."""
        if status >= 500:
            self.lane.add(self.at + _ANSWERED_5XX, 1)
            return True
        self.lane.add(self.at + _GOOD, 1)
        return self.trial


def alone(label: str, weight: int = 1, *, lanes: int = 1, backup: bool = False) -> Member:
    """A member with a ledger of its own, for those who only want to see a policy at work."""
    cells = memoryview(bytearray(2 * _ROW * lanes * 8)).cast("q")
    cells[LANES] = lanes
    return Member(label, Lane(cells, 2 * _ROW, 0), 1, weight, backup=backup)
