"""What a request adds to the figures of its backend."""

from __future__ import annotations

import pytest

from l7.balancing import cells
from l7.exchange import Exchange
from l7.telemetry.counters import Counters
from l7.telemetry.ledger import FIRST_ROW, FIRST_WORKER, UNROUTED, Ledger
from l7.workers.shared import lane_of


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(FIRST_ROW + 2, FIRST_WORKER + 1)
    ledger.open(FIRST_WORKER)
    return ledger


@pytest.fixture
def counters(ledger: Ledger) -> Counters:
    return Counters(lane_of(ledger, FIRST_WORKER))


def over(status: int = 200, seconds: float = 0.01, row: int = FIRST_ROW) -> Exchange:
    exchange = Exchange("127.0.0.1", 0.0)
    exchange.status, exchange.total_time, exchange.row = status, seconds, row
    exchange.sent, exchange.received = 7, 3
    return exchange


def row(ledger: Ledger, first: int, count: int, number: int = FIRST_ROW) -> list[int]:
    return [ledger.total(number, cell) for cell in range(first, first + count)]


def test_requests_by_class(ledger: Ledger, counters: Counters) -> None:
    for status in (101, 200, 204, 301, 404, 499, 499, 500, 599):
        counters.count(over(status))
    assert row(ledger, cells.STATUS, 6) == [2, 1, 2, 1, 1, 2]
    assert (ledger.total(FIRST_ROW, cells.SENT), ledger.total(FIRST_ROW, cells.RECEIVED)) == (63, 27)


def test_durations_by_bucket(ledger: Ledger, counters: Counters) -> None:
    for seconds in (0.0, 0.005, 0.0051, 0.3, 60.0, 60.1, 3600.0):
        counters.count(over(seconds=seconds))
    assert row(ledger, cells.DURATION, 12) == [2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2]
    assert ledger.total(FIRST_ROW, cells.DURATION_SUM) == pytest.approx(3720.4101e6, abs=10)


def test_what_came_to_no_backend_has_a_row_of_its_own(ledger: Ledger, counters: Counters) -> None:
    counters.count(over(404, row=0))
    assert ledger.total(UNROUTED, cells.STATUS + 4) == 1
    assert row(ledger, 0, cells.ROW) == [0] * cells.ROW


def test_a_worker_that_talks_to_itself_is_not_counted(ledger: Ledger, counters: Counters) -> None:
    counters.muted = True
    counters.count(over())
    assert row(ledger, 0, cells.ROW) == [0] * cells.ROW
