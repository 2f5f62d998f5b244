"""What the master tells everybody."""

from __future__ import annotations

import pytest

from l7.telemetry import facts
from l7.telemetry.facts import STATES, WORKERS, Facts
from l7.telemetry.ledger import Ledger


@pytest.fixture
def known() -> Facts:
    return Facts(Ledger(8, 4))


def test_workers_are_counted_by_state(known: Facts) -> None:
    known[WORKERS + STATES.index("draining")] = 2
    assert known.workers() == {"starting": 0, "ready": 0, "draining": 2, "stopping": 0, "lost": 0}


def test_what_is_written_is_read_by_others() -> None:
    ledger = Ledger(8, 4)
    Facts(ledger)[facts.GENERATION] = 7
    assert Facts(ledger)[facts.GENERATION] == 7


@pytest.mark.parametrize(
    ("phase", "ready", "why"),
    [
        (facts.STARTING, 0, "0 of 2 workers are ready"),
        (facts.STARTING, 1, "1 of 2 workers are ready"),
        (facts.SERVING, 2, ""),
        (facts.SERVING, 1, ""),
        (facts.SERVING, 0, "0 of 2 workers are ready"),
        (facts.ENDING, 2, "stopping"),
    ],
)
def test_readiness(known: Facts, phase: int, ready: int, why: str) -> None:
    known[facts.PHASE], known[facts.WANTED] = phase, 2
    known[WORKERS + STATES.index("ready")] = ready
    assert known.unready() == why
