"""What others have changed in the shared memory, for who looks at it: also in rows that were given away since."""

from __future__ import annotations

import time

import gevent

from l7.balancing.server_state import StateRules
from l7.config.sections.backends import Backend
from l7.sharedmem.layout import UNREACHED_AT, place
from l7.sharedmem.memory import FIRST_ROW, FIRST_WORKER, LEAST_ROWS, MONITOR, SharedMemory
from l7.workers.monitor.row_changes import RowChanges
from l7.workers.monitor.server_observer import LOOK, ServerObserver, WatchedServer
from tests.harness.children import in_child
from tests.workers.loop import until

LATER = 2 * LEAST_ROWS + 7
"""A row that is not mapped at first."""


def changed(memory: SharedMemory, *rows: int, at: int = 5) -> None:
    """Let a worker note that servers are out of reach, since a monotonic time in nanoseconds."""
    memory.reserve(1 + max(rows))
    writer = memory.writer(FIRST_WORKER)
    for row in rows:
        writer.put(place(row, UNREACHED_AT), at)
        writer.changed(row)


def test_all_rows_are_looked_at_first_and_then_those_that_have_changed() -> None:
    memory = SharedMemory()
    memory.open(FIRST_WORKER)
    changes = RowChanges(memory, lambda: [FIRST_ROW, FIRST_ROW + 1])
    assert changes.news() == [FIRST_ROW, FIRST_ROW + 1]
    assert changes.news() == []
    changed(memory, FIRST_ROW + 1)
    assert changes.news() == [FIRST_ROW + 1]
    assert changes.news() == []


def test_a_row_that_was_given_away_since_can_be_read() -> None:
    memory = SharedMemory()
    memory.open(FIRST_WORKER)
    changes = RowChanges(memory, list)
    changes.news()
    in_child(lambda: changed(memory, FIRST_ROW, LATER))
    assert memory.rows == LEAST_ROWS
    found = changes.news()
    assert sorted(found) == [FIRST_ROW, LATER]
    assert [memory.writer(FIRST_WORKER).highest(place(row) + UNREACHED_AT) for row in found] == [5, 5]


def test_without_address_space_for_it_the_others_are_looked_at(monkeypatch) -> None:
    memory = SharedMemory()
    memory.open(FIRST_WORKER)
    changes = RowChanges(memory, list)
    changes.news()
    in_child(lambda: changed(memory, FIRST_ROW, LATER))

    def full(_: int) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(memory, "reserve", full)
    assert changes.news() == [FIRST_ROW]


def test_what_became_of_a_server_before_anybody_knew_whose_row_it_is_is_noted() -> None:
    """A worker uses an address of a name before the monitor process has been told of it."""
    memory, at = SharedMemory(), time.monotonic_ns() - 2 * 10**9
    memory.open(FIRST_WORKER)
    servers: dict[int, WatchedServer] = {}
    observer = ServerObserver(
        memory.writer(MONITOR), memory.history, RowChanges(memory, list), lambda row: servers.get(row)
    )
    observer.start()
    gevent.sleep(0)
    in_child(lambda: changed(memory, LATER, at=at))
    gevent.sleep(2 * LOOK)
    assert memory.history.head(LATER).unreached_at == 0
    servers[LATER] = WatchedServer(0, StateRules.of(Backend.model_validate({"servers": ["app.test:80"]})))
    observer.look_at([LATER])
    until(lambda: memory.history.head(LATER).unreached_at == at, "the change")
