"""Reloads whose first new worker fails, hangs, or answers worse: the old generation stays, and the reason is said."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.e2e.test_reload import Load, load_without_loss
from tests.e2e.test_signals import CONFIG
from tests.harness.client import get
from tests.harness.l7process import L7Process
from tests.harness.origin import Reply


def canary(proxy: L7Process) -> psutil.Process:
    """The new worker that is being watched."""
    proxy.wait_for_event("canary: worker 1 is ready, and watched for")
    (found,) = [
        child for child in psutil.Process(proxy.pid).children() if child.cmdline()[0] == "l7: worker 1 (generation 2)"
    ]
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_one_that_ends_brings_the_old_generation_back(l7, origin, number):
    proxy = l7(CONFIG.format(origin().address) + "canary-time: 20s\naccess-log: off\n", workers=2, leaks=False)
    before = proxy.workers()
    with Load(proxy) as load:
        load.more()
        proxy.hup()
        canary(proxy).send_signal(number)
        proxy.wait_for_event("generation 2: reload failed: .*generation 2 is given up, back to generation 1")
        proxy.wait_for_event("generation 1: reload undone: generation 1, 2 workers")
        load.more()
    assert len(load.bad) <= 3, "what it was serving, at most"
    assert proxy.workers() == before


def test_one_that_hangs_brings_the_old_generation_back(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "canary-time: 1s\nworker-timeout: 2s\n", workers=2, leaks=False)
    before = proxy.workers()
    proxy.hup()
    victim = canary(proxy)
    os.kill(victim.pid, signal.SIGSTOP)
    proxy.wait_for_event("reload failed: worker 1 hangs")
    proxy.wait_for_event("reload undone: generation 1")
    proxy.wait_for(lambda: proxy.workers() == before, "its end")
    assert get(proxy.address, host="a").status == 200


def test_one_that_answers_worse_brings_the_old_generation_back(l7, origin):
    good = origin(lambda _: Reply(body=b"good"))
    proxy = l7(CONFIG.format(good.address) + "canary-time: 15s\naccess-log: off\n", workers=2)
    before = proxy.workers()
    proxy.write_config(CONFIG.format("127.0.0.1:9") + "canary-time: 15s\naccess-log: off\n")
    with Load(proxy) as load:
        load.more()
        proxy.hup()
        load_goes_on(proxy, load)
        line = proxy.wait_for_event("reload failed: the canary answers worse: .*").group()
        assert "errors of l7's own; the old workers: " in line
        proxy.wait_for_event("reload undone: generation 1")
        proxy.wait_for(lambda: proxy.workers() == before, "its end")
    with load_without_loss(proxy):
        pass


def load_goes_on(proxy: L7Process, load: Load) -> None:
    """The load notes what is bad and goes on; wait until the canary had its share of it."""
    proxy.wait_for(lambda: len(load.bad) > 3, "some bad answers")


def test_one_that_is_as_bad_as_the_old_ones_is_let_through(l7, origin):
    config = CONFIG.format("127.0.0.1:9") + "canary-time: 1s\naccess-log: off\n"
    proxy = l7(config, workers=2)
    with Load(proxy):
        proxy.hup()
        proxy.wait_for_event("canary: proven; ")
        proxy.wait_for_event("reload done: generation 2")


def test_every_step_is_said_with_the_generation(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "canary-time: 100ms\n", workers=2)
    proxy.hup()
    for step in (
        "reload: nothing changed",
        "canary: one worker of the new generation is started",
        "canary: worker 1 is ready, and watched for 0.1 s",
        "canary: proven; ",
        "worker 2 of generation 2 ready after .*: 2 of 2",
        "reload done: generation 2, 2 workers",
    ):
        proxy.wait_for_event(f"generation 2: {step}")


def test_no_canary_time_is_no_watch(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "canary-time: 0s\n")
    proxy.hup()
    proxy.wait_for_event("reload done")
    assert not any("watched" in line for line in proxy.events)
