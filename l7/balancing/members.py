"""A member of a backend: one address of one server, as one worker sees it. Policies pick among members.

Hot: a request adds to the worker's own cells. What follows from settings and from the server's state (``verdict``,
``share``, ``effective_limit``) is computed when these change, not for a request.
"""

from __future__ import annotations

from typing import Any

from l7.balancing.server_state import STEPS, ServerState, ServerStatus
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import ANSWERED_5XX, CONNECTS, GOOD, IN_FLIGHT, REQUESTS, TILE, WRITERS, place

SILENT = 3
SILENT_FOR = 0.25
"""Seconds without the beginning of an answer after which, with `SILENT` requests unanswered, other members are
preferred."""

UP = ServerStatus(ServerState.UP, 1)


# Numbers of cells as the compiler's own integers: see the .pxd.
_ANSWERED_5XX = ANSWERED_5XX
_CONNECTS = CONNECTS
_GOOD = GOOD
_IN_FLIGHT = IN_FLIGHT
_REQUESTS = REQUESTS


class Member:
    """A server, or one of the addresses that its name resolves to.

    :param lane: the worker's writer of the shared memory, in which ``row`` is the member's.
    :param limit: the most requests in flight (``max-connections``); 0 for any number.
    """

    __slots__ = (
        "asked",
        "at",
        "authority",
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
        *,
        backup: bool = False,
    ) -> None:
        self.label = label
        self.writer = writer
        self.row = row
        self.parent = 0
        """The row of the name that it is an address of; 0 for none."""
        self.weight = weight
        self.backup = backup
        self.limit = limit
        self.at = place(row)
        self.authority = b""
        """What ``Host`` names it by, where servers are to get their own."""
        self.pool: Any = None
        """The member's connection pool; set and used by the worker."""
        self.verdict = UP
        self.share = weight * STEPS
        """The effective weight: its part of the requests, relative to that of other members."""
        self.half_open = False
        """Whether it was ejected and is on probation: the next good answer ends that (half-open)."""
        self.unreachable = False
        """Whether connections to it fail at present."""
        self.unanswered = 0
        """Requests that this worker has sent since the member last began to answer one."""
        self.asked = 0.0
        """When the first of the unanswered requests was sent (`CounterWriter.moment`)."""
        self.effective_limit = limit
        """As ``limit``, but 1 for a member that is half-open."""

    def __repr__(self) -> str:
        return f"<Member {self.label}: {self.verdict.state.value}, {self.share}>"

    def load(self) -> int:
        """Requests in flight, over all workers."""
        return self.writer.total(self.at + _IN_FLIGHT)

    def begin(self) -> None:
        """Count a request that is given to the member."""
        self._ask()
        self.writer.add(self.at + _IN_FLIGHT, 1)
        self.writer.add(self.at + _REQUESTS, 1)

    def claim(self) -> bool:
        """As `begin`, unless that would exceed ``effective_limit`` over all workers; returns whether it was counted.

        Two workers that claim the last free request at once may both be refused, but never both get it.
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
        """Whether the last few requests of this worker are all unanswered (see `SILENT_FOR`)."""
        if self.unanswered < SILENT or self.writer.moment - self.asked < SILENT_FOR:
            return False
        return self.writer.get(self.at + _IN_FLIGHT) >= SILENT

    def end(self) -> None:
        """Count the end of a request."""
        self.writer.add(self.at + _IN_FLIGHT, -1)

    def connected(self) -> None:
        """Count a connection that was opened to the member."""
        self.writer.add(self.at + _CONNECTS, 1)

    def answered(self, status: int) -> bool:
        """Count a complete response; returns whether the backend has to act on it (an error, or a probation)."""
        if status >= 500:
            self.writer.add(self.at + _ANSWERED_5XX, 1)
            return True
        self.writer.add(self.at + _GOOD, 1)
        return self.half_open


def alone(label: str, weight: int = 1, *, writers: int = 1, backup: bool = False) -> Member:
    """A member with a shared memory of its own, for trying out a policy without workers."""
    cells = memoryview(bytearray(TILE * 8)).cast("q")
    cells[WRITERS] = writers
    return Member(label, CounterWriter([cells], 0), 1, weight, backup=backup)
