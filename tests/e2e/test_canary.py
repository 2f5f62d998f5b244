"""Reloads whose first new worker fails, hangs, or answers worse: the old generation stays, and the reason is said."""

from __future__ import annotations

import os
import signal

import pytest

from tests.harness.client import get
from tests.harness.l7process import CONFIG, NOBODY, L7Process
from tests.harness.lifecycle import canary
from tests.harness.load import Load, load_without_loss
from tests.harness.origin import Reply


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_one_that_ends_brings_the_old_generation_back(l7, origin, number):
    proxy = l7(
        CONFIG.format(origin().address) + "canary-time: 20s\naccess-log: off\n",
        workers=2,
        leaks=False,
    )
    before = proxy.workers()
    with Load(proxy) as load:
        load.more()
        proxy.hup()
        canary(proxy).send_signal(number)
        proxy.wait_for_event("reload.failed", generation=2, back=1)
        proxy.wait_for_event("reload.undone", generation=1, workers=2)
        load.more()
    assert len(load.bad) <= 3, "what it was serving, at most"
    assert proxy.workers() == before


def test_one_that_hangs_brings_the_old_generation_back(l7, origin):
    proxy = l7(
        CONFIG.format(origin().address) + "canary-time: 30s\nworker-timeout: 6s\n",
        workers=2,
        leaks=False,
    )
    before = proxy.workers()
    proxy.hup()
    victim = canary(proxy)
    os.kill(victim.pid, signal.SIGSTOP)
    proxy.wait_for_event("reload failed: worker 1 hangs")
    proxy.wait_for_event("reload.undone", generation=1)
    proxy.wait_for(lambda: proxy.workers() == before, "its end")
    assert get(proxy.address, host="a").status == 200


def test_one_that_answers_worse_brings_the_old_generation_back(l7, origin):
    good = origin(lambda _: Reply(body=b"good"))
    proxy = l7(CONFIG.format(good.address) + "canary-time: 15s\naccess-log: off\n", workers=2)
    before = proxy.workers()
    proxy.write_config(NOBODY + "canary-time: 15s\naccess-log: off\npreflight: 0s\n")
    with Load(proxy) as load:
        load.more()
        proxy.hup()
        load_goes_on(proxy, load)
        line = proxy.wait_for_event("reload failed: the canary answers worse: .*").group()
        assert "errors of l7's own; the old workers: " in line
        proxy.wait_for_event("reload.undone", generation=1)
        proxy.wait_for(lambda: proxy.workers() == before, "its end")
    with load_without_loss(proxy):
        pass


def load_goes_on(proxy: L7Process, load: Load) -> None:
    """The load notes what is bad and goes on; wait until the canary had its share of it."""
    proxy.wait_for(lambda: len(load.bad) > 3, "some bad answers")


def test_one_that_is_as_bad_as_the_old_ones_is_let_through(l7, origin):
    config = NOBODY + "canary-time: 1s\naccess-log: off\n"
    proxy = l7(config, workers=2)
    with Load(proxy):
        proxy.hup()
        proxy.wait_for_event("reload.proven")
        proxy.wait_for_event("reload.done", generation=2)


def test_every_step_is_said_with_the_generation(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "canary-time: 100ms\n", workers=2)
    proxy.hup()
    proxy.wait_for_event("generation 2: reload: nothing changed")
    for name in ("reload.started", "reload.watched", "reload.proven", "worker.ready", "reload.done"):
        proxy.wait_for_event(name, generation=2)


def test_no_canary_time_is_no_watch(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "canary-time: 0s\n")
    proxy.hup()
    proxy.wait_for_event("reload.done")
    assert not any("watched" in line for line in proxy.events)
