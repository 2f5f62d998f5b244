"""Fair accepting: a worker with more connections than the mean lets the others accept first.

All workers share one queue of new connections, and the kernel wakes the last sleeper, so one worker would get most of
them. Each worker keeps its number of connections in its slot of the scoreboard, and reads the others'. A worker above
the mean waits 5 ms (`l7.workers.downstream.connection_handler.YIELD`) before it accepts the next one: a worker below
the mean accepts it meanwhile; if none does, this worker does, so nothing starves.

Hot where each request opens a connection: see `l7.workers.downstream.connection_handler`.
"""

from __future__ import annotations

import time

from l7.sharedmem import integers
from l7.sharedmem.scoreboard import ACCEPTING, ADOPTED, BEAT, CONNECTIONS, PLACES, Scoreboard

EXCESS = 1.1
"""Factor above the mean at which a worker waits."""
SLACK = 4
"""Connections above that which never make a worker wait."""
FRESH = 10_000_000
"""Nanoseconds for which the set of accepting workers is cached."""
STALE = 2_000_000_000
"""Nanoseconds without a heartbeat after which a worker is taken for dead or hung: it accepts nothing."""


# Numbers of cells as the compiler's own integers: see the .pxd.
_ACCEPTING = ACCEPTING
_ADOPTED = ADOPTED
_CONNECTIONS = CONNECTIONS
_PLACES = PLACES


class AcceptBalancer:
    """Compares the worker of ``slot`` with the others that accept."""

    __slots__ = ("_cells", "_looked", "_peers", "_scoreboard", "_slot")

    def __init__(self, scoreboard: Scoreboard, slot: int) -> None:
        self._scoreboard = scoreboard
        self._slot = slot
        self._cells = integers.view(scoreboard.slot(slot))
        self._peers: list[memoryview] = []
        self._looked = 0

    def _look(self, now: int) -> None:
        """Read which workers accept."""
        self._looked = now
        fresh = now - STALE
        accepting = self._scoreboard.column(ACCEPTING)
        rows = [self._scoreboard.slot(slot) for slot, state in enumerate(accepting) if state and slot != self._slot]
        self._peers = [row for row in rows if row[BEAT] > fresh]

    def holds(self, count: int) -> None:
        """Publish how many connections this worker has now."""
        integers.store(self._cells, _CONNECTIONS, count)

    def adopts(self) -> None:
        """Count a connection that another worker handed over."""
        integers.add(self._cells, _ADOPTED, 1)

    def may_hold(self, count: int) -> None:
        """Publish how many connections this worker may have."""
        integers.store(self._cells, _PLACES, count)

    def accepts(self, *, accepting: bool) -> None:
        """Publish whether this worker accepts connections."""
        integers.store(self._cells, _ACCEPTING, accepting)

    def others_accept(self) -> bool:
        """Whether other workers accept connections."""
        now = time.monotonic_ns()
        if now - self._looked > FRESH:
            self._look(now)
        return bool(self._peers)

    def exceeded(self, count: int) -> bool:
        """Whether ``count`` connections are more than this worker's fair part."""
        if count <= SLACK or not self.others_accept():
            return False
        peers = self._peers
        total = count + sum([row[CONNECTIONS] for row in peers])
        return count > EXCESS * total / (len(peers) + 1) + SLACK
