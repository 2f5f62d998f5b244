"""The shared memory: lanes apart from each other, gauges that end with their writer, counters that do not."""

from __future__ import annotations

import errno
import os

import pytest

from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import (
    CHANGES,
    DOWN,
    EJECTED_TIMES,
    EJECTED_UNTIL,
    HEALTH,
    IN_FLIGHT,
    LANES,
    REQUESTS,
    ROW,
    ROWS_A_PAGE,
    place,
)
from l7.sharedmem.memory import FIRST_ROW, FIRST_WORKER, LEAST_ROWS, MASTER, MONITOR, SharedMemory
from tests.harness.children import forked, in_child

AT = place(FIRST_ROW)
NEXT = place(FIRST_ROW + 1)


def memory(lanes: int) -> tuple[SharedMemory, list[CounterWriter]]:
    """A shared memory and the writer of each of its ``lanes``."""
    shared = SharedMemory()
    shared.open(lanes - 1)
    return shared, [shared.writer(lane) for lane in range(lanes)]


def test_each_lane_has_its_own_cells() -> None:
    _, writers = memory(5)
    for lane, writer in enumerate(writers):
        writer.put(AT + REQUESTS, 10 + lane)
        writer.put(NEXT + REQUESTS, 1)
    one = writers[3]
    assert one.column(AT + REQUESTS) == [10, 11, 12, 13, 14]
    assert one.total(AT + REQUESTS) == one.row(AT)[REQUESTS] == 60
    assert one.get(AT + REQUESTS) == writers[0].read(3, AT + REQUESTS) == 13
    assert (one.highest(AT + REQUESTS), one.latest(AT + REQUESTS)) == (14, 4)
    assert one.total_where(AT + REQUESTS, NEXT + REQUESTS, 1) == 60


def test_lanes_that_were_never_opened_are_not_read() -> None:
    shared = SharedMemory()
    writer = shared.writer(MASTER)
    assert writer.lanes() == FIRST_WORKER
    shared.open(3)
    assert len(writer.column(AT)) == 4
    shared.open(2)
    assert writer.lanes() == 4


def test_it_is_shared_with_a_child() -> None:
    _, writers = memory(3)
    in_child(lambda: writers[2].put(AT + REQUESTS, 7))
    assert writers[MASTER].total(AT + REQUESTS) == 7


@pytest.mark.parametrize("lane", [LANES - 1, LANES, 3 * LANES + 5])
def test_lanes_grow_by_blocks(lane: int) -> None:
    shared, writers = memory(3)
    writers[2].put(AT + REQUESTS, 1)
    shared.open(lane)
    shared.writer(lane).put(AT + REQUESTS, 10)
    for one in (writers[MASTER], shared.writer(lane)):
        assert one.lanes() == lane + 1
        assert one.total(AT + REQUESTS) == one.row(AT)[REQUESTS] == 11
        assert (one.read(lane, AT + REQUESTS), one.latest(AT + REQUESTS)) == (10, lane)
    shared.retire(lane, [FIRST_ROW])
    shared.clear(FIRST_ROW)
    assert writers[MASTER].total(AT + REQUESTS) == 0


def test_a_process_sees_lanes_that_were_opened_after_it_was_forked() -> None:
    shared, writers = memory(3)
    ours, theirs = os.pipe()

    def look() -> None:
        assert os.read(ours, 1) == b"x"
        assert writers[2].total(AT + REQUESTS) == 5
        assert writers[2].lanes() == LANES + 3

    def grow() -> None:
        shared.open(LANES + 2)
        shared.writer(LANES + 2).put(AT + REQUESTS, 5)
        os.write(theirs, b"x")

    pid = forked(look)
    grow()
    assert os.waitpid(pid, 0)[1] == 0
    os.close(ours)
    os.close(theirs)


def test_without_address_space_other_lanes_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, writers = memory(3)
    writers[2].put(AT + REQUESTS, 1)

    def fails(first: int, count: int) -> memoryview:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(shared._file, "map", fails)
    with pytest.raises(OSError, match="Cannot allocate"):
        shared.open(LANES)
    with pytest.raises(OSError, match="Cannot allocate"):
        shared.reserve(LEAST_ROWS + 1)
    assert writers[2].lanes() == 3
    assert writers[2].total(AT + REQUESTS) == 1


def test_rows_grow_and_keep_what_was_counted() -> None:
    shared, writers = memory(LANES + 1)
    writers[LANES].put(AT + REQUESTS, 3)
    last = place(4 * LEAST_ROWS - 1, ROW - 1)
    with pytest.raises(IndexError):
        writers[LANES].add(last, 1)
    shared.reserve(2 * LEAST_ROWS + 1)
    assert shared.rows == 4 * LEAST_ROWS
    writers[LANES].add(last, 1)
    assert (writers[2].total(last), writers[2].total(AT + REQUESTS)) == (1, 3)


def test_a_process_that_maps_fewer_rows_goes_on_with_those() -> None:
    shared, writers = memory(3)
    far = place(LEAST_ROWS + 5, REQUESTS)
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            assert os.read(ours, 1) == b"x"
            writers[2].add(AT + REQUESTS, 1)
            shared.reserve(LEAST_ROWS + 6)
            assert writers[2].total(far) == 8
            writers[2].add(far, 1)
            os._exit(0)
        finally:
            os._exit(1)
    shared.reserve(LEAST_ROWS + 6)
    writers[MASTER].put(far, 8)
    os.write(theirs, b"x")
    assert os.waitpid(pid, 0)[1] == 0
    assert (writers[MASTER].total(AT + REQUESTS), writers[MASTER].total(far)) == (1, 9)
    os.close(ours)
    os.close(theirs)


def test_who_is_gone_leaves_its_counters_and_what_it_knew_of_ejections() -> None:
    shared, writers = memory(4)
    master = writers[MASTER]
    known = {IN_FLIGHT: 4, REQUESTS: 9, EJECTED_UNTIL: 500, EJECTED_TIMES: 2}
    for cell, value in known.items():
        writers[2].put(AT + cell, value)
    before = master.get(CHANGES)
    shared.retire(2, [FIRST_ROW])
    assert master.total(AT + IN_FLIGHT) == 0
    assert master.total(AT + REQUESTS) == 9
    assert master.column(AT + EJECTED_UNTIL) == [500, 0, 0, 0]
    assert master.get(AT + EJECTED_TIMES) == 2
    assert master.get(CHANGES) > before
    writers[3].put(AT + EJECTED_UNTIL, 400)
    shared.retire(3, [FIRST_ROW])
    assert master.get(AT + EJECTED_UNTIL) == 500, "an earlier end does not replace a later one"


def test_a_row_for_another_server_begins_at_zero() -> None:
    shared, writers = memory(3)
    for lane in (MASTER, MONITOR, 2):
        writers[lane].put(AT + HEALTH, DOWN)
        writers[lane].put(NEXT + HEALTH, DOWN)
    shared.clear(FIRST_ROW)
    assert writers[MASTER].total(AT + HEALTH) == 0
    assert writers[MASTER].total(NEXT + HEALTH) == 3 * DOWN


def resident() -> int:
    """KiB of shared memories that are in memory."""
    with open("/proc/self/smaps", encoding="utf-8") as maps:
        found = [part.splitlines() for part in maps.read().split("l7-counters")[1:]]
    return sum(next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) for lines in found)


def test_pages_that_are_never_written_take_no_memory() -> None:
    before = resident()
    shared, _ = memory(4098)
    shared.reserve(16 * 1024)
    shared.writer(4097).put(place(16 * 1024 - 1, ROW - 1), 1)
    assert resident() - before <= 64


def test_it_is_known_which_rows_were_ever_written() -> None:
    shared, writers = memory(LANES + 1)
    shared.reserve(16 * 1024)
    far, farther = 500 * ROWS_A_PAGE + 3, 900 * ROWS_A_PAGE
    writers[2].put(place(far, REQUESTS), 1)
    in_child(lambda: writers[LANES].put(place(farther, REQUESTS), 1))
    before = resident()
    written = shared.written()
    assert {row for row in range(16 * 1024) if row in written} == {
        *range(ROWS_A_PAGE), *range(500 * ROWS_A_PAGE, 501 * ROWS_A_PAGE), *range(farther, farther + ROWS_A_PAGE),
    }  # fmt: skip
    shared.retire(2, range(16 * 1024))
    assert resident() - before <= 64, "rows that nobody has written were read"


def test_a_process_takes_a_page_for_so_many_rows() -> None:
    shared, writers = memory(3)
    shared.reserve(16 * 1024)
    before = resident()
    for row in range(8192):
        writers[2].put(place(row, REQUESTS), 1)
    assert resident() - before <= 8192 // ROWS_A_PAGE * 4 + 64
