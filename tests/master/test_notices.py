"""What the master posts for whoever shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from l7.master.fleet import Worker, first
from l7.master.lifecycle import MasterState, WorkerState
from l7.master.notices import STATE_OF, Notices
from l7.master.vocabulary import Plan
from l7.telemetry import facts
from l7.telemetry.facts import STATES, Facts
from l7.telemetry.ledger import Ledger

FLEET = first(Plan(1, 2, 8.0, 300.0, 30.0, 1.0), 16, 0.0)
DONE: dict[str, Any] = {"ok": True, "at": 1_700_000_000.25}
FAILED: dict[str, Any] = {"ok": False, "at": 1_700_000_009.5}


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(8, 4)


def test_every_state_of_a_worker_that_lives_is_counted(ledger: Ledger) -> None:
    assert set(STATE_OF) == set(WorkerState) - {WorkerState.EXITED}
    assert set(STATE_OF.values()) == set(STATES)
    workers = tuple(Worker(place, place, 1, 0.0, state) for place, state in enumerate(WorkerState))
    Notices(ledger, 1).look(replace(FLEET, workers=workers), 1, None)
    assert Facts(ledger).workers() == {"starting": 1, "ready": 1, "draining": 1, "stopping": 1, "lost": 3}


def test_readiness_follows_the_phase(ledger: Ledger) -> None:
    notices, known = Notices(ledger, 1), Facts(ledger)
    assert known.unready()
    serving = replace(FLEET, phase=MasterState.SERVING, workers=(Worker(0, 0, 1, 0.0, WorkerState.READY),))
    for phase in MasterState:
        notices.look(replace(serving, phase=phase), 1, None)
        ends = phase in (MasterState.RETIRING, MasterState.DRAINING, MasterState.STOPPING, MasterState.STOPPED)
        assert (known.unready() == "stopping") is ends
        assert (known.unready() == "") is not (ends or phase is MasterState.STARTING)


def test_each_verdict_is_counted_once(ledger: Ledger) -> None:
    notices, known = Notices(ledger, 1), Facts(ledger)
    assert known[facts.LAST_RELOAD_AT] > 1_600_000_000_000
    for generation, verdict in ((1, None), (2, DONE), (2, DONE), (2, FAILED), (2, FAILED)):
        notices.look(FLEET, generation, verdict)
    assert (known[facts.RELOADS_DONE], known[facts.RELOADS_FAILED], known[facts.GENERATION]) == (1, 1, 2)
    assert (known[facts.LAST_RELOAD_FAILED], known[facts.LAST_RELOAD_AT]) == (1, 1_700_000_009_500)
    notices.look(FLEET, 3, dict(DONE))
    assert (known[facts.RELOADS_DONE], known[facts.LAST_RELOAD_FAILED]) == (2, 0)


def test_starts_of_workers_are_counted(ledger: Ledger) -> None:
    notices = Notices(ledger, 1)
    notices.started()
    notices.started()
    assert Facts(ledger)[facts.WORKER_STARTS] == 2
