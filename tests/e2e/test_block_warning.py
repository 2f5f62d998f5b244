"""A worker whose loop stands still says where, while it does; one that was merely not run says nothing."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import CONFIG, ROOT, L7Process

STUCK = """\
import os, signal
def crawl():
    while not os.path.exists({flag!r}):
        sum(range(1000))
signal.signal(signal.SIGURG, lambda *_: crawl())
"""
"""A fault put into the program: on SIGURG its main thread computes until a file is there."""


@pytest.fixture
def flag(tmp_path) -> Path:
    return tmp_path / "flag"


@pytest.fixture
def proxy(l7, origin, tmp_path, flag) -> L7Process:
    (tmp_path / "sitecustomize.py").write_text(STUCK.format(flag=str(flag)))
    config = CONFIG.format(origin().address) + "block-warning: 300ms\n"
    return l7(config, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})


def test_the_stack_is_written_while_it_is_stuck(proxy, flag):
    (worker,) = proxy.workers()
    os.kill(worker, signal.SIGURG)
    said = proxy.wait_for_event(r"warning l7\[(\d+)\].* stands still for ([\d.]+) s, in (.*)")
    assert int(said[1]) == worker
    assert 0.3 < float(said[2]) < TIMEOUT
    assert re.search(r"crawl \(\S*sitecustomize.py:\d+\)", said[3]), said[3]
    assert not flag.exists()
    flag.touch()
    proxy.wait_for_event(r"turns again; it stood still for [\d.]+ s")
    assert get(proxy.address, host="a").status == 200


def test_each_episode_is_told_once(proxy, flag):
    (worker,) = proxy.workers()
    for episode in range(1, 3):
        start = len(proxy.events)
        os.kill(worker, signal.SIGURG)
        proxy.wait_for_event("loop.stuck", start=start)
        with pytest.raises(AssertionError, match="no event"):
            proxy.wait_for_event("loop.stuck", timeout=1.5, start=len(proxy.events))
        flag.touch()
        proxy.wait_for_event("loop.resumed", start=start)
        flag.unlink()
        assert sum("stands still" in line for line in proxy.events) == episode


def test_a_worker_that_was_stopped_is_not_stuck(proxy):
    (worker,) = proxy.workers()
    start = len(proxy.events)
    os.kill(worker, signal.SIGSTOP)
    with pytest.raises(AssertionError, match="no event"):
        proxy.wait_for_event("loop.stuck", timeout=1.5, start=start)
    os.kill(worker, signal.SIGCONT)
    assert get(proxy.address, host="a").status == 200
    with pytest.raises(AssertionError, match="no event"):
        proxy.wait_for_event("loop.stuck", timeout=1.0, start=start)
