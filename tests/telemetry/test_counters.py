"""What a request adds to the figures of its backend."""

from __future__ import annotations

import pytest

from l7.errors import BODY_TOO_LARGE, NO_ROUTE, RATE_LIMITED, UNAUTHORIZED, Kind, ProxyError
from l7.exchange import Exchange
from l7.sharedmem import layout
from l7.sharedmem.memory import FIRST_ROW, FIRST_WORKER, MASTER, UNROUTED, SharedMemory
from l7.telemetry.counters import RequestCounters


@pytest.fixture
def shared_memory() -> SharedMemory:
    shared_memory = SharedMemory()
    shared_memory.open(FIRST_WORKER)
    return shared_memory


@pytest.fixture
def counters(shared_memory: SharedMemory) -> RequestCounters:
    return RequestCounters(shared_memory.writer(FIRST_WORKER))


def over(status: int = 200, seconds: float = 0.01, row: int = FIRST_ROW) -> Exchange:
    exchange = Exchange("127.0.0.1", 0.0)
    exchange.status, exchange.total_time, exchange.row = status, seconds, row
    exchange.sent, exchange.received = 7, 3
    return exchange


def row(shared_memory: SharedMemory, first: int, count: int, number: int = FIRST_ROW) -> list[int]:
    return [shared_memory.writer(MASTER).total(layout.place(number, cell)) for cell in range(first, first + count)]


def test_requests_by_class(shared_memory: SharedMemory, counters: RequestCounters) -> None:
    for status in (101, 200, 204, 301, 404, 499, 499, 500, 599):
        counters.count(over(status))
    assert row(shared_memory, layout.STATUS, 6) == [2, 1, 2, 1, 1, 2]
    assert (
        shared_memory.writer(MASTER).total(layout.place(FIRST_ROW, layout.SENT)),
        shared_memory.writer(MASTER).total(layout.place(FIRST_ROW, layout.RECEIVED)),
    ) == (63, 27)


@pytest.mark.parametrize(
    ("kind", "rule", "counted"),
    [
        (RATE_LIMITED, "", "rate-limit"),
        (UNAUTHORIZED, "", "users"),
        (BODY_TOO_LARGE, "", "limits.body"),
        (BODY_TOO_LARGE, "deny", "deny"),
        (NO_ROUTE, "allow", "allow"),
        (NO_ROUTE, "", ""),
        (NO_ROUTE, "response-headers", ""),
    ],
)
def test_refusals_by_rule(
    shared_memory: SharedMemory, counters: RequestCounters, kind: Kind, rule: str, counted: str
) -> None:
    exchange = over(kind.status)
    exchange.failure = ProxyError(kind)
    exchange.failure.rule = rule
    counters.count(exchange)
    assert row(shared_memory, layout.REFUSED, len(layout.RULES)) == [int(one == counted) for one in layout.RULES]


def test_durations_by_bucket(shared_memory: SharedMemory, counters: RequestCounters) -> None:
    for seconds in (0.0, 0.0007, 0.005, 0.0051, 0.3, 60.0, 60.1, 3600.0):
        counters.count(over(seconds=seconds))
    assert row(shared_memory, layout.DURATION, 15) == [1, 1, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2]
    assert shared_memory.writer(MASTER).total(layout.place(FIRST_ROW, layout.DURATION_SUM)) == pytest.approx(
        3720.4108e6, abs=10
    )


def test_first_bytes_by_server(shared_memory: SharedMemory, counters: RequestCounters) -> None:
    for seconds in (0.0004, 0.0009, 0.0024, 0.0024, 61.0):
        counters.answered(FIRST_ROW + 1, seconds)
    found = row(shared_memory, layout.FIRST_BYTE, 15, FIRST_ROW + 1)
    assert found == [1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert shared_memory.writer(MASTER).total(layout.place(FIRST_ROW + 1, layout.FIRST_BYTE_SUM)) == pytest.approx(
        61.0061e6, abs=10
    )
    assert row(shared_memory, 0, layout.ROW) == [0] * layout.ROW


def test_no_two_figures_share_a_cell() -> None:
    buckets = len(layout.BOUNDS) + 1
    backend = [layout.STATUS + place for place in range(6)] + [layout.DURATION + place for place in range(buckets)]
    backend += [
        layout.DURATION_SUM, layout.RECEIVED, layout.SENT, layout.RETRIED, layout.NOT_RETRIED, layout.OVERFLOWED,
        layout.RETRIED_FREE, layout.RETRY_WAITS, layout.CUT, layout.RATE_OVERFLOWED,
    ]  # fmt: skip
    backend += [layout.REFUSED + place for place in range(len(layout.RULES))]
    server = [layout.FIRST_BYTE + place for place in range(buckets)]
    server += [layout.FIRST_BYTE_SUM, layout.LAST_ERROR, layout.LAST_ERROR_AT, layout.KNOCKED_AT, layout.RETRIES]
    for cells in (backend, server):
        assert len(set(cells)) == len(cells)
        assert min(cells) >= layout.GAUGES
        assert max(cells) < layout.ROW


def test_what_came_to_no_backend_has_a_row_of_its_own(shared_memory: SharedMemory, counters: RequestCounters) -> None:
    counters.count(over(404, row=0))
    assert shared_memory.writer(MASTER).total(layout.place(UNROUTED, layout.STATUS + 4)) == 1
    assert row(shared_memory, 0, layout.ROW) == [0] * layout.ROW


def test_a_worker_that_talks_to_itself_is_not_counted(shared_memory: SharedMemory, counters: RequestCounters) -> None:
    counters.muted = True
    counters.count(over())
    counters.answered(FIRST_ROW, 1.0)
    assert row(shared_memory, 0, layout.ROW) == [0] * layout.ROW
