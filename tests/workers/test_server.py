"""Accepting: who waits, and that nobody waits for ever."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import socket as green

from l7.config.schema import Config
from l7.config.values.addresses import Address
from l7.exchange import Exchange
from l7.http.messages import RequestHead
from l7.ipc.messages import Adopt
from l7.sharedmem.layout import place
from l7.sharedmem.master_gauges import IDLE_CLOSED, WAITED
from l7.sharedmem.memory import OF_MASTER
from l7.sharedmem.scoreboard import ACCEPTING, BEAT, PLACES, Scoreboard
from l7.telemetry.access_log import NullAccessLog
from l7.workers.downstream import connection_handler as accepting
from l7.workers.downstream import connection_reclaimer
from l7.workers.downstream.accept_balancer import SLACK, AcceptBalancer
from l7.workers.downstream.bound_listener import BoundListener
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.downstream.connection_handler import BACK_OFF, YIELD, ConnectionHandler
from l7.workers.downstream.connection_reclaimer import SETTLED, ConnectionReclaimer
from l7.workers.downstream.request_handler import BegunRequest
from l7.workers.handover.target import HandoverTarget
from l7.workers.proxy import Proxy
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.transport.stream import NEVER, DeadlineSweeper
from l7.workers.upstream.pool import ConnectionPool
from tests.workers.loop import TIMEOUT, alone, running, until

NONE_LEFT = OSError(errno.EMFILE, "Too many open files")


class House:
    """A server with a listener or two, a scoreboard with a worker beside it, and clients."""

    def __init__(
        self, sweeper: DeadlineSweeper, most: int, proxies: type[Proxy] = Proxy, server: str = "127.0.0.1:9"
    ) -> None:
        config = Config.model_validate({"backends": {"*": {"servers": [server]}}})
        self.scoreboard = Scoreboard(2)
        self.share = AcceptBalancer(self.scoreboard, 0)
        self.proxy = proxies(config, sweeper, GreenletPool(), NullAccessLog(), alone(config))
        self.events: list[str] = []
        self.server = ConnectionHandler(self.proxy, sweeper, most, self.events.append, self.share)
        self.target = HandoverTarget(self.server, sweeper, self.share)
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.others = [listener.dup() for listener in self.listeners]
        self.server.listen([BoundListener(sock) for sock in self.listeners])
        self.clients: list[socket.socket] = []

    def connect(self, count: int = 1, listener: int = 0) -> None:
        for _ in range(count):
            self.clients.append(green.create_connection(self.others[listener].getsockname(), TIMEOUT))

    def holds(self, count: int) -> None:
        until(lambda: len(self.server.connections) == count, f"{count} connections")

    def has_a_neighbour(self) -> None:
        """There is another worker, which has no connections."""
        cells = self.scoreboard.slot(1)
        cells[BEAT], cells[ACCEPTING] = time.monotonic_ns(), 1

    def steal(self) -> None:
        """Take a connection as another worker would, as soon as it is there."""
        until(self._take, "a connection to take")

    def _take(self) -> bool:
        try:
            self.clients.append(self.others[0].accept()[0])
        except BlockingIOError:
            return False
        return True

    def accepts(self) -> bool:
        return bool(self.scoreboard.slot(0)[ACCEPTING])

    def close(self) -> None:
        self.server.close()
        self.proxy.upstreams.close()
        for sock in (*self.clients, *self.others):
            sock.close()


@pytest.fixture
def build() -> Iterator[Callable[[int], House]]:
    """Makes one with room for so many; asserts that every connection was let go."""
    with running() as sweeper, contextlib.ExitStack() as stack:

        def make(most: int = 1000, proxies: type[Proxy] = Proxy, server: str = "127.0.0.1:9") -> House:
            house = House(sweeper, most, proxies, server)
            stack.callback(house.close)
            return house

        yield make
        stack.close()
        assert not sweeper.streams


Build = Callable[..., House]


def test_it_is_said_once_that_the_system_has_no_more(build: Build) -> None:
    house = build()
    for _ in range(3):
        house.server.overloaded(NONE_LEFT)
    assert len(house.events) == 1
    assert not house.accepts()
    until(house.accepts, "accepting again")
    house.connect()
    house.holds(1)
    house.server.overloaded(NONE_LEFT)
    assert len(house.events) == 2


def test_a_connection_that_another_worker_took_does_not_end_accepting(build: Build) -> None:
    """After the system had no more, the next one is left to the others, and taken there."""
    house = build()
    house.connect(SLACK * 4)
    house.holds(SLACK * 4)
    house.server.overloaded(NONE_LEFT)
    until(house.accepts, "accepting again")
    house.has_a_neighbour()
    until(house.server.yields, "that the others are let go first")
    house.connect()
    house.steal()
    gevent.sleep(YIELD * 4)  # its own turn passes, and there is nothing to take
    house.scoreboard.slot(1)[ACCEPTING] = 0
    house.connect()
    house.holds(SLACK * 4 + 1)


def test_one_that_is_full_when_the_system_has_more_again_accepts_when_there_is_room(build: Build) -> None:
    house = build(1)
    house.server.overloaded(NONE_LEFT)
    ours, theirs = socket.socketpair()
    half = Adopt("192.0.2.1", 80, b"GET / HT", 60.0)
    gevent.get_hub().loop.run_callback(house.target.adopt, half, theirs.detach())
    house.holds(1)
    house.connect()
    (adopted,) = house.server.connections
    gevent.sleep(BACK_OFF * 1.5)  # the moment passes at which it would have accepted again
    assert house.server.connections == {adopted}
    ours.close()
    until(lambda: house.server.connections and adopted not in house.server.connections, "the one that waits")
    assert len(house.server.connections) == 1


def test_many_listeners_are_not_taken_from_beyond_the_limit(build: Build) -> None:
    house = build(SLACK * 4)
    house.connect(SLACK * 4 - 1)
    house.holds(SLACK * 4 - 1)
    house.has_a_neighbour()
    until(house.server.yields, "that the others are let go first")
    house.connect(2, listener=0)
    house.connect(2, listener=1)
    house.holds(SLACK * 4)
    assert not house.accepts()


def test_each_session_has_the_address_of_its_own_client(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added to requests is remembered by client: another one, or one at another port, is not taken for it."""
    monkeypatch.setattr(accepting, "_REMEMBERED", 2)
    house = build()
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.3", "127.0.0.2"):
        for listener in house.others:
            known = set(house.server.connections)
            house.clients.append(green.create_connection(listener.getsockname(), TIMEOUT, (source, 0)))
            house.holds(len(known) + 1)
            (session,) = house.server.connections - known
            assert (session.hop.client, session.hop.port) == (source, listener.getsockname()[1])


# --- room for new clients -------------------------------------------------------------------------------------------


def count(house: House, cell: int) -> int:
    return house.proxy.upstreams.writer.total(place(OF_MASTER, cell))


def has_ended(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_the_client_that_has_been_idle_longest_makes_place(build: Build) -> None:
    """As nginx does with its reusable connections; HAProxy lets new ones wait, Caddy has no limit."""
    house = build(3)
    for number in range(3):
        house.connect()
        house.holds(number + 1)
    assert not house.accepts()
    first, second, third = house.clients
    for client, waited in ((first, 20.0), (second, 30.0), (third, 25.0)):
        session = next(
            one for one in house.server.connections if one.stream.socket.getpeername() == client.getsockname()
        )
        session.since -= waited
    house.connect()
    until(lambda: has_ended(second), "the one that has waited longest")
    house.holds(3)
    assert not has_ended(first) and not has_ended(third)
    assert house.clients[3].getsockname() in [one.stream.socket.getpeername() for one in house.server.connections]
    house.connect(2)
    until(lambda: has_ended(third), "the next one")
    until(lambda: has_ended(first), "and the next one")
    house.holds(3)
    assert (count(house, IDLE_CLOSED), count(house, WAITED)) == (3, 0)
    assert house.events == ["all 3 places for clients are taken: the clients that have been idle longest make place for"
                            " new ones"]  # fmt: skip


def test_those_that_have_just_become_idle_are_left_alone(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their next request may be on its way. Who waits is let in when somebody leaves, and is counted."""
    monkeypatch.setattr(connection_reclaimer, "SETTLED", 60.0)
    house = build(2)
    house.connect(2)
    house.holds(2)
    house.connect(2)
    until(lambda: house.proxy.overloaded, "that answers are the last of their connections")
    gevent.sleep(BACK_OFF * 1.5)  # it looks again, and finds nobody
    assert len(house.server.connections) == 2 and not any(map(has_ended, house.clients))
    assert house.events == ["all 2 places for clients are taken, none is idle: new clients wait"]
    house.clients[0].close()
    until(lambda: count(house, WAITED) == 1, "one that waited")
    house.clients[1].close()
    until(lambda: count(house, WAITED) == 2, "the other one")
    until(lambda: not house.proxy.overloaded, "an end of it")
    house.clients[2].close()
    house.connect()
    house.holds(2)
    assert (count(house, IDLE_CLOSED), count(house, WAITED)) == (0, 2)


def test_who_is_busy_is_not_idle(build: Build) -> None:
    """Neither where a head is half there, nor where bytes have come that the loop has not seen."""
    house = build()
    house.connect(2)
    house.holds(2)
    for session in house.server.connections:
        session.since -= SETTLED
    place = ConnectionReclaimer(house.server.connections, 2, house.proxy.upstreams, house.events.append)
    house.clients[0].sendall(b"GET /half")
    until(lambda: any(one.gathering is not None for one in house.server.connections), "half a head")
    (idle,) = [one for one in house.server.connections if one.gathering is None]
    assert place.idle_client() is idle
    os.write(house.clients[1].fileno(), b"G")  # the loop does not turn meanwhile
    assert place.idle_client() is None
    assert not place.free_descriptor()


def test_a_full_worker_leaves_clients_to_those_that_have_room(build: Build) -> None:
    house = build(2)
    house.connect(2)
    house.holds(2)
    for session in house.server.connections:
        session.since -= SETTLED
    house.has_a_neighbour()
    until(house.server.yields, "that the others are let go first")
    house.connect()
    house.steal()
    gevent.sleep(YIELD * 4)
    house.holds(2)
    assert count(house, IDLE_CLOSED) == 0 and not house.events


def test_connections_that_come_from_another_worker_count(build: Build) -> None:
    house = build(1)
    ours, theirs = socket.socketpair()
    house.target.adopt(Adopt("192.0.2.1", 80, b"", 60.0), theirs.detach())
    assert not house.accepts()
    house.connect()
    until(lambda: has_ended(ours), "that it makes place")
    house.holds(1)
    ours.close()


def test_what_may_be_held_is_shown(build: Build) -> None:
    house = build(7)
    assert house.scoreboard.slot(0)[PLACES] == 7
    house.server.stop()
    assert house.scoreboard.slot(0)[PLACES] == 0


def test_a_descriptor_is_taken_from_what_has_been_idle_longest(build: Build) -> None:
    """Of clients and servers alike, as nginx does."""
    house = build()
    house.connect()
    house.holds(1)
    (session,) = house.server.connections
    listener = socket.create_server(("127.0.0.1", 0))
    sweeper = session.stream.sweeper
    pool = ConnectionPool(Address.parse(f"127.0.0.1:{listener.getsockname()[1]}"), 60.0, sweeper)
    (member,) = house.proxy.upstreams["*"].members
    member.pool = pool
    pool.check_in(pool.connector.dial(TIMEOUT))
    session.since = pool.idle_since() - SETTLED
    assert sweeper.free_descriptor()
    assert not house.server.connections and pool.idle_since() < NEVER
    assert sweeper.free_descriptor()
    assert pool.idle_since() == NEVER
    assert not sweeper.free_descriptor()
    listener.close()


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
KINDS = pytest.mark.parametrize("request_", [GET, POST], ids=["without a body", "with its body"])


class Faulty(Proxy):
    """Fails in a callback of the loop."""

    def begin(self, exchange: Exchange, head: RequestHead, client: ClientExchange) -> BegunRequest | None:
        if head.length > 0:
            client.read_body(exchange, head)
        raise RuntimeError("a fault of ours")


@KINDS
def test_a_fault_before_there_is_a_greenlet_costs_no_request(build: Build, request_: bytes) -> None:
    """Nor does it cost the body, without which an answer would be waited for."""
    house = build(10, Faulty)
    house.connect()
    house.clients[0].sendall(request_)
    assert house.clients[0].recv(1000).startswith(b"HTTP/1.1 502 ")


class NoPool:
    """Has no connections, and fails to say so."""

    def check_out(self) -> None:
        raise RuntimeError("a fault of ours")


@KINDS
def test_a_fault_after_the_pick_leaves_no_member_busy(
    build: Build, request_: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    house = build(10)
    house.connect()
    house.clients[0].sendall(request_)
    assert house.clients[0].recv(1000).startswith(b"HTTP/1.1 502 ")
    (member,) = house.proxy.upstreams["*"].members
    pool, member.pool = member.pool, NoPool()
    house.clients[0].sendall(request_)
    assert house.clients[0].recv(1000).startswith(b"HTTP/1.1 500 ")
    member.pool = pool
    assert (member.load(), house.proxy.in_flight) == (0, 0)
    assert "Error" in capsys.readouterr().err


@KINDS
def test_a_request_waits_for_its_answer_without_a_greenlet(build: Build, request_: bytes) -> None:
    with green.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        house = build(10, Proxy, f"127.0.0.1:{listener.getsockname()[1]}")
        house.connect()
        house.clients[0].sendall(request_)
        server, _ = listener.accept()
        for number in range(2):
            assert server.recv(1000).startswith(request_[:8])
            until(lambda: house.proxy.in_flight == 1, "the request")
            assert house.proxy.greenlets.working == 1 - number
            server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            assert house.clients[0].recv(1000).endswith(b"ok")
            if not number:
                house.clients[0].sendall(request_)
        server.close()
