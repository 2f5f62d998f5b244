"""Requests that wait for a server that takes connections: their order, their pace and their end, without a server."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from l7.balancing.members import Member
from l7.errors import CONNECT_REFUSED, ProxyError
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import KNOCKED_AT, RETRYING, RETRYING_LOOKED, RETRYING_OLDEST, TILE, WRITERS, place
from l7.sharedmem.memory import MONITOR
from l7.workers.upstream.request_deadline import NO_DEADLINE
from l7.workers.upstream.retry_queue import MOST_TRYING, RetryQueue
from tests.workers.loop import Ends, exchange_on, proxy_of, until

BACKEND, SERVER = 1, 2
OURS, OTHER = 2, 3
REFUSED = ProxyError(CONNECT_REFUSED, "nobody listens")


class Play:
    """A queue in one lane, another worker in the next one, a monitor, and a server that takes connections or not."""

    def __init__(self, ends: Ends, seconds: float) -> None:
        cells = memoryview(bytearray(TILE * 8)).cast("q")
        cells[WRITERS] = 4
        self.writer, self.other, self.monitor = (CounterWriter([cells], number) for number in (OURS, OTHER, MONITOR))
        self.member = Member("a", self.writer, SERVER)
        self.at = place(BACKEND)
        self.members = [self.member]
        self.settled = 0
        self.queue = RetryQueue(self, self.writer, seconds)
        self.order: list[int] = []
        self._ends = ends
        self._proxy = proxy_of(ends.sweeper, **{"half-closed": 60})
        self.takes(False)

    def settle(self) -> None:
        self.settled += 1

    def takes(self, takes: bool) -> None:
        self.member.unreachable = not takes
        self.monitor.put(self.member.at + KNOCKED_AT, time.monotonic_ns() + 10**12)

    def forsake(self) -> None:
        """Let nobody knock any more."""
        self.monitor.put(self.member.at + KNOCKED_AT, 1)

    def forwarded(self, number: int = 0) -> Any:
        stream, peer = self._ends.pair()
        return SimpleNamespace(
            client=exchange_on(stream, self._proxy), deadline=NO_DEADLINE, exchange=SimpleNamespace(queue_time=0.0),
            number=number, peer=peer, released=False, failing_since=0.0,
        )  # fmt: skip

    def go_on(self, forwarded: Any) -> Any:
        """Wait, and note who goes on."""
        self.queue.wait(forwarded, REFUSED)
        self.order.append(forwarded.number)
        return forwarded


@pytest.fixture
def play(ends: Ends) -> Play:
    return Play(ends, 60.0)


def start(play: Play, count: int) -> list[gevent.Greenlet[..., Any]]:
    begun = []
    for number in range(count):
        begun.append(gevent.spawn(play.go_on, play.forwarded(number)))
        gevent.sleep(0)
    until(lambda: play.queue.waiting >= count, "all of them")
    return begun


def test_nobody_goes_on_while_no_server_takes_connections(play: Play) -> None:
    start(play, 3)
    gevent.sleep(0.1)
    assert play.order == []
    assert play.writer.get(play.at + RETRYING) == 3
    assert play.settled == 1, "from now on those who come are looked at"


def test_one_goes_on_and_each_that_has_its_connection_lets_more_follow(play: Play) -> None:
    waiting = start(play, 200)
    play.takes(True)
    until(lambda: len(play.order) == 1, "the first one")
    gevent.sleep(0.05)
    assert play.order == [0], "until it is known what becomes of it"
    on_their_way = 0
    for number in range(200):
        until(lambda: len(play.order) > number, "the next one")  # noqa: B023
        on_their_way = max(on_their_way, len(play.order) - number)
        play.queue.connected(waiting[number].get(timeout=5))
    assert play.order == list(range(200))
    assert on_their_way <= MOST_TRYING
    until(lambda: play.queue.waiting == 0, "the end")
    assert play.writer.get(play.at + RETRYING) == play.writer.get(play.at + RETRYING_OLDEST) == 0
    assert play.settled == 2


def test_who_is_refused_once_more_is_back_at_its_old_place(play: Play) -> None:
    waiting = start(play, 3)
    play.takes(True)
    first = waiting[0].get(timeout=5)
    play.takes(False)
    again = gevent.spawn(play.go_on, first)
    until(lambda: play.queue.waiting == 3, "it waits again")
    gevent.sleep(0.05)
    assert play.order == [0]
    play.takes(True)
    play.queue.connected(again.get(timeout=5))
    until(lambda: len(play.order) == 4, "the others")
    assert play.order == [0, 0, 1, 2]


def test_where_nobody_knocks_one_request_at_a_time_does(play: Play) -> None:
    start(play, 5)
    play.forsake()
    began = time.monotonic()
    until(lambda: len(play.order) == 3, "three of them")
    assert time.monotonic() - began >= 0.15
    assert play.order == [0, 1, 2]


def test_the_time_is_counted_from_the_first_failure(ends: Ends) -> None:
    play = Play(ends, 0.2)
    forwarded = play.forwarded()
    forwarded.failing_since = time.monotonic() - 0.1
    began = time.monotonic()
    with pytest.raises(ProxyError, match="nobody listens"):
        play.queue.wait(forwarded, REFUSED)
    assert 0.09 <= time.monotonic() - began < 5
    with pytest.raises(ProxyError, match="nobody listens"):
        play.queue.wait(forwarded, REFUSED)
    assert forwarded.exchange.queue_time >= 0.09
    assert play.queue.waiting == 0


def test_who_came_while_others_waited_hears_what_they_met_with(ends: Ends) -> None:
    play = Play(ends, 0.3)
    gevent.spawn(play.queue.wait, play.forwarded(), REFUSED).link_exception(lambda _: None)
    gevent.sleep(0)
    with pytest.raises(ProxyError, match="nobody listens"):
        play.queue.wait(play.forwarded())


def test_a_client_that_leaves_frees_its_place(play: Play) -> None:
    forwarded = play.forwarded(7)
    leaving = gevent.spawn(play.queue.wait, forwarded, REFUSED)
    staying = start(play, 1)
    until(lambda: play.queue.waiting == 2, "both")
    forwarded.peer.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: it goes with a reset
    forwarded.peer.close()
    with pytest.raises(ProxyError, match="closed while waiting"):
        leaving.get(timeout=5)
    until(lambda: play.queue.waiting == 1, "its place")
    play.takes(True)
    assert staying[0].get(timeout=5).number == 0


def test_who_waits_much_longer_in_another_worker_goes_first(play: Play) -> None:
    play.other.put(play.at + RETRYING_OLDEST, 1)
    play.other.put(play.at + RETRYING_LOOKED, time.monotonic_ns() + 10**12)
    start(play, 2)
    play.takes(True)
    gevent.sleep(0.05)
    assert play.order == []
    play.other.put(play.at + RETRYING_OLDEST, 0)
    until(lambda: play.order == [0], "its turn")


def test_a_worker_that_hangs_holds_nobody_up(play: Play) -> None:
    play.other.put(play.at + RETRYING_OLDEST, 1)
    play.other.put(play.at + RETRYING_LOOKED, 1)
    start(play, 1)
    play.takes(True)
    until(lambda: play.order == [0], "its turn")
