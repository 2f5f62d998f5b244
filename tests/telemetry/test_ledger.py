"""The shared memory: lanes apart from each other, gauges that end with their writer, counters that do not."""

from __future__ import annotations

import os

from l7.sharedmem import layout
from l7.sharedmem.memory import FIRST_ROW, FIRST_WORKER, MASTER, MONITOR, SharedMemory

ROW = FIRST_ROW


def test_each_lane_has_its_own_cells() -> None:
    shared_memory = SharedMemory(8, 5)
    for writer in range(5):
        shared_memory.open(writer)
        shared_memory.write(writer, ROW, layout.REQUESTS, 10 + writer)
        shared_memory.write(writer, ROW + 1, layout.REQUESTS, 1)
    assert shared_memory.column(ROW, layout.REQUESTS) == [10, 11, 12, 13, 14]
    assert shared_memory.total(ROW, layout.REQUESTS) == 60
    assert (
        shared_memory.writer(3)[ROW * layout.ROW + layout.REQUESTS] == shared_memory.read(3, ROW, layout.REQUESTS) == 13
    )


def test_lanes_that_were_never_used_are_not_read() -> None:
    shared_memory = SharedMemory(8, 5)
    assert len(shared_memory.column(ROW, 0)) == FIRST_WORKER
    shared_memory.open(3)
    assert len(shared_memory.column(ROW, 0)) == 4
    shared_memory.open(2)
    assert shared_memory.used == 4


def test_it_is_shared_with_a_child() -> None:
    shared_memory = SharedMemory(8, 3)
    shared_memory.open(2)
    pid = os.fork()
    if pid == 0:
        shared_memory.write(2, ROW, layout.REQUESTS, 7)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert shared_memory.total(ROW, layout.REQUESTS) == 7


def test_who_is_gone_leaves_its_counters_and_what_it_knew_of_ejections() -> None:
    shared_memory = SharedMemory(8, 4)
    shared_memory.open(2)
    shared_memory.open(3)
    known = {layout.IN_FLIGHT: 4, layout.REQUESTS: 9, layout.EJECTED_UNTIL: 500, layout.EJECTED_TIMES: 2}
    for cell, value in known.items():
        shared_memory.write(2, ROW, cell, value)
    before = shared_memory.read(MASTER, 0, layout.CHANGES)
    shared_memory.retire(2, [ROW])
    assert shared_memory.total(ROW, layout.IN_FLIGHT) == 0
    assert shared_memory.total(ROW, layout.REQUESTS) == 9
    assert shared_memory.column(ROW, layout.EJECTED_UNTIL) == [500, 0, 0, 0]
    assert shared_memory.read(MASTER, ROW, layout.EJECTED_TIMES) == 2
    assert shared_memory.read(MASTER, 0, layout.CHANGES) > before
    shared_memory.write(3, ROW, layout.EJECTED_UNTIL, 400)
    shared_memory.retire(3, [ROW])
    assert shared_memory.read(MASTER, ROW, layout.EJECTED_UNTIL) == 500, "an earlier end does not replace a later one"


def test_a_row_for_another_server_begins_at_zero() -> None:
    shared_memory = SharedMemory(8, 3)
    shared_memory.open(2)
    for writer in (MASTER, MONITOR, 2):
        shared_memory.write(writer, ROW, layout.HEALTH, layout.DOWN)
        shared_memory.write(writer, ROW + 1, layout.HEALTH, layout.DOWN)
    shared_memory.clear(ROW)
    assert shared_memory.total(ROW, layout.HEALTH) == 0
    assert shared_memory.total(ROW + 1, layout.HEALTH) == 3 * layout.DOWN


def test_pages_that_nobody_writes_cost_nothing() -> None:
    shared_memory = SharedMemory(16 * 1024, 4098)
    shared_memory.write(4097, 16 * 1024 - 1, layout.ROW - 1, 1)
    with open("/proc/self/smaps", encoding="utf-8") as maps:
        lines = maps.read().split("l7-counters")[1].splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
    assert resident <= 64
