"""Idle connections: used again when they are well, dropped the moment they are not."""

from __future__ import annotations

import gevent
import pytest

from l7.clock import monotonic
from l7.config.values.addresses import Address
from l7.workers.transport.stream import NEVER
from l7.workers.upstream import pool as pools
from l7.workers.upstream.pool import ConnectionPool
from tests.workers.loop import turn, until


@pytest.fixture
def pool(ends):
    one = ConnectionPool(Address("127.0.0.1", 1), 60.0, ends.sweeper)
    yield one
    one.close()


def test_an_empty_pool_has_nothing(pool):
    assert pool.check_out() is None
    assert repr(pool) == "<Pool 127.0.0.1:1, 0 idle>"


def test_the_connection_used_last_comes_first(pool, ends):
    first, second = (ends.pair(server=True)[0] for _ in range(2))
    pool.check_in(first)
    pool.check_in(second)
    assert "2 idle" in repr(pool)
    turn()
    assert [pool.check_out(), pool.check_out(), pool.check_out()] == [second, first, None]
    assert first.handler is second.handler is None and not first.closed


def test_a_connection_can_go_and_come(pool, ends):
    stream, peer = ends.pair(server=True)
    for _ in range(5):
        pool.check_in(stream)
        turn()
        assert pool.check_out() is stream
        peer.sendall(b"answer")
        assert stream.receive() == b"answer"


@pytest.mark.parametrize("seen", [True, False])
def test_how_long_it_may_be_idle_is_no_matter_when_it_is_used(pool, ends, seen):
    stream, _ = ends.pair(server=True)
    pool.check_in(stream)
    assert stream.deadline < NEVER
    if seen:
        turn()
    assert pool.check_out() is stream and stream.deadline == NEVER


@pytest.mark.parametrize("what", ["bytes", "end"])
def test_what_speaks_or_ends_while_it_is_idle_is_closed_at_once(pool, ends, what):
    stream, peer = ends.pair(server=True)
    pool.check_in(stream)
    peer.sendall(b"HTTP/1.1 408 Late\r\n\r\n") if what == "bytes" else peer.close()
    until(lambda: stream.closed)
    assert "0 idle" in repr(pool) and pool.check_out() is None


@pytest.mark.parametrize("what", ["bytes", "end"])
def test_what_the_loop_has_not_seen_yet_is_seen_at_check_out(pool, ends, what):
    stream, peer = ends.pair(server=True)
    turn()
    pool.check_in(stream)
    # Nothing has let the loop turn since: only the socket itself can tell.
    peer._sock.send(b"x") if what == "bytes" else peer.shutdown(2)
    assert pool.check_out() is None and stream.closed


@pytest.mark.parametrize("what", ["bytes", "end"])
def test_what_came_before_check_in_is_never_kept(pool, ends, what):
    stream, peer = ends.pair(server=True)
    peer.sendall(b"one answer too many") if what == "bytes" else peer.close()
    until(lambda: stream.ready)
    pool.check_in(stream)
    assert stream.closed and pool.check_out() is None


@pytest.mark.parametrize("first", ["client", "server"])
def test_servers_are_heard_before_clients_of_the_same_poll(pool, ends, first):
    """A client's request and a server's unasked word in one poll: the connection is gone before it could be used."""
    client, asking = ends.pair()
    stream, peer = ends.pair(server=True)
    pool.check_in(stream)
    turn()
    found: list[object] = []

    class Asker:
        def on_ready(self, _: object) -> None:
            found.append(pool.check_out())

        def on_expired(self, _: object) -> None:
            raise AssertionError

    client.handler = Asker()
    for one in (asking, peer) if first == "client" else (peer, asking):
        one._sock.send(b"x")  # without a turn of the loop
    until(lambda: found)
    assert found == [None] and stream.closed
    client.handler = None


def test_no_more_than_so_many_are_kept(pool, ends):
    streams = [ends.pair(server=True)[0] for _ in range(pools.MOST_IDLE + 2)]
    for stream in streams:
        pool.check_in(stream)
    assert [stream.closed for stream in streams] == [False] * pools.MOST_IDLE + [True] * 2


def test_the_idle_timeout_ends_what_nobody_uses(ends):
    pool = ConnectionPool(Address("127.0.0.1", 1), 0.05, ends.sweeper)
    stream, peer = ends.pair(server=True)
    pool.check_in(stream)
    assert peer.recv(1) == b""
    assert stream.closed and pool.check_out() is None


def test_a_connection_in_use_has_no_idle_timeout(ends):
    pool = ConnectionPool(Address("127.0.0.1", 1), 0.05, ends.sweeper)
    stream, _ = ends.pair(server=True)
    pool.check_in(stream)
    assert pool.check_out() is stream
    gevent.sleep(0.15)
    assert not stream.closed


@pytest.mark.parametrize(
    ("announced", "kept"),
    [(-1.0, 60.0), (100.0, 60.0), (60.5, 59.75), (5.0, 4.25), (1.0, 0.25), (0.5, 0.0), (0.0, 0.0)],
)
def test_what_the_server_announces_ends_before_the_server_does(pool, ends, announced, kept):
    """Half a second before, and a quarter more: so late a deadline may be seen in a worker."""
    ends.sweeper.interval = 0.25
    pool = ConnectionPool(Address("127.0.0.1", 1), 60.0, ends.sweeper)
    stream, _ = ends.pair(server=True)
    now = monotonic()
    pool.check_in(stream, announced)
    assert stream.closed == (not kept)
    if kept:
        assert now + kept <= stream.deadline <= monotonic() + kept
        assert now <= pool.idle_since() <= monotonic()
    pool.close()


def test_closing_closes_all(pool, ends):
    streams = [ends.pair(server=True)[0] for _ in range(3)]
    for stream in streams:
        pool.check_in(stream)
    pool.close()
    assert all(stream.closed for stream in streams) and pool.check_out() is None
