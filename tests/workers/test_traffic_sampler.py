"""What the traffic sampler makes of the cells that workers write."""

from __future__ import annotations

import pytest

from l7.sharedmem import layout
from l7.sharedmem.memory import FIRST_WORKER, MONITOR, UNROUTED, SharedMemory
from l7.sharedmem.traffic_history import TOTALS, TrafficSample
from l7.workers.monitor.overview.traffic_sampler import WINDOW, TrafficSampler

ROUTE, SERVER, NOBODY = 20, 21, 22
KEYS = {ROUTE: ("a",), SERVER: ("a", "127.0.0.1:1")}
NOW = 5000


class Cells:
    """A shared memory with one route and one server, and two workers that count there."""

    def __init__(self) -> None:
        self.memory = SharedMemory()
        for lane in (FIRST_WORKER, FIRST_WORKER + 1):
            self.memory.open(lane)
        self.sampler = self.new_sampler()

    def new_sampler(self) -> TrafficSampler:
        memory = self.memory
        return TrafficSampler(memory.writer(MONITOR), memory.traffic, memory.written, lambda row: KEYS.get(row, ("",)))

    def add(self, row: int, *cells: int, worker: int = 0, count: int = 1) -> None:
        for cell in cells:
            self.memory.writer(FIRST_WORKER + worker).add(layout.place(row, cell), count)

    def request(self, row: int = ROUTE, digit: int = 2, bucket: int = 3, worker: int = 0) -> None:
        self.add(row, layout.STATUS + digit, layout.DURATION + bucket, layout.DURATION_SUM, worker=worker)


@pytest.fixture
def cells() -> Cells:
    return Cells()


def test_a_round_has_what_was_counted_in_it_and_no_more(cells: Cells) -> None:
    cells.request()
    cells.sampler.begin()
    assert cells.sampler.requests(ROUTE) == cells.sampler.requests(TOTALS) == 1
    cells.request(worker=0)
    cells.request(worker=1, digit=5)
    cells.request(worker=1, digit=0)
    cells.add(ROUTE, layout.REFUSED)
    cells.request(UNROUTED, digit=4, bucket=0)
    cells.sampler.look(NOW, 2.0)
    traffic = cells.memory.traffic
    assert traffic.samples(ROUTE) == {NOW: TrafficSample(3, 1, 1, 3750, 4975)}, "whose client has left is no error"
    assert traffic.samples(TOTALS)[NOW][:3] == (4, 1, 1)
    assert cells.sampler.requests(TOTALS) == 5
    now = cells.sampler.now(ROUTE)
    assert (now.rate, now.errors, now.refused) == (1.5, 0.5, 0.5)
    assert now.p50 == pytest.approx(0.00375)


def test_present_rates_are_those_of_the_last_rounds(cells: Cells) -> None:
    cells.sampler.begin()
    for number in range(WINDOW + 3):
        if number < 3:
            cells.request()
        cells.sampler.look(NOW + number, 2.0)
    assert cells.sampler.now(ROUTE).rate == 0.0
    assert cells.sampler.now(ROUTE).p50 is None
    cells.request()
    cells.sampler.look(NOW + WINDOW + 3, 2.0)
    assert cells.sampler.now(ROUTE).rate == cells.sampler.now(TOTALS).rate == 1 / (2 * WINDOW)


def test_rows_without_traffic_are_not_read(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    cells.request()
    cells.add(SERVER, layout.REQUESTS, layout.GOOD)
    cells.sampler.begin()
    read = []
    monkeypatch.setattr(cells.sampler, "_difference", lambda row, _: read.append(row) or [0])
    cells.sampler.look(NOW, 2.0)
    assert read == []
    cells.request(digit=4)
    cells.sampler.look(NOW + 1, 2.0)
    assert read == [ROUTE]


def test_a_request_that_was_under_way_at_the_last_look_fails_in_the_next_round(cells: Cells) -> None:
    cells.sampler.begin()
    cells.add(SERVER, layout.REQUESTS, layout.IN_FLIGHT)
    cells.sampler.look(NOW, 2.0)
    cells.add(SERVER, layout.IN_FLIGHT, count=-1)
    cells.add(SERVER, layout.FAILED_TIMEOUT)
    cells.sampler.look(NOW + 1, 2.0)
    samples = cells.memory.traffic.samples(SERVER)
    assert [samples[NOW + number][:2] for number in (0, 1)] == [(1, 0), (0, 1)]


def test_what_no_monitor_process_saw_is_in_no_round(cells: Cells) -> None:
    cells.sampler.begin()
    cells.request()
    cells.sampler.look(NOW, 2.0)
    cells.request()
    after = cells.new_sampler()
    after.begin()
    cells.request()
    after.look(NOW + 2, 2.0)
    plot = after.plot(ROUTE, 4)
    assert plot["rate"] == [None, 0.5, None, 0.5]
    assert plot["p99"] == [None, pytest.approx(0.004975), None, pytest.approx(0.004975)]
    assert after.requests(TOTALS) == after.requests(ROUTE) == 3


def test_a_row_of_neither_route_nor_server_has_no_samples(cells: Cells) -> None:
    cells.sampler.begin()
    cells.request(NOBODY)
    cells.sampler.look(NOW, 2.0)
    assert cells.memory.traffic.samples(NOBODY) == {}
    assert cells.sampler.plot(NOBODY, 10) == {"rate": [], "errors": [], "p50": [], "p99": []}


@pytest.mark.parametrize("is_told", [True, False])
def test_a_row_that_another_server_gets_begins_anew(cells: Cells, is_told: bool) -> None:
    cells.sampler.begin()
    for _ in range(5):
        cells.add(SERVER, layout.REQUESTS)
    cells.sampler.look(NOW, 2.0)
    cells.memory.clear(SERVER)
    if is_told:
        cells.sampler.forget(SERVER)
    cells.add(SERVER, layout.REQUESTS)
    cells.sampler.look(NOW + 1, 2.0)
    assert cells.memory.traffic.samples(SERVER) == {NOW + 1: TrafficSample(1)}
