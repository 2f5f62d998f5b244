"""The retry budget: a share of what all workers answer, and a number for small sites."""

from __future__ import annotations

from l7.balancing import cells
from l7.balancing.budget import ALWAYS, Budget
from l7.balancing.lane import Lane
from l7.telemetry.ledger import FIRST_ROW, FIRST_WORKER, Ledger


def two_workers() -> tuple[Ledger, Lane, Lane]:
    ledger = Ledger(FIRST_ROW + 1, FIRST_WORKER + 2)
    ledger.open(FIRST_WORKER + 1)
    one, other = (Lane(ledger.cells, ledger.rows * cells.ROW, FIRST_WORKER + number) for number in (0, 1))
    return ledger, one, other


def test_a_small_site_can_retry() -> None:
    _, lane, _ = two_workers()
    budget = Budget(lane, FIRST_ROW, 0.2, 0.0)
    assert all(budget.take(1.0) for _ in range(ALWAYS))
    assert not budget.take(1.0)


def test_a_share_of_what_all_workers_answer() -> None:
    ledger, one, other = two_workers()
    mine, theirs = Budget(one, FIRST_ROW, 0.2, 0.0), Budget(other, FIRST_ROW, 0.2, 0.0)
    other.add(FIRST_ROW * cells.ROW + cells.STATUS + 2, 10_000)
    taken = sum(budget.take(1.0) for _ in range(3000) for budget in (mine, theirs))
    assert taken == 2000
    assert ledger.total(FIRST_ROW, cells.RETRIED) == 2000
    assert ledger.total(FIRST_ROW, cells.NOT_RETRIED) == 4000


def test_what_was_long_ago_is_forgotten() -> None:
    _, lane, _ = two_workers()
    budget = Budget(lane, FIRST_ROW, 0.2, 0.0)
    lane.add(FIRST_ROW * cells.ROW + cells.STATUS + 2, 10_000)
    assert sum(budget.take(1.0) for _ in range(3000)) == 2000
    assert not budget.take(4.0)
    assert sum(budget.take(3600.0) for _ in range(3000)) == ALWAYS, "an hour of traffic does not pay for an outage"


def test_after_a_time_without_retries_the_traffic_of_one_window_counts() -> None:
    _, lane, _ = two_workers()
    budget = Budget(lane, FIRST_ROW, 0.2, 0.0)
    lane.add(FIRST_ROW * cells.ROW + cells.STATUS + 2, 100_000)  # in 100 s: 10,000 in a window
    assert sum(budget.take(100.0) for _ in range(3000)) == 2000
