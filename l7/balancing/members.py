"""A member of a backend: one address of one server, as one worker knows it. Policies pick among members.

Hot: what a request changes here are additions to the worker's own cells. Whatever follows from settings and from what
is known of the server (`verdict`, ``share``, ``effective_limit``) is worked out when that changes, not when a request
comes.
"""

from __future__ import annotations

from typing import Any

from l7.balancing.server_state import STEPS, ServerState, ServerStatus
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import ANSWERED_5XX, CONNECTS, GOOD, IN_FLIGHT, REQUESTS, ROW, WRITERS

SILENT = 3
SILENT_FOR = 0.25
"""After so many requests and so many seconds in which a server has not begun to answer any of them, others are
preferred that do."""

UP = ServerStatus(ServerState.UP, 1)


# Numbers of cells as the compiler's own integers: see the .pxd.
_ANSWERED_5XX = ANSWERED_5XX
_CONNECTS = CONNECTS
_GOOD = GOOD
_IN_FLIGHT = IN_FLIGHT
_REQUESTS = REQUESTS
_ROW = ROW


class Member:
    """A server, or one of the addresses that its name stands for.

    :param lane: the worker's view of the shared memory, in which ``row`` is the member's.
    :param parent: the row of the name that it is an address of.
    :param limit: the most requests that it may have at a time; 0 for any number.
    """

    __slots__ = (
        "asked",
        "at",
        "backup",
        "effective_limit",
        "half_open",
        "label",
        "limit",
        "parent",
        "pool",
        "row",
        "share",
        "unanswered",
        "unreachable",
        "verdict",
        "weight",
        "writer",
    )  # fmt: skip

    def __init__(
        self,
        label: str,
        writer: CounterWriter,
        row: int,
        weight: int = 1,
        limit: int = 0,
        parent: int = 0,
        *,
        backup: bool = False,
    ) -> None:
        self.label = label
        self.writer = writer
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
        self.half_open = False
        """Whether the next good answer proves that it has recovered."""
        self.unreachable = False
        """Whether it is known to take no connections now."""
        self.unanswered = 0
        """How many requests this worker has given it since it last began to answer one."""
        self.asked = 0.0
        """When the first of them was (`CounterWriter.moment`)."""
        self.effective_limit = limit
        """As ``limit``, but 1 for who has to prove itself."""

    def __repr__(self) -> str:
        return f"<Member {self.label}: {self.verdict.state.value}, {self.share}>"

    def load(self) -> int:
        """The requests it has now, over all workers."""
        return self.writer.total(self.at + _IN_FLIGHT)

    def begin(self) -> None:
        """It is given a request."""
        self._ask()
        self.writer.add(self.at + _IN_FLIGHT, 1)
        self.writer.add(self.at + _REQUESTS, 1)

    def claim(self) -> bool:
        """As `begin`, if that leaves it within its cap, over all workers; returns whether it does.

        Two workers that claim the last place at once may both be refused, and never both be given it.
        """
        self.writer.add(self.at + _IN_FLIGHT, 1)
        if self.effective_limit and self.load() > self.effective_limit:
            self.writer.add(self.at + _IN_FLIGHT, -1)
            return False
        self.writer.add(self.at + _REQUESTS, 1)
        self._ask()
        return True

    def _ask(self) -> None:
        if not self.unanswered:
            self.asked = self.writer.moment
        self.unanswered += 1

    def is_silent(self) -> bool:
        """Whether it owes this worker an answer to each of the last few requests."""
        if self.unanswered < SILENT or self.writer.moment - self.asked < SILENT_FOR:
            return False
        return self.writer.get(self.at + _IN_FLIGHT) >= SILENT

    def end(self) -> None:
        """It has one request less."""
        self.writer.add(self.at + _IN_FLIGHT, -1)

    def connected(self) -> None:
        """A connection to it was opened."""
        self.writer.add(self.at + _CONNECTS, 1)

    def answered(self, status: int) -> bool:
        """It has answered a request whole; returns whether somebody has to look at that."""
        if status >= 500:
            self.writer.add(self.at + _ANSWERED_5XX, 1)
            return True
        self.writer.add(self.at + _GOOD, 1)
        return self.half_open


def alone(label: str, weight: int = 1, *, writers: int = 1, backup: bool = False) -> Member:
    """A member with a shared memory of its own, for those who only want to see a policy at work."""
    cells = memoryview(bytearray(2 * _ROW * writers * 8)).cast("q")
    cells[WRITERS] = writers
    return Member(label, CounterWriter(cells, 2 * _ROW, 0), 1, weight, backup=backup)
