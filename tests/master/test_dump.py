"""The dump of USR1: what it tells of each process."""

from __future__ import annotations

import re
import time

import pytest

from l7.clock import monotonic
from l7.ipc.channel import Channel, pair
from l7.master.children.handle import ChildProcess
from l7.master.control.config_dump import process_lines
from l7.sharedmem.scoreboard import BEAT, CHECKED, CONNECTIONS, IN_FLIGHT, NAMES, Scoreboard


@pytest.fixture
def handle():
    ours, theirs = map(Channel, pair())
    yield lambda slot, index, generation: ChildProcess(
        slot, index, generation, 10**6 + slot, ours, monotonic() - 1.25, "abc123"
    )
    ours.close()
    theirs.close()


def test_each_process_is_told_of_as_the_board_knows_it(handle):
    scoreboard = Scoreboard(3)
    now = time.monotonic_ns()
    scoreboard.slot(0)[IN_FLIGHT], scoreboard.slot(0)[CONNECTIONS], scoreboard.slot(0)[BEAT] = 2, 3, now
    scoreboard.slot(1)[BEAT] = now - 7 * 10**9
    scoreboard.slot(2)[CHECKED], scoreboard.slot(2)[NAMES], scoreboard.slot(2)[BEAT] = 4, 5, now
    lines = process_lines([handle(0, 0, 2), handle(1, 1, 1), handle(2, -1, 2)], {0: "ready", 1: "draining"}, scoreboard)
    assert [re.sub(r"(age|for) [\d.]+ s", r"\1 N s", line) for line in lines] == [
        "worker 2: pid 1000001, generation 1, digest abc123, age N s, requests in flight 0, connections 0, draining,"
        " no heartbeat for N s",
        "monitor: pid 1000002, generation 2, digest abc123, age N s, servers checked 4, names 5, gone",
        "worker 1: pid 1000000, generation 2, digest abc123, age N s, requests in flight 2, connections 3, ready",
    ]
    ages = [float(found[1]) for line in lines if (found := re.search(r"age ([\d.]+) s", line))]
    assert all(age >= 1.2 for age in ages)
    assert float(lines[0].rpartition("for ")[2].removesuffix(" s")) >= 7.0
