"""The ledger: lanes apart from each other, gauges that end with their writer, counters that do not."""

from __future__ import annotations

import os

from l7.balancing import cells
from l7.telemetry.ledger import CONTROL, FIRST_ROW, FIRST_WORKER, MASTER, Ledger

ROW = FIRST_ROW


def test_each_lane_has_its_own_cells() -> None:
    ledger = Ledger(8, 5)
    for lane in range(5):
        ledger.open(lane)
        ledger.write(lane, ROW, cells.REQUESTS, 10 + lane)
        ledger.write(lane, ROW + 1, cells.REQUESTS, 1)
    assert ledger.column(ROW, cells.REQUESTS) == [10, 11, 12, 13, 14]
    assert ledger.total(ROW, cells.REQUESTS) == 60
    assert ledger.lane(3)[ROW * cells.ROW + cells.REQUESTS] == ledger.read(3, ROW, cells.REQUESTS) == 13


def test_lanes_that_were_never_used_are_not_read() -> None:
    ledger = Ledger(8, 5)
    assert len(ledger.column(ROW, 0)) == FIRST_WORKER
    ledger.open(3)
    assert len(ledger.column(ROW, 0)) == 4
    ledger.open(2)
    assert ledger.used == 4


def test_it_is_shared_with_a_child() -> None:
    ledger = Ledger(8, 3)
    ledger.open(2)
    pid = os.fork()
    if pid == 0:
        ledger.write(2, ROW, cells.REQUESTS, 7)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert ledger.total(ROW, cells.REQUESTS) == 7


def test_who_is_gone_leaves_its_counters_and_what_it_knew_of_ejections() -> None:
    ledger = Ledger(8, 4)
    ledger.open(2)
    ledger.open(3)
    known = {cells.IN_FLIGHT: 4, cells.REQUESTS: 9, cells.EJECTED_UNTIL: 500, cells.EJECTED_TIMES: 2}
    for cell, value in known.items():
        ledger.write(2, ROW, cell, value)
    before = ledger.read(MASTER, 0, cells.CHANGES)
    ledger.retire(2, [ROW])
    assert ledger.total(ROW, cells.IN_FLIGHT) == 0
    assert ledger.total(ROW, cells.REQUESTS) == 9
    assert ledger.column(ROW, cells.EJECTED_UNTIL) == [500, 0, 0, 0]
    assert ledger.read(MASTER, ROW, cells.EJECTED_TIMES) == 2
    assert ledger.read(MASTER, 0, cells.CHANGES) > before
    ledger.write(3, ROW, cells.EJECTED_UNTIL, 400)
    ledger.retire(3, [ROW])
    assert ledger.read(MASTER, ROW, cells.EJECTED_UNTIL) == 500, "an earlier end does not replace a later one"


def test_a_row_for_another_server_begins_at_zero() -> None:
    ledger = Ledger(8, 3)
    ledger.open(2)
    for lane in (MASTER, CONTROL, 2):
        ledger.write(lane, ROW, cells.HEALTH, cells.DOWN)
        ledger.write(lane, ROW + 1, cells.HEALTH, cells.DOWN)
    ledger.clear(ROW)
    assert ledger.total(ROW, cells.HEALTH) == 0
    assert ledger.total(ROW + 1, cells.HEALTH) == 3 * cells.DOWN


def test_pages_that_nobody_writes_cost_nothing() -> None:
    ledger = Ledger(16 * 1024, 4098)
    ledger.write(4097, 16 * 1024 - 1, cells.ROW - 1, 1)
    with open("/proc/self/smaps", encoding="utf-8") as maps:
        lines = maps.read().split("l7-ledger")[1].splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
    assert resident <= 64
