"""The retry budget: a share of what all workers answer, and a number for small sites."""

from __future__ import annotations

from l7.balancing.budget import ALWAYS, RetryBudget
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.memory import FIRST_ROW, FIRST_WORKER, MASTER, SharedMemory


def two_workers() -> tuple[SharedMemory, CounterWriter, CounterWriter]:
    shared_memory = SharedMemory()
    shared_memory.open(FIRST_WORKER + 1)
    one, other = (shared_memory.writer(FIRST_WORKER + number) for number in (0, 1))
    return shared_memory, one, other


def test_a_small_site_can_retry() -> None:
    _, writer, _ = two_workers()
    budget = RetryBudget(writer, FIRST_ROW, 0.2, 0.0)
    assert all(budget.take(1.0) for _ in range(ALWAYS))
    assert not budget.take(1.0)


def test_a_share_of_what_all_workers_answer() -> None:
    shared_memory, one, other = two_workers()
    mine, theirs = RetryBudget(one, FIRST_ROW, 0.2, 0.0), RetryBudget(other, FIRST_ROW, 0.2, 0.0)
    other.add(layout.place(FIRST_ROW, layout.STATUS + 2), 10_000)
    taken = sum(budget.take(1.0) for _ in range(3000) for budget in (mine, theirs))
    assert taken == 2000
    assert shared_memory.writer(MASTER).total(layout.place(FIRST_ROW, layout.RETRIED)) == 2000
    assert shared_memory.writer(MASTER).total(layout.place(FIRST_ROW, layout.NOT_RETRIED)) == 4000


def test_what_was_long_ago_is_forgotten() -> None:
    _, writer, _ = two_workers()
    budget = RetryBudget(writer, FIRST_ROW, 0.2, 0.0)
    writer.add(layout.place(FIRST_ROW, layout.STATUS + 2), 10_000)
    assert sum(budget.take(1.0) for _ in range(3000)) == 2000
    assert not budget.take(4.0)
    assert sum(budget.take(3600.0) for _ in range(3000)) == ALWAYS, "an hour of traffic does not pay for an outage"


def test_after_a_time_without_retries_the_traffic_of_one_window_counts() -> None:
    _, writer, _ = two_workers()
    budget = RetryBudget(writer, FIRST_ROW, 0.2, 0.0)
    writer.add(layout.place(FIRST_ROW, layout.STATUS + 2), 100_000)  # in 100 s: 10,000 in a window
    assert sum(budget.take(100.0) for _ in range(3000)) == 2000
