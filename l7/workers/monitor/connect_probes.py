"""Connect probes: servers that workers could not connect to are tried every `KNOCK` seconds, by one process for all.

Only unreachable servers are probed, so ten thousand that are well cost nothing. The result goes to the shared memory: a
server that was ejected because it refused connections is used again as soon as it takes them, and requests in the
retry queue go on. Nothing is sent, and a probe is not counted as a request or a connection.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import gevent

from l7.balancing.server_state import KNOCK
from l7.clock import monotonic
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.telemetry.events import Events, named
from l7.workers.monitor.row_changes import RowChanges
from l7.workers.runtime.pause import pause
from l7.workers.transport.dial import BacklogFull, Endpoint, OutOfResources, dial
from l7.workers.transport.stream import DeadlineSweeper, StreamLost, StreamTimeout

WITHIN = 1.0
"""The timeout of a probe in seconds."""
BATCH = 0.01
"""Seconds between two batches of probes that are due."""
MOST_AT_ONCE = 10
"""The most probes that a batch begins: a thousand a second. With more servers each waits longer."""
MOST_UNDER_WAY = 500
LOOK = 0.05
"""Seconds between two reads of which servers workers could not reach."""
ROWS = 500
"""Servers whose rows are read in one go."""

ServerKey = tuple[str, str]


@dataclass(eq=False)
class ProbedServer:
    """One address of one server, probed while it is unreachable."""

    backend: str
    server: str
    endpoint: Endpoint
    row: int
    due: float = 0.0
    dropped: bool = False

    def __lt__(self, other: ProbedServer) -> bool:
        """Order by when they are due."""
        return self.due < other.due


class ConnectProbes:
    """Probes servers; for the monitor process only, the one writer of its lane.

    :param changes: tells of the rows that may be of an unreachable server.
    :param server_in: the server in a row, or None; asked once for each that is unreachable and was not named before.
    """

    def __init__(
        self, writer: CounterWriter, events: Events, changes: RowChanges,
        server_in: Callable[[int], ProbedServer | None],
    ) -> None:  # fmt: skip
        self._events = events
        self._writer = writer
        self._changes = changes
        self._server_in = server_in
        self._sweeper = DeadlineSweeper(KNOCK / 2)
        self._by_row: dict[int, ProbedServer] = {}
        self._by_server: dict[ServerKey, list[ProbedServer]] = {}
        self._queue: list[ProbedServer] = []
        self._unreachable: dict[int, ProbedServer] = {}
        """The servers that are probed now, by row."""
        self._under_way = 0

    def start(self) -> None:
        """Begin, with servers that were unreachable before."""
        self._sweeper.start()
        gevent.spawn(self._look)
        gevent.spawn(self._run)

    def __len__(self) -> int:
        return len(self._unreachable)

    def change(self, key: ServerKey, servers: Sequence[ProbedServer]) -> None:
        """Set the addresses of a server, where they may change."""
        stay = {(probed.row, probed.endpoint) for probed in servers}
        for probed in self._by_server.get(key, ()):
            if (probed.row, probed.endpoint) not in stay:
                probed.dropped = True
                self._by_row.pop(probed.row, None)
                self._unreachable.pop(probed.row, None)
        self._by_server[key] = kept = []
        for probed in servers:
            kept.append(self._by_row.setdefault(probed.row, probed))
        self._consider([probed.row for probed in servers])

    # --- which --------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Read which servers workers could not reach; at first also those that they could not reach before."""
        while True:
            found = self._changes.news()
            for begin in range(0, len(found), ROWS):
                self._consider(found[begin : begin + ROWS])
                pause()
            gevent.sleep(LOOK)

    def _consider(self, rows: Iterable[int]) -> None:
        for row in rows:
            if row in self._unreachable or not self._is_unreachable(row):
                continue
            probed = self._by_row.get(row) or self._server_in(row)
            if probed is not None:
                self._by_row[row] = self._unreachable[row] = probed
                probed.due = monotonic() + random.random() * KNOCK
                heapq.heappush(self._queue, probed)

    def _is_unreachable(self, row: int) -> bool:
        at = layout.place(row)
        return self._writer.highest(at + layout.UNREACHED_AT) > self._writer.highest(at + layout.REACHED_AT)

    # --- probing ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            now = monotonic()
            begun = 0
            while self._queue and self._queue[0].due <= now and begun < MOST_AT_ONCE:
                if self._under_way >= MOST_UNDER_WAY:
                    break
                probed = heapq.heappop(self._queue)
                if not probed.dropped and self._unreachable.get(probed.row) is probed:
                    begun += 1
                    self._under_way += 1
                    gevent.spawn(self._probe, probed)
            gevent.sleep(BATCH if self._queue else LOOK)

    def _probe(self, probed: ProbedServer) -> None:
        following = max(probed.due, monotonic() - KNOCK) + KNOCK
        try:
            reached = takes_connections(probed.endpoint, self._sweeper)
        finally:
            self._under_way -= 1
        if probed.dropped:
            return
        if reached is False and not self._is_unreachable(probed.row):
            reached = True  # a worker has a connection by now
        if reached:
            self._note_reached(probed)
            return
        if reached is False:
            self._writer.put(layout.place(probed.row, layout.KNOCKED_AT), time.monotonic_ns())
        probed.due = following
        heapq.heappush(self._queue, probed)

    def _note_reached(self, probed: ProbedServer) -> None:
        """Note in the shared memory that a server takes connections."""
        del self._unreachable[probed.row]
        now, at = time.monotonic_ns(), layout.place(probed.row)
        since = self._writer.highest(at + layout.UNREACHED_AT)
        self._writer.put(at + layout.REACHED_AT, now)
        self._writer.changed(probed.row)
        words = f"{probed.backend}: server {probed.server} takes connections again, after {(now - since) / 1e9:.1f} s"
        self._events.info(named("server.reached", words, backend=probed.backend, server=probed.server))


def takes_connections(where: Endpoint, sweeper: DeadlineSweeper) -> bool | None:
    """Whether a server takes a connection now; None when l7 lacked a resource to try."""
    try:
        dial(where, sweeper, WITHIN).reset()  # without a last round trip, and without a trace in the system's tables
    except OutOfResources:
        return None
    except BacklogFull:
        return True  # it listens, and its backlog is full
    except (OSError, StreamLost, StreamTimeout):
        return False
    return True
