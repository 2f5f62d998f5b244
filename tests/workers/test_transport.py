"""Streams and whole requests over a transport that is not plain: what has left the socket is never waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import gevent
import pytest
from gevent import socket as green
from gevent.server import StreamServer

from l7.config.schema import Config
from l7.config.values.addresses import Address
from l7.http.forwarding import Hop
from l7.sharedmem.scoreboard import Scoreboard
from l7.telemetry.access_log import NullAccessLog
from l7.workers.downstream.accept_balancer import AcceptBalancer
from l7.workers.downstream.connection import ClientConnection
from l7.workers.downstream.connection_handler import ConnectionHandler
from l7.workers.phase import WorkerPhase
from l7.workers.proxy import Proxy
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.transport import stream as streams
from l7.workers.transport.splice import LEAST, Pipe
from l7.workers.transport.stream import NEVER, Stream, StreamLost
from l7.workers.upstream.pool import ConnectionPool
from tests.workers.loop import TIMEOUT, Ends, alone, turn, until
from tests.workers.masked import NOTICE, MaskedPeer, MaskedTransport, record

Pair = tuple[Stream, MaskedPeer]


@pytest.fixture
def masked(ends: Ends) -> Callable[..., Pair]:
    """Makes streams over records, and their peers."""

    def make(**kind: bool | int) -> Pair:
        stream, peer = ends.pair(transport=MaskedTransport, **kind)  # type: ignore[arg-type]
        stream.deadline = streams.monotonic() + TIMEOUT
        return stream, MaskedPeer(peer)

    return make


class Told:
    """Takes what comes, a few bytes at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pieces: list[bytes] = []

    def on_ready(self, stream: Stream) -> None:
        data = stream.receive(self.size)
        self.pieces.append(data)
        if not data:
            stream.close()

    def on_expired(self, stream: Stream) -> None:
        raise AssertionError("expired")


def test_what_has_left_the_socket_is_received_without_it(masked):
    stream, peer = masked()
    peer.send(b"abcdefgh", 3)
    assert stream.receive(2) == b"ab"
    assert stream.ready, "three records came at once"
    assert [stream.receive(2) for _ in range(3)] == [b"cd", b"ef", b"gh"]
    assert not stream.ready
    gevent.spawn_later(0.02, peer.send, b"later")
    assert stream.receive() == b"later"


def test_a_part_of_a_record_is_nothing_yet(masked):
    stream, peer = masked()
    whole = record(b"hello")
    for byte in whole[:-1]:
        peer.sock.sendall(bytes((byte,)))
        turn()
        assert not stream.ready and stream.watching and not stream.has_bytes() and stream.take() is None
    peer.sock.sendall(whole[-1:])
    until(lambda: stream.ready)
    assert stream.has_bytes() and stream.take() == b"hello"


def test_the_handler_is_told_until_nothing_is_held(masked):
    stream, peer = masked()
    handler = stream.handler = Told(3)
    stream.deadline = NEVER
    peer.send(b"abcdefgh", 5)
    peer.sock.sendall(record(b"", ord("E")))
    until(lambda: stream.closed)
    assert handler.pieces == [b"abc", b"de", b"fgh", b""] or handler.pieces == [b"abc", b"def", b"gh", b""]


def test_what_a_look_brings_up_is_told_of(masked):
    stream, peer = masked()
    peer.send(b"abc")
    handler = stream.handler = Told(9)
    assert stream.has_bytes()
    assert not handler.pieces, "not from within the look"
    until(lambda: handler.pieces == [b"abc"])


@pytest.mark.parametrize("which", [0, 1])
def test_either_of_two_is_enough(masked, which):
    pairs = [masked(), masked()]
    stream, peer = pairs[which]
    peer.send(b"abcd")
    assert stream.receive(2) == b"ab"
    pairs[0][0].wait_either(pairs[1][0])
    assert stream.receive(2) == b"cd"


def test_the_end_is_a_record_and_stays(masked):
    stream, peer = masked()
    peer.sock.sendall(record(b"last") + record(b"", ord("E")))
    assert [stream.receive(), stream.receive(), stream.receive()] == [b"last", b"", b""]


def test_all_is_sent_although_it_waits_here_in_another_form(masked):
    stream, peer = masked(buffer=4096)
    data = bytes(range(251)) * 3000
    reading = gevent.spawn(peer.read, len(data))
    stream.send(data, TIMEOUT)
    assert reading.get(timeout=TIMEOUT) == data
    stream.finish_sending()
    assert peer.receive() == b"" and peer.ended


def test_pushing_ends_when_a_whole_record_came(masked):
    stream, peer = masked(buffer=4096)
    whole = record(b"stop")
    data = bytes(range(251)) * 6000
    pushing = gevent.spawn(stream.push, data, TIMEOUT)
    peer.sock.sendall(whole[:4])
    turn(10)
    assert not pushing.ready()
    peer.sock.sendall(whole[4:])
    left = bytes(pushing.get(timeout=TIMEOUT))
    assert 0 < len(left) < len(data) and stream.receive() == b"stop"
    reading = gevent.spawn(peer.read, len(data))
    stream.send(left, TIMEOUT)
    assert reading.get(timeout=TIMEOUT) == data


def test_a_reset_is_found_by_who_receives(masked):
    stream, peer = masked(tcp=True)
    peer.sock.setsockopt(green.SOL_SOCKET, green.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.sock.close()
    with pytest.raises(StreamLost):
        stream.receive()


def test_nothing_is_spliced(ends, masked):
    (plain, _), (stream, _) = ends.pair(), masked()
    assert Pipe.between(plain, stream) is None and Pipe.between(stream, plain) is None


def test_an_idle_connection_may_be_sent_what_is_nobodys_business(ends, masked):
    pool = ConnectionPool(Address("127.0.0.1", 80), 60.0, ends.sweeper)
    stream, peer = masked()
    pool.check_in(stream)
    peer.sock.sendall(record(b"a ticket", NOTICE))
    turn()
    assert pool.check_out() is stream
    pool.check_in(stream)
    peer.send(b"out of turn")
    until(lambda: stream.closed)
    assert pool.check_out() is None


# --- whole requests ---------------------------------------------------------------------------------------------------

BODY = bytes(range(256)) * (2 * LEAST // 256)


def application(sock: green.socket, _: object) -> None:
    """Answers every request by its target and the size of its body; /large by `BODY`."""
    with closing(sock), sock.makefile("rb") as file:
        while line := file.readline():
            length = 0
            while (field := file.readline()) != b"\r\n":
                if field.lower().startswith(b"content-length:"):
                    length = int(field.split(b":")[1])
            size = len(file.read(length))
            target = line.split(b" ")[1]
            body = BODY if target == b"/large" else b"%s %d" % (target, size)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class House:
    """A worker's server and proxy, and a client that speaks in records."""

    def __init__(self, ends: Ends, port: int) -> None:
        config = Config.model_validate({"backends": {"a": {"servers": [f"127.0.0.1:{port}"]}}})
        self.proxy = Proxy(config, ends.sweeper, GreenletPool(), NullAccessLog(), alone(config))
        self.server = ConnectionHandler(self.proxy, ends.sweeper, 10, print, AcceptBalancer(Scoreboard(2), 0))
        stream, peer = ends.pair(transport=MaskedTransport)
        self.client = MaskedPeer(peer)
        self.session = ClientConnection(stream, Hop("127.0.0.1", 80, b"a"), self.server, self.proxy, trusted=False)
        self.server.connections.add(self.session)

    def answer(self) -> tuple[bytes, bytes]:
        """The head and the body of the next answer, of which nothing may come with another one."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.client.receive()
            assert more, f"closed after {data!r}"
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head, body + self.client.read(length - len(body))

    def close(self) -> None:
        self.server.close()
        self.proxy.upstreams.close()


@pytest.fixture
def house(ends: Ends) -> Iterator[House]:
    upstream = StreamServer(("127.0.0.1", 0), application)
    upstream.start()
    made = House(ends, upstream.server_port)
    yield made
    made.close()
    upstream.stop()


def ask(target: str, body: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return b"POST %s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (target.encode(), length) + body


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_requests_are_served_however_they_are_cut_into_records(house, size):
    house.client.send(ask("/one") + ask("/two", b"x" * 300) + ask("/three"), size)
    assert [house.answer()[1] for _ in range(3)] == [b"/one 0", b"/two 300", b"/three 0"]
    until(lambda: house.session.idle)
    house.client.send(ask("/four"))
    assert house.answer()[1] == b"/four 0"


def test_large_bodies_pass_in_both_directions(house):
    writing = gevent.spawn(house.client.send, ask("/up", BODY))
    assert house.answer()[1] == b"/up %d" % len(BODY)
    writing.join(TIMEOUT)
    house.client.send(ask("/large"))
    assert house.answer()[1] == BODY


def test_a_refused_client_is_answered_and_what_it_goes_on_sending_is_read(house):
    house.client.send(b"no request\r\n\r\n" + b"x" * 30_000, 1000)
    head, _ = house.answer()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert house.client.receive() == b"" and house.client.ended
    house.client.sock.close()
    until(lambda: not house.server.connections)


def test_who_cannot_be_handed_over_is_told_with_its_next_answer(house):
    house.client.send(ask("/one"))
    house.answer()
    until(lambda: house.session.idle)
    house.proxy.enter(WorkerPhase.HANDING_OVER)
    house.server.hand_over_idle()
    turn()
    assert not house.session.stream.closed
    house.client.send(ask("/two"))
    head, body = house.answer()
    assert body == b"/two 0" and b"connection: close" in head.lower()
    assert house.client.receive() == b"" and house.client.ended


def test_half_a_head_stays_with_who_cannot_be_handed_over(house):
    request = ask("/one")
    house.client.send(request[:10])
    until(lambda: house.session.gathering)
    house.proxy.enter(WorkerPhase.HANDING_OVER)
    house.server.hand_over_idle()
    house.client.send(request[10:])
    head, body = house.answer()
    assert body == b"/one 0" and b"connection: close" in head.lower()
