"""The queue of one worker beside those of others, without a server."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from l7.balancing.members import Member
from l7.config.sections.backends import Queue as Settings
from l7.errors import ProxyError
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import LOOKED, OLDEST, TILE, WRITERS, place
from l7.workers.upstream.queue import ASLEEP, RequestQueue
from l7.workers.upstream.request_deadline import NO_DEADLINE
from tests.workers.loop import Ends, exchange_on, proxy_of

OTHER, OURS = 0, 1


class Play:
    """A queue in one lane, another worker in the other one, and places that are free."""

    def __init__(self, ends: Ends) -> None:
        cells = memoryview(bytearray(TILE * 8)).cast("q")
        cells[WRITERS] = 2
        self.other = CounterWriter([cells], OTHER)
        self.member = Member("a", CounterWriter([cells], OURS), 1)
        self.queue = RequestQueue(self, self.member.writer, 1, Settings(timeout=1))
        self._ends = ends
        self._proxy = proxy_of(ends.sweeper)

    def claim(self, forwarded: Any, tried: Any) -> Member | None:
        return None if self.member in tried else self.member

    def wait(self, *tried: Member) -> Member:
        client = exchange_on(self._ends.pair()[0], self._proxy)
        forwarded = SimpleNamespace(client=client, deadline=NO_DEADLINE, exchange=SimpleNamespace(queue_time=0.0))
        return self.queue.wait(forwarded, tried)

    def show(self, looked: int) -> None:
        """Let somebody have been waiting for long in the other worker, which looked for a place at ``looked``."""
        self.other.put(place(1, OLDEST), 1)
        self.other.put(place(1, LOOKED), looked)


@pytest.fixture
def play(ends: Ends) -> Play:
    return Play(ends)


def test_who_waits_longer_in_another_worker_goes_first(play: Play) -> None:
    play.show(time.monotonic_ns() + 10**12)
    waiting = gevent.spawn(play.wait)
    gevent.sleep(0.05)
    assert not waiting.ready()
    play.other.put(place(1, OLDEST), 0)
    assert waiting.get(timeout=5) is play.member


def test_a_worker_that_hangs_holds_nobody_up(play: Play) -> None:
    play.show(time.monotonic_ns())
    began = time.monotonic_ns()
    assert gevent.spawn(play.wait).get(timeout=5) is play.member
    assert time.monotonic_ns() - began >= ASLEEP // 2


def test_a_worker_that_is_awake_is_waited_for_to_the_end(play: Play) -> None:
    play.show(time.monotonic_ns() + 10**12)
    with pytest.raises(ProxyError, match="waited 1"):
        gevent.spawn(play.wait).get(timeout=5)


def test_who_waits_for_another_server_holds_nobody_up(play: Play) -> None:
    retry = gevent.spawn(play.wait, play.member)
    gevent.sleep(0)
    assert (play.queue.waiting, play.member.writer.get(place(1, OLDEST))) == (1, 0)
    assert gevent.spawn(play.wait).get(timeout=30) is play.member
    assert not retry.ready()
    with pytest.raises(ProxyError, match="waited 1"):
        retry.get(timeout=30)
