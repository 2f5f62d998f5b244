"""What the l7 before this one has counted: read while it goes on, added when it is over."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from l7.sharedmem import layout, master_gauges
from l7.sharedmem.memory import CONTROL, FIRST_WORKER, MASTER, OF_MASTER, SharedMemory
from l7.sharedmem.predecessor_counters import PredecessorCounters

ROWS = {(): 1, ("a",): 3, ("a", "s:80"): 4, ("a", "n:80"): 5, ("a", "n:80", "10.0.0.1:80"): 6}


@pytest.fixture
def left() -> SharedMemory:
    """What the one before writes to."""
    shared_memory = SharedMemory(8, 4)
    shared_memory.open(FIRST_WORKER)
    return shared_memory


@pytest.fixture
def former(left: SharedMemory) -> PredecessorCounters:
    return PredecessorCounters(SharedMemory(left.rows, left.writers, os.dup(left.descriptor)), ROWS, os.getpid())


def test_what_it_goes_on_counting_is_seen(left: SharedMemory, former: PredecessorCounters) -> None:
    left.write(FIRST_WORKER, 3, layout.STATUS + 2, 5)
    assert former.sums(("a",))[layout.STATUS + 2] == 5
    left.open(FIRST_WORKER + 1)
    left.write(FIRST_WORKER + 1, 3, layout.STATUS + 2, 7)
    assert former.sums(("a",))[layout.STATUS + 2] == 12
    assert former.sums(("b",)) == [0] * layout.ROW


def test_the_addresses_of_a_name_count_for_it(left: SharedMemory, former: PredecessorCounters) -> None:
    left.write(FIRST_WORKER, 5, layout.REQUESTS, 1)
    left.write(FIRST_WORKER, 6, layout.REQUESTS, 20)
    left.write(CONTROL, 6, layout.FALLS, 2)
    sums = former.sums(("a", "n:80"))
    assert (sums[layout.REQUESTS], sums[layout.FALLS]) == (21, 2)


def test_what_is_not_a_count_ends_with_it(left: SharedMemory, former: PredecessorCounters) -> None:
    for cell in (layout.IN_FLIGHT, layout.HEALTH, layout.HEALTH_WHY, layout.ADMIN, layout.ADMIN_WEIGHT):
        left.write(FIRST_WORKER, 4, cell, 1)
    assert former.sums(("a", "s:80")) == [0] * layout.ROW


def test_it_cannot_be_written_to(former: PredecessorCounters) -> None:
    with pytest.raises(TypeError):
        former.shared_memory.write(MASTER, 3, layout.REQUESTS, 1)


def test_all_of_it_can_be_added_to_another_one(left: SharedMemory, former: PredecessorCounters) -> None:
    left.write(FIRST_WORKER, 3, layout.STATUS + 2, 5)
    left.write(FIRST_WORKER, 6, layout.REQUESTS, 20)
    left.write(MASTER, OF_MASTER, master_gauges.RELOADS_DONE, 3)
    left.write(MASTER, OF_MASTER, master_gauges.GENERATION, 9)
    own = SharedMemory(16, 4)
    rows = {(): 1, ("a",): 10, ("a", "n:80", "10.0.0.1:80"): 11}
    for _ in range(2):
        former.add_to(own, rows)
    assert own.total(10, layout.STATUS + 2) == 10
    assert own.total(11, layout.REQUESTS) == 40
    assert own.read(MASTER, OF_MASTER, master_gauges.RELOADS_DONE) == 6
    assert own.read(MASTER, OF_MASTER, master_gauges.GENERATION) == 0


def test_it_is_over_when_its_master_is_gone(left: SharedMemory) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as master:
        former = PredecessorCounters(left, ROWS, master.pid)
        assert not former.over
        master.communicate(b"\n")
    assert former.over
