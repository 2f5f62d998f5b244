"""Jobs and the greenlets that run them."""

from __future__ import annotations

import sys

import gevent
import pytest
from gevent.event import Event
from greenlet import getcurrent

from l7.workers.runtime import greenlet_pool as crews
from l7.workers.runtime.greenlet_pool import GreenletPool
from tests.workers.loop import turn, until


def test_a_job_runs_after_who_started_it_lets_go():
    greenlets, ran = GreenletPool(), []
    greenlets.start(lambda: ran.append(1))
    assert ran == []
    until(lambda: ran)
    assert greenlets.working == 0


def test_begun_from_the_loop_it_runs_at_once():
    greenlets, ran = GreenletPool(), []

    def callback() -> None:
        greenlets.begin(lambda: ran.append("task"))
        ran.append("callback")

    gevent.get_hub().loop.run_callback(callback)
    until(lambda: len(ran) == 2)
    assert ran == ["task", "callback"]


def test_greenlets_are_used_again():
    greenlets, seen = GreenletPool(), set()
    for _ in range(20):
        greenlets.start(lambda: seen.add(getcurrent()))
        turn(1)
    assert len(seen) == 1


def test_jobs_that_wait_do_not_hold_others():
    greenlets, go, ended = GreenletPool(), Event(), []

    def task() -> None:
        go.wait()
        ended.append(getcurrent())

    for _ in range(10):
        greenlets.start(task)
    until(lambda: greenlets.working == 10)
    go.set()
    until(lambda: len(ended) == 10)
    assert greenlets.working == 0 and len(set(ended)) == 10


def test_a_job_that_fails_is_told_and_harms_nobody(monkeypatch):
    greenlets, told, ran = GreenletPool(), [], []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: told.append(error))

    def fail() -> None:
        raise RuntimeError("on purpose")

    greenlets.start(fail)
    until(lambda: told)
    assert str(told[0]) == "on purpose" and greenlets.working == 0
    greenlets.start(lambda: ran.append(1))
    until(lambda: ran)


def test_no_more_than_so_many_greenlets_are_kept():
    greenlets, go = GreenletPool(), Event()
    for _ in range(crews.PARKED + 20):
        greenlets.start(go.wait)
    until(lambda: greenlets.working == crews.PARKED + 20)
    go.set()
    until(lambda: greenlets.working == 0)
    if not hasattr(greenlets, "_parked"):
        pytest.skip("compiled: what is parked cannot be seen")
    assert len(greenlets._parked) <= crews.PARKED
