"""The traffic of the last minutes: kept over processes, bounded, forgotten with its row."""

from __future__ import annotations

import multiprocessing

import pytest

from l7.sharedmem import traffic_history
from l7.sharedmem.memory import SharedMemory
from l7.sharedmem.traffic_history import PLACES, SHOWN, TOTALS, TrafficHistory, TrafficSample

ROW = 77
NOW = 100_000


def sample(number: int) -> TrafficSample:
    return TrafficSample(number, number // 2, number // 3, number * 5, number * 7)


def test_each_process_reads_what_another_one_wrote() -> None:
    history = TrafficHistory()

    def write() -> None:
        for number in range(1, 10):
            assert history.write(ROW, NOW + number, sample(number))
        history.write(TOTALS, NOW, TrafficSample())
        history.note_round(NOW, 2.5)

    process = multiprocessing.get_context("fork").Process(target=write)
    process.start()
    process.join()
    assert process.exitcode == 0
    assert history.samples(ROW) == {NOW + number: sample(number) for number in range(1, 10)}
    assert history.samples(TOTALS) == {NOW: TrafficSample()}
    assert history.samples(ROW + 1) == {}
    assert history.rounds(NOW + 1)[-3:] == [(NOW - 1, 0.0), (NOW, 2.5), (NOW + 1, 0.0)]


def test_the_last_five_minutes_are_kept() -> None:
    history = TrafficHistory()
    for number in range(NOW, NOW + 1000):
        history.note_round(number, 2.0)
        history.write(ROW, number, sample(number % 100))
    last = NOW + 999
    assert history.rounds(last) == [(number, 2.0) for number in range(last - SHOWN + 1, last + 1)]
    samples = history.samples(ROW)
    assert all(samples[number] == sample(number % 100) for number, _ in history.rounds(last))


@pytest.mark.parametrize("number", [0, 1, SHOWN - 1, SHOWN])
def test_a_machine_that_has_just_been_started_has_samples(number: int) -> None:
    """The monotonic clock begins at 0 there: no round is as old as what is shown."""
    history = TrafficHistory()
    history.note_round(number, 2.0)
    assert history.write(ROW, number, sample(9))
    assert history.samples(ROW) == {number: sample(9)}
    assert history.rounds(number)[-1] == (number, 2.0)
    assert all(history.write(ROW + one, number, sample(9)) for one in range(1, PLACES))
    assert not history.write(ROW + PLACES, number, sample(9))


def test_what_is_too_much_for_a_cell_is_cut() -> None:
    history = TrafficHistory()
    history.write(ROW, NOW, TrafficSample(1 << 40, 1 << 40, 1 << 40, 1 << 40, (1 << 32) - 2))
    history.note_round(NOW, 1e9)
    assert history.samples(ROW)[NOW][:4] == ((1 << 32) - 1, (1 << 31) - 1, (1 << 32) - 1, (1 << 31) - 1)
    history.write(ROW, NOW + 1, TrafficSample(1, 0, 0, -1, -1))
    assert history.samples(ROW)[NOW + 1] == TrafficSample(1, 0, 0, -1, -1)


def test_a_row_that_is_given_away_is_forgotten() -> None:
    memory = SharedMemory()
    for row in (ROW, ROW + 1):
        memory.traffic.write(row, NOW, sample(3))
    memory.clear(ROW)
    assert memory.traffic.samples(ROW) == {}
    assert memory.traffic.samples(ROW + 1) == {NOW: sample(3)}
    memory.traffic.write(ROW, NOW + 1, sample(4))
    assert memory.traffic.samples(ROW) == {NOW + 1: sample(4)}


def test_each_row_is_forgotten_and_no_other() -> None:
    history, rows = TrafficHistory(), [0, 1, 255, 256, 257, 65535, 65536, 65793, (1 << 24) - 1, 1 << 24]
    for row in rows:
        history.write(row, 257, sample(1))
    for number, row in enumerate(rows, 1):
        history.clear({row})
        assert [bool(history.samples(one)) for one in rows] == [False] * number + [True] * (len(rows) - number)


def test_places_are_given_to_others_only_when_their_row_has_had_no_traffic_for_long() -> None:
    history = TrafficHistory()
    assert all(history.write(row, NOW, sample(1)) for row in range(PLACES))
    assert not history.write(PLACES, NOW + 1, sample(1))
    history.write(ROW, NOW + SHOWN - 1, sample(2))
    assert not history.write(PLACES, NOW + SHOWN - 1, sample(1))
    assert history.write(PLACES, NOW + SHOWN, sample(9))
    history.write(ROW + 1, NOW + SHOWN, sample(2))  # after the places were counted that could be given away
    found = [history.write(row, NOW + SHOWN, sample(9)) for row in range(PLACES + 1, 2 * PLACES)]
    assert found == [True] * (PLACES - 3) + [False] * 2, "a row with traffic has lost its place"
    assert history.samples(ROW) == {NOW: sample(1), NOW + SHOWN - 1: sample(2)}
    assert history.samples(ROW + 1) == {NOW: sample(1), NOW + SHOWN: sample(2)}
    assert history.samples(ROW + 2) == {}
    assert history.samples(PLACES) == {NOW + SHOWN: sample(9)}


def test_rows_without_traffic_take_no_memory() -> None:
    assert traffic_history.PLACES * 4096 < 20 << 20
    history = TrafficHistory()
    assert history.samples(1 << 20) == {}
