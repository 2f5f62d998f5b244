"""Waiting, receiving, sending, deadlines, ends: on real sockets and the real loop."""

from __future__ import annotations

import time
from _socket import socket as Socket

import gevent
import pytest
from gevent import socket as green

from l7.clock import monotonic
from l7.workers.transport.dial import connect
from l7.workers.transport.stream import CHUNK, NEVER, Stream, StreamLost, StreamTimeout
from tests.workers.loop import TIMEOUT, received, turn, until


class Keeper:
    def __init__(self) -> None:
        self.told: list[str] = []

    def on_ready(self, stream: Stream) -> None:
        self.told.append("ready")

    def on_expired(self, stream: Stream) -> None:
        self.told.append("expired")


def test_what_was_there_before_is_received(ends):
    stream, peer = ends.pair()
    peer.sendall(b"hello")
    assert stream.receive() == b"hello"


def test_what_comes_later_is_waited_for(ends):
    stream, peer = ends.pair()
    gevent.spawn_later(0.02, peer.sendall, b"late")
    assert stream.receive() == b"late"
    gevent.spawn_later(0.02, peer.sendall, b"again")
    assert stream.receive() == b"again"


def test_no_more_than_asked_for_is_received_and_nothing_is_lost(ends):
    stream, peer = ends.pair()
    peer.sendall(b"abcdef")
    assert [stream.receive(4), stream.receive(4)] == [b"abcd", b"ef"]
    data = b"x" * (3 * CHUNK)
    gevent.spawn(peer.sendall, data)
    got = []
    while sum(map(len, got)) < len(data):
        got.append(stream.receive())
    assert b"".join(got) == data and max(map(len, got)) <= CHUNK


def test_the_end_is_empty_and_stays(ends):
    stream, peer = ends.pair()
    peer.close()
    assert [stream.receive(), stream.receive()] == [b"", b""]


def test_a_reset_is_a_closed_stream(ends):
    stream, peer = ends.pair(tcp=True)
    peer.setsockopt(green.SOL_SOCKET, green.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    with pytest.raises(StreamLost):
        stream.receive()


def test_readiness_is_remembered_when_nobody_waits(ends):
    stream, peer = ends.pair()
    turn()
    assert not stream.ready and stream.watching
    peer.sendall(b"x")
    until(lambda: stream.ready)
    assert not stream.watching
    assert stream.receive() == b"x"
    assert not stream.ready and stream.watching


def test_the_keeper_is_told_once_until_somebody_receives(ends):
    stream, peer = ends.pair()
    handler = stream.handler = Keeper()
    peer.sendall(b"x")
    until(lambda: handler.told)
    peer.sendall(b"y")
    turn()
    assert handler.told == ["ready"]
    assert stream.receive() == b"xy"
    peer.sendall(b"z")
    until(lambda: len(handler.told) == 2)
    stream.handler = None


def test_an_empty_watch_forgets_readiness(ends):
    stream, peer = ends.pair()
    peer.sendall(b"x")
    until(lambda: stream.ready)
    stream.watch()
    assert not stream.ready
    until(lambda: stream.ready)  # the byte is still there


def test_a_deadline_ends_the_wait(ends):
    stream, peer = ends.pair()
    begun = time.monotonic()
    stream.deadline = monotonic() + 0.05
    with pytest.raises(StreamTimeout):
        stream.receive()
    assert 0.04 < time.monotonic() - begun < TIMEOUT
    assert stream.deadline == NEVER
    peer.sendall(b"still there")
    assert stream.receive() == b"still there"


def test_a_deadline_tells_the_keeper(ends):
    stream, _ = ends.pair()
    handler = stream.handler = Keeper()
    stream.deadline = monotonic() + 0.02
    until(lambda: handler.told)
    assert handler.told == ["expired"] and not stream.closed


def test_a_deadline_without_anybody_is_dropped(ends):
    stream, _ = ends.pair()
    stream.deadline = monotonic() - 1
    until(lambda: stream.deadline == NEVER)


@pytest.mark.parametrize("which", [0, 1])
def test_either_of_two_is_enough(ends, which):
    pairs = [ends.pair(), ends.pair()]
    gevent.spawn_later(0.02, pairs[which][1].sendall, b"x")
    pairs[0][0].wait_either(pairs[1][0])
    assert [stream.ready for stream, _ in pairs] == [which == 0, which == 1]
    assert pairs[which][0].receive() == b"x"
    assert pairs[0][0].reader is pairs[1][0].reader is None


@pytest.mark.parametrize("which", [0, 1])
def test_the_deadline_of_either_of_two_counts(ends, which):
    pairs = [ends.pair(), ends.pair()]
    pairs[which][0].deadline = monotonic() + 0.03
    with pytest.raises(StreamTimeout):
        pairs[0][0].wait_either(pairs[1][0])
    for stream, peer in pairs:
        peer.sendall(b"x")
        assert stream.receive() == b"x"


def test_what_is_ready_is_not_waited_for(ends):
    (one, peer), (two, _) = ends.pair(), ends.pair()
    peer.sendall(b"x")
    until(lambda: one.ready)
    one.wait_either(two)
    two.wait_either(one)
    one.wait()


def test_taking_tells_nothing_from_bytes_and_from_the_end(ends):
    stream, peer = ends.pair()
    assert stream.take() is None and not stream.has_bytes()
    peer.sendall(b"x")
    assert stream.has_bytes() and stream.take() == b"x"
    assert stream.take() is None
    peer.close()
    assert stream.has_bytes() and stream.take() == b""


def test_large_data_is_sent_whole_while_the_peer_reads(ends):
    stream, peer = ends.pair(buffer=8192)
    data = bytes(range(256)) * 4000
    reading = gevent.spawn(received, peer, len(data))
    stream.send(data, 5.0)
    assert reading.get(timeout=5) == data
    assert stream.write_deadline == NEVER


def test_a_peer_that_does_not_read_is_a_timeout(ends):
    stream, _ = ends.pair(buffer=8192)
    with pytest.raises(StreamTimeout):
        stream.send(b"x" * 1_000_000, 0.05)
    assert stream.write_deadline == NEVER


def test_each_bit_of_progress_gives_the_peer_more_time(ends):
    stream, peer = ends.pair(buffer=4096)
    data = b"x" * 60_000

    def read_slowly() -> int:
        got = 0
        while got < len(data):
            got += len(peer.recv(8192))
            gevent.sleep(0.3)
        return got

    reading = gevent.spawn(read_slowly)
    begun = time.monotonic()
    stream.send(data, 1.0)
    assert time.monotonic() - begun > 1.0
    assert reading.get(timeout=TIMEOUT) == len(data)


def test_sending_to_who_has_gone(ends):
    stream, peer = ends.pair()
    peer.close()
    with pytest.raises(StreamLost) as caught:
        stream.send(b"x", 1.0)
    assert caught.value.unsent


def test_a_peer_that_leaves_within_says_that_something_was_sent(ends):
    stream, peer = ends.pair(buffer=8192)
    gevent.spawn_later(0.02, peer.close)
    with pytest.raises(StreamLost) as caught:
        stream.send(b"x" * 1_000_000, 5.0)
    assert not caught.value.unsent


def test_push_sends_all_while_the_peer_is_quiet(ends):
    stream, peer = ends.pair(buffer=8192)
    data = b"x" * 500_000
    reading = gevent.spawn(received, peer, len(data))
    assert not stream.push(data, 5.0)
    assert reading.get(timeout=5) == data
    assert stream.reader is None


def test_push_stops_when_the_peer_speaks_and_tells_what_is_left(ends):
    stream, peer = ends.pair(buffer=8192)
    data = bytes(range(250)) * 4000
    gevent.spawn_later(0.02, peer.sendall, b"stop")
    left = bytes(stream.push(data, 5.0))
    assert 0 < len(left) < len(data) and stream.ready
    assert received(peer, len(data) - len(left)) + left == data
    assert stream.receive() == b"stop"


def test_push_gives_up_on_who_neither_reads_nor_speaks(ends):
    stream, _ = ends.pair(buffer=8192)
    with pytest.raises(StreamTimeout):
        stream.push(b"x" * 1_000_000, 0.05)
    assert stream.reader is None


def test_reading_and_writing_at_the_same_time(ends):
    stream, peer = ends.pair(buffer=8192)
    data = b"x" * 300_000
    writing = gevent.spawn(stream.send, data, 5.0)
    gevent.spawn_later(0.02, peer.sendall, b"meanwhile")
    assert stream.receive() == b"meanwhile"
    assert received(peer, len(data)) == data
    writing.get(timeout=5)


def test_closing_wakes_who_waits(ends):
    stream, _ = ends.pair(buffer=8192)
    reading = gevent.spawn(stream.receive)
    writing = gevent.spawn(stream.send, b"x" * 1_000_000, 5.0)
    turn()
    stream.close()
    for waiting in (reading, writing):
        with pytest.raises(StreamLost):
            waiting.get(timeout=5)
    stream.close()
    for call in (stream.receive, lambda: stream.send(b"x", 1.0), lambda: stream.push(b"x", 1.0)):
        with pytest.raises(StreamLost):
            call()
    stream.finish_sending()
    stream.reset()
    assert stream.closed


def test_closing_wakes_who_waits_for_either_of_two(ends):
    (one, _), (two, _) = ends.pair(), ends.pair()
    waiting = gevent.spawn(one.wait_either, two)
    turn()
    two.close()
    with pytest.raises(StreamLost):
        waiting.get(timeout=5)
    assert one.reader is None


def test_half_closing_still_receives(ends):
    stream, peer = ends.pair()
    stream.finish_sending()
    assert peer.recv(1) == b""
    peer.sendall(b"last words")
    assert stream.receive() == b"last words"


def test_a_reset_is_seen_as_one(ends):
    stream, peer = ends.pair(tcp=True)
    stream.reset()
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_connecting(ends):
    with green.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        stream = Stream(Socket(green.AF_INET, green.SOCK_STREAM | green.SOCK_NONBLOCK), ends.sweeper, connecting=True)
        connect(stream, listener.getsockname(), 5.0)
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"hello")
            assert stream.receive() == b"hello"
        stream.close()


def test_connecting_to_nobody(ends):
    with green.socket() as unanswered:
        unanswered.bind(("127.0.0.1", 0))
        stream = Stream(Socket(green.AF_INET, green.SOCK_STREAM | green.SOCK_NONBLOCK), ends.sweeper, connecting=True)
        with pytest.raises(OSError, match="ECONNREFUSED"):
            connect(stream, unanswered.getsockname(), 5.0)
        stream.close()


def test_the_sweeper_forgets_closed_streams_also_while_it_sweeps(ends):
    (one, _), (two, _) = ends.pair(), ends.pair()

    class Closer(Keeper):
        def on_expired(self, stream: Stream) -> None:
            one.close()
            two.close()

    one.handler = two.handler = Closer()
    one.deadline = two.deadline = monotonic() - 1
    until(lambda: one.closed and two.closed)
    assert not ends.sweeper.streams
