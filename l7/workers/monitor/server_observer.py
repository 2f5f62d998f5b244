"""Notes every change of a server in its history: what workers, health checks and connect probes have found out.

The one writer of these histories (`l7.sharedmem.server_history`): health checks tell what they change, the rest is read
in the shared memory, a few times a second and only of servers that have changed. How far a server was looked at stands
with its history, so a monitor process goes on where the last one ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

import gevent

from l7.balancing import ejection
from l7.balancing.server_state import NANO, ServerRecord, ServerState, ServerStatus, StateRules, evaluate, read_record
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.server_history import HistoryHead, ServerHistory, StateChange
from l7.telemetry.servers.changes import ServerChange
from l7.workers.monitor.row_changes import RowChanges
from l7.workers.runtime.pause import pause

LOOK = 0.05
"""Seconds between two looks at what has changed."""
AGAIN = 0.2
"""Seconds between two looks at which servers are due that nobody tells of."""
PROVES_WITHIN = NANO
"""Nanoseconds after which a server on probation is looked at again, although a worker tells of its end."""
ROWS = 200
"""Servers that are looked at in one go."""
ERROR_WITHIN = NANO
"""Nanoseconds in which a worker writes why a connection has failed."""

STEADY, EJECTED, HALF_OPEN = range(3)
"""What a server was when it was last looked at (`HistoryHead.phase`)."""


@dataclass(frozen=True)
class WatchedServer:
    """A server in a row: the row of its name where it is an address of one, and the rules of its backend."""

    parent: int
    rules: StateRules


class ServerObserver:
    """Writes the histories of the monitor process.

    :param changes: tells of the rows that have changed.
    :param server_in: the server in a row; None where the row is of something else.
    """

    def __init__(
        self, writer: CounterWriter, history: ServerHistory, changes: RowChanges,
        server_in: Callable[[int], WatchedServer | None],
    ) -> None:  # fmt: skip
        self._writer = writer
        self._history = history
        self._changes = changes
        self._server_in = server_in
        self._due: dict[int, int] = {}
        """When servers are to be looked at again whose state ends with time; monotonic nanoseconds."""

    def start(self) -> None:
        """Begin, with what has changed while no monitor process ran."""
        gevent.spawn(self._run)

    def checked(self, row: int, *, up: bool, why: int, lasted: int) -> None:
        """Note that checks have found a server up or down; the state before lasted so many nanoseconds, 0: unknown."""
        event = ServerChange.CHECKED_UP if up else ServerChange.CHECKED_DOWN
        self._append(row, self._history.head(row), event, time.monotonic_ns(), why, lasted)

    def look_at(self, rows: Iterable[int]) -> None:
        """Look soon at what has become of servers in rows of which nobody knew before whose they are."""
        self._due.update(dict.fromkeys(rows, 0))

    # --- which --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        again = 0
        while True:
            self._look_at(self._changes.news())
            now = time.monotonic_ns()
            if self._due and now >= again:
                again = now + int(AGAIN * NANO)
                self._look_at([row for row, due in self._due.items() if due <= now])
            gevent.sleep(LOOK)

    def _look_at(self, rows: Iterable[int]) -> None:
        for number, row in enumerate(list(rows), 1):
            # Most were never ejected or out of reach, and have no history to be read.
            at = layout.place(row)
            if self._writer.highest(at + layout.EJECTED_AT) or self._writer.highest(at + layout.UNREACHED_AT):
                server = self._server_in(row)
                if server is not None:
                    self._observe(row, server)
                else:
                    self._due.pop(row, None)
            else:
                self._due.pop(row, None)
            if number % ROWS == 0:
                pause()

    # --- what ---------------------------------------------------------------------------------------------------------

    def _observe(self, row: int, server: WatchedServer) -> None:
        now, head = time.monotonic_ns(), self._history.head(row)
        known = read_record(self._writer, row, server.parent)
        head = self._unreached(row, head, known, now)
        head = self._ejected(row, head, known)
        head = self._reached(row, head, known)
        due = 0
        if head.phase != STEADY:
            status = _by_requests(known, server.rules, now)
            head = self._returned(row, head, known, status, now)
            due = status.again or now + PROVES_WITHIN if head.phase != STEADY else 0
        if head.unreached_at < known.unreached_at:
            due = now
        if due:
            self._due[row] = due
        else:
            self._due.pop(row, None)

    def _unreached(self, row: int, head: HistoryHead, known: ServerRecord, now: int) -> HistoryHead:
        """Note that a connection has failed, once the worker has said why."""
        if known.unreached_at <= head.unreached_at:
            return head
        at = layout.place(row)
        last = self._writer.latest(at + layout.LAST_ERROR_AT)
        told = self._writer.read(last, at + layout.LAST_ERROR_AT) >= known.unreached_at
        if not told and now - known.unreached_at < ERROR_WITHIN:
            return head
        why = self._writer.read(last, at + layout.LAST_ERROR) if told else 0
        head = head._replace(unreached_at=known.unreached_at)
        return self._append(row, head, ServerChange.UNREACHABLE, known.unreached_at, why, 0)

    def _ejected(self, row: int, head: HistoryHead, known: ServerRecord) -> HistoryHead:
        if known.ejected_at <= head.ejected_at:
            return head
        lasts = 0 if ejection.is_refusal(known.ejected_why) else known.ejected_until - known.ejected_at
        head = head._replace(ejected_at=known.ejected_at, phase=EJECTED)
        return self._append(row, head, ServerChange.EJECTED, known.ejected_at, known.ejected_why, lasts)

    def _reached(self, row: int, head: HistoryHead, known: ServerRecord) -> HistoryHead:
        """Note that a server takes connections again, where that does not end an ejection, which says so itself."""
        if head.unreached_at <= head.reached_at or known.reached_at <= head.unreached_at:
            return head
        lasted = known.reached_at - head.unreached_at
        head = head._replace(reached_at=known.reached_at)
        if head.phase == EJECTED and ejection.is_refusal(known.ejected_why):
            return self._remember(row, head)
        return self._append(row, head, ServerChange.REACHABLE, known.reached_at, 0, lasted)

    def _returned(
        self, row: int, head: HistoryHead, known: ServerRecord, status: ServerStatus, now: int
    ) -> HistoryHead:
        """Note the end of an ejection, and that of the probation behind it."""
        if status.state is ServerState.EJECTED:
            return head
        if head.phase == EJECTED:
            event, back = ServerChange.TERM_OVER, min(known.ejected_until, now)
            if ejection.is_refusal(known.ejected_why) and known.reached_at > known.ejected_at:
                event, back = ServerChange.TAKES_CONNECTIONS, known.reached_at
            elif known.health_since > known.ejected_at and not status.half_open:
                event, back = ServerChange.ENDED_BY_CHECKS, known.health_since
            head = head._replace(phase=HALF_OPEN)
            head = self._append(row, head, event, back, 0, back - known.ejected_at)
        if not status.half_open:
            head = self._remember(row, head._replace(phase=STEADY))
            if known.good > known.ejected_good:
                head = self._append(row, head, ServerChange.PROVEN, now, 0, 0)
        return head

    # --- writing ------------------------------------------------------------------------------------------------------

    def _append(
        self, row: int, head: HistoryHead, event: ServerChange, at: int, evidence: int, amount: int
    ) -> HistoryHead:
        """Note a change; ``at`` is monotonic, ``amount`` nanoseconds."""
        wall = time.time_ns() - (time.monotonic_ns() - at)
        with suppress(OSError):  # without memory for it, it is not noted; nothing else depends on it
            return self._history.append(row, StateChange(wall, event, evidence, amount // 1000), head)
        return head

    def _remember(self, row: int, head: HistoryHead) -> HistoryHead:
        with suppress(OSError):
            self._history.remember(row, head)
        return head


def _by_requests(known: ServerRecord, rules: StateRules, now: int) -> ServerStatus:
    """The status as far as failed requests have decided it: whatever administrators want and failing checks say."""
    checked = rules.checked and known.health == layout.UP
    return evaluate(replace(known, admin=0, admin_weight=0), 1, replace(rules, checked=checked), now)
