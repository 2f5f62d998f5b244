"""The phases of a worker, and what its connections make of each."""

from __future__ import annotations

import pytest

from l7.config.schema import Limits, Timeouts
from l7.http.parser import RequestParser
from l7.workers.downstream.request_handler import RequestHandler
from l7.workers.limits import ClientProtocolLimits
from l7.workers.phase import WorkerPhase
from l7.workers.runtime.greenlet_pool import GreenletPool

FACTS = {
    WorkerPhase.SERVING: set(),
    WorkerPhase.HANDING_OVER: {"draining", "handing_over"},
    WorkerPhase.FINISHING: {"draining", "ending"},
    WorkerPhase.STOPPING: {"draining", "ending", "stopping"},
    WorkerPhase.CUTTING_OFF: {"draining", "ending", "stopping", "cutting_off"},
}
ALL = set().union(*FACTS.values())


def handler() -> RequestHandler:
    limits = ClientProtocolLimits(Limits(), Timeouts())
    return RequestHandler(GreenletPool(), RequestParser(100, 8192), limits)


def facts(of: RequestHandler) -> set[str]:
    return {fact for fact in ALL if getattr(of, fact)}


def test_it_begins_by_serving():
    assert handler().phase is WorkerPhase.SERVING
    assert facts(handler()) == set()


@pytest.mark.parametrize("before", WorkerPhase)
@pytest.mark.parametrize("after", WorkerPhase)
def test_phases_only_go_forward(before, after):
    worker = handler()
    worker.enter(before)
    assert worker.enter(after) == (after > before)
    assert worker.phase is max(before, after)
    assert facts(worker) == FACTS[max(before, after)]


def test_overload_is_no_phase():
    worker = handler()
    worker.overloaded = True
    assert worker.phase is WorkerPhase.SERVING and facts(worker) == set()
