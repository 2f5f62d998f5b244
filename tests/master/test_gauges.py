"""What the master posts for whoever shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from l7.master.state.gauges import STATE_OF, MasterGaugeWriter
from l7.master.supervision.events import GenerationPlan
from l7.master.supervision.lifecycle import ChildState, MasterPhase
from l7.master.supervision.state import ChildRecord, initial_state
from l7.sharedmem import master_gauges
from l7.sharedmem.master_gauges import STATES, MasterGauges
from l7.sharedmem.memory import MASTER, SharedMemory

FLEET = initial_state(GenerationPlan(1, 2, 8.0, 300.0, 30.0, 1.0), 16, 0.0)
DONE: dict[str, Any] = {"ok": True, "at": 1_700_000_000.25}
FAILED: dict[str, Any] = {"ok": False, "at": 1_700_000_009.5}


@pytest.fixture
def shared_memory() -> SharedMemory:
    return SharedMemory()


def test_every_state_of_a_worker_that_lives_is_counted(shared_memory: SharedMemory) -> None:
    assert set(STATE_OF) == set(ChildState) - {ChildState.EXITED, ChildState.WAITING}
    assert set(STATE_OF.values()) == set(STATES)
    workers = tuple(ChildRecord(place, place, 1, 0.0, state) for place, state in enumerate(ChildState))
    MasterGaugeWriter(shared_memory.writer(MASTER), 1).look(replace(FLEET, children=workers), 1, None)
    assert MasterGauges(shared_memory.writer(MASTER)).workers() == {
        "starting": 1,
        "ready": 1,
        "draining": 2,
        "stopping": 1,
        "lost": 2,
    }


def test_readiness_follows_the_phase(shared_memory: SharedMemory) -> None:
    gauges, known = MasterGaugeWriter(shared_memory.writer(MASTER), 1), MasterGauges(shared_memory.writer(MASTER))
    assert known.unready()
    serving = replace(FLEET, phase=MasterPhase.SERVING, children=(ChildRecord(0, 0, 1, 0.0, ChildState.READY),))
    for phase in MasterPhase:
        gauges.look(replace(serving, phase=phase), 1, None)
        ends = phase in (MasterPhase.RETIRING, MasterPhase.DRAINING, MasterPhase.STOPPING, MasterPhase.STOPPED)
        assert (known.unready() == "stopping") is ends
        assert (known.unready() == "") is not (ends or phase is MasterPhase.STARTING)


def test_each_verdict_is_counted_once(shared_memory: SharedMemory) -> None:
    gauges, known = MasterGaugeWriter(shared_memory.writer(MASTER), 1), MasterGauges(shared_memory.writer(MASTER))
    assert known[master_gauges.LAST_RELOAD_AT] > 1_600_000_000_000
    for generation, verdict in ((1, None), (2, DONE), (2, DONE), (2, FAILED), (2, FAILED)):
        gauges.look(FLEET, generation, verdict)
    assert (
        known[master_gauges.RELOADS_DONE],
        known[master_gauges.RELOADS_FAILED],
        known[master_gauges.GENERATION],
    ) == (1, 1, 2)
    assert (known[master_gauges.LAST_RELOAD_FAILED], known[master_gauges.LAST_RELOAD_AT]) == (1, 1_700_000_009_500)
    gauges.look(FLEET, 3, dict(DONE))
    assert (known[master_gauges.RELOADS_DONE], known[master_gauges.LAST_RELOAD_FAILED]) == (2, 0)


def test_starts_of_workers_are_counted(shared_memory: SharedMemory) -> None:
    gauges = MasterGaugeWriter(shared_memory.writer(MASTER), 1)
    gauges.started()
    gauges.started()
    assert MasterGauges(shared_memory.writer(MASTER))[master_gauges.WORKER_STARTS] == 2
