"""Jobs and the greenlets that run them."""

from __future__ import annotations

import sys

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from l7.workers import crew as crews
from l7.workers.crew import Crew
from tests.workers.loop import turn, until


def test_a_job_runs_after_who_started_it_lets_go():
    crew, ran = Crew(), []
    crew.start(lambda: ran.append(1))
    assert ran == []
    until(lambda: ran)
    assert crew.working == 0


def test_begun_from_the_loop_it_runs_at_once():
    crew, ran = Crew(), []

    def callback() -> None:
        crew.begin(lambda: ran.append("job"))
        ran.append("callback")

    gevent.get_hub().loop.run_callback(callback)
    until(lambda: len(ran) == 2)
    assert ran == ["job", "callback"]


def test_greenlets_are_used_again():
    crew, seen = Crew(), set()
    for _ in range(20):
        crew.start(lambda: seen.add(getcurrent()))
        turn(1)
    assert len(seen) == 1


def test_jobs_that_wait_do_not_hold_others():
    crew, go, ended = Crew(), Event(), []

    def job() -> None:
        go.wait()
        ended.append(getcurrent())

    for _ in range(10):
        crew.start(job)
    until(lambda: crew.working == 10)
    go.set()
    until(lambda: len(ended) == 10)
    assert crew.working == 0 and len(set(ended)) == 10


def test_a_job_that_fails_is_told_and_harms_nobody(monkeypatch):
    crew, told, ran = Crew(), [], []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: told.append(error))

    def fail() -> None:
        raise RuntimeError("on purpose")

    crew.start(fail)
    until(lambda: told)
    assert str(told[0]) == "on purpose" and crew.working == 0
    crew.start(lambda: ran.append(1))
    until(lambda: ran)


def test_no_more_than_so_many_greenlets_are_kept():
    crew, go = Crew(), Event()
    for _ in range(crews.PARKED + 20):
        crew.start(go.wait)
    until(lambda: crew.working == crews.PARKED + 20)
    go.set()
    until(lambda: crew.working == 0)
    if not hasattr(crew, "_parked"):
        pytest.skip("compiled: what is parked cannot be seen")
    assert len(crew._parked) <= crews.PARKED
