"""What the l7 before this one has counted: read while it goes on, added when it is over."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from l7.balancing import cells
from l7.telemetry import facts
from l7.telemetry.former import Former
from l7.telemetry.ledger import CONTROL, FIRST_WORKER, MASTER, OF_MASTER, Ledger

ROWS = {(): 1, ("a",): 3, ("a", "s:80"): 4, ("a", "n:80"): 5, ("a", "n:80", "10.0.0.1:80"): 6}


@pytest.fixture
def left() -> Ledger:
    """What the one before writes to."""
    ledger = Ledger(8, 4)
    ledger.open(FIRST_WORKER)
    return ledger


@pytest.fixture
def former(left: Ledger) -> Former:
    return Former(Ledger(left.rows, left.lanes, os.dup(left.descriptor)), ROWS, os.getpid())


def test_what_it_goes_on_counting_is_seen(left: Ledger, former: Former) -> None:
    left.write(FIRST_WORKER, 3, cells.STATUS + 2, 5)
    assert former.sums(("a",))[cells.STATUS + 2] == 5
    left.open(FIRST_WORKER + 1)
    left.write(FIRST_WORKER + 1, 3, cells.STATUS + 2, 7)
    assert former.sums(("a",))[cells.STATUS + 2] == 12
    assert former.sums(("b",)) == [0] * cells.ROW


def test_the_addresses_of_a_name_count_for_it(left: Ledger, former: Former) -> None:
    left.write(FIRST_WORKER, 5, cells.REQUESTS, 1)
    left.write(FIRST_WORKER, 6, cells.REQUESTS, 20)
    left.write(CONTROL, 6, cells.FALLS, 2)
    sums = former.sums(("a", "n:80"))
    assert (sums[cells.REQUESTS], sums[cells.FALLS]) == (21, 2)


def test_what_is_not_a_count_ends_with_it(left: Ledger, former: Former) -> None:
    for cell in (cells.IN_FLIGHT, cells.HEALTH, cells.HEALTH_WHY, cells.ADMIN, cells.ADMIN_WEIGHT):
        left.write(FIRST_WORKER, 4, cell, 1)
    assert former.sums(("a", "s:80")) == [0] * cells.ROW


def test_it_cannot_be_written_to(former: Former) -> None:
    with pytest.raises(TypeError):
        former.ledger.write(MASTER, 3, cells.REQUESTS, 1)


def test_all_of_it_can_be_added_to_another_one(left: Ledger, former: Former) -> None:
    left.write(FIRST_WORKER, 3, cells.STATUS + 2, 5)
    left.write(FIRST_WORKER, 6, cells.REQUESTS, 20)
    left.write(MASTER, OF_MASTER, facts.RELOADS_DONE, 3)
    left.write(MASTER, OF_MASTER, facts.GENERATION, 9)
    own = Ledger(16, 4)
    rows = {(): 1, ("a",): 10, ("a", "n:80", "10.0.0.1:80"): 11}
    for _ in range(2):
        former.add_to(own, rows)
    assert own.total(10, cells.STATUS + 2) == 10
    assert own.total(11, cells.REQUESTS) == 40
    assert own.read(MASTER, OF_MASTER, facts.RELOADS_DONE) == 6
    assert own.read(MASTER, OF_MASTER, facts.GENERATION) == 0


def test_it_is_over_when_its_master_is_gone(left: Ledger) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as master:
        former = Former(left, ROWS, master.pid)
        assert not former.over
        master.communicate(b"\n")
    assert former.over
