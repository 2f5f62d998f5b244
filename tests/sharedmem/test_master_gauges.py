"""What the master tells everybody."""

from __future__ import annotations

import pytest

from l7.sharedmem import master_gauges
from l7.sharedmem.master_gauges import STATES, WORKERS, MasterGauges
from l7.sharedmem.memory import MASTER, SharedMemory


@pytest.fixture
def known() -> MasterGauges:
    return MasterGauges(SharedMemory().writer(MASTER))


def test_workers_are_counted_by_state(known: MasterGauges) -> None:
    known[WORKERS + STATES.index("draining")] = 2
    assert known.workers() == {"starting": 0, "ready": 0, "draining": 2, "stopping": 0, "lost": 0}


def test_what_is_written_is_read_by_others() -> None:
    shared_memory = SharedMemory()
    MasterGauges(shared_memory.writer(MASTER))[master_gauges.GENERATION] = 7
    assert MasterGauges(shared_memory.writer(MASTER))[master_gauges.GENERATION] == 7


@pytest.mark.parametrize(
    ("phase", "ready", "why"),
    [
        (master_gauges.STARTING, 0, "0 of 2 workers are ready"),
        (master_gauges.STARTING, 1, "1 of 2 workers are ready"),
        (master_gauges.SERVING, 2, ""),
        (master_gauges.SERVING, 1, ""),
        (master_gauges.SERVING, 0, "0 of 2 workers are ready"),
        (master_gauges.ENDING, 2, "stopping"),
    ],
)
def test_readiness(known: MasterGauges, phase: int, ready: int, why: str) -> None:
    known[master_gauges.PHASE], known[master_gauges.WANTED] = phase, 2
    known[WORKERS + STATES.index("ready")] = ready
    assert known.unready() == why
