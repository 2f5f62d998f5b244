"""Connections go from one worker to another while clients see nothing: two servers, and a test that is their master."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from gevent import get_hub
from gevent import socket as green

from l7.config.schema import Config
from l7.config.sections.listeners import HANDED_DOWN, ListenerConfig, ListenerTls
from l7.config.values.addresses import Address
from l7.ipc.channel import LONGEST, Channel, Received
from l7.ipc.channel import pair as sockets
from l7.ipc.messages import Adopt, Message, Ready
from l7.sharedmem.scoreboard import ACCEPTING, CONNECTIONS, Scoreboard
from l7.telemetry.access_log import NullAccessLog
from l7.tls.details import TlsDetails, TlsEntrance, from_text
from l7.workers.downstream.accept_balancer import AcceptBalancer
from l7.workers.downstream.bound_listener import BoundListener
from l7.workers.downstream.connection import ClientConnection
from l7.workers.downstream.connection_handler import ConnectionHandler
from l7.workers.handover.queue import MOST_READ, HandoverQueue
from l7.workers.handover.target import HandoverTarget
from l7.workers.handover.tls_relays import TlsRelays
from l7.workers.phase import WorkerPhase
from l7.workers.proxy import Proxy
from l7.workers.runtime.channel import LoopChannel
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.transport.stream import DeadlineSweeper
from tests.workers.loop import TIMEOUT, alone, running, turn, until

ASK = b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n"
"""A request that l7 answers by itself."""


def on_loop(call: Callable[[], object]) -> None:
    """Do it as the loop does what it is told: not in a greenlet that others would have to switch back to."""
    done: list[bool] = []

    def run() -> None:
        call()
        done.append(True)

    get_hub().loop.run_callback(run)
    until(lambda: done, "a callback")


ANYWHERE = Address("127.0.0.1", 0)
SPEAKS_TLS = ListenerConfig(address=ANYWHERE, tls=ListenerTls())


class Side:
    """One worker, as far as connections matter: its server, and the master's end of its channel."""

    def __init__(self, config: dict[str, Any], sweeper: DeadlineSweeper, slot: int, scoreboard: Scoreboard) -> None:
        settings = Config.model_validate(config)
        self.proxy = Proxy(settings, sweeper, GreenletPool(), NullAccessLog(), alone(settings))
        self.events: list[str] = []
        self.cells = scoreboard.slot(slot)
        balancer = AcceptBalancer(scoreboard, slot)
        self.server = ConnectionHandler(self.proxy, sweeper, 1000, self.events.append, balancer)
        self.socket, far = sockets()
        self.channel, self.master = LoopChannel(Channel(self.socket), self.heard, lambda: None), Channel(far)
        self.relays = TlsRelays(sweeper, TIMEOUT, lambda: None, lambda: None)
        self.handover_queue = self.server.handover_queue = HandoverQueue(self.channel, self.server, self.relays)
        self.target = HandoverTarget(self.server, sweeper, balancer)
        self.address = ("127.0.0.1", 0)

    def heard(self, received: Received) -> None:
        """Nothing is told to a worker here: what the master has is given to it by the test."""
        raise AssertionError(received)

    def accept(self, config: ListenerConfig = HANDED_DOWN) -> None:
        listener = self.listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.address = listener.getsockname()
        self.server.listen([BoundListener(listener, config)])

    def connect(self) -> green.socket:
        count = len(self.server.connections)
        client = green.create_connection(self.address)
        client.settimeout(TIMEOUT)
        until(lambda: len(self.server.connections) > count, "the connection")
        return client

    def drain(self) -> None:
        self.proxy.enter(WorkerPhase.HANDING_OVER)
        self.server.stop()
        on_loop(self.server.hand_over_idle)

    def close(self) -> None:
        self.server.close()
        self.relays.close()
        self.proxy.upstreams.close()
        self.channel.close()
        self.master.close()


class Stage:
    """Makes workers and relays between them."""

    def __init__(self, sweeper: DeadlineSweeper) -> None:
        self.sweeper = sweeper
        self.scoreboard = Scoreboard(8)
        self.sides: list[Side] = []
        self.seen: list[Adopt] = []

    def __call__(self, **config: Any) -> Side:
        side = Side(config, self.sweeper, len(self.sides), self.scoreboard)
        self.sides.append(side)
        return side

    def relay(self, old: Side, new: Side, **changes: Any) -> int:
        """Pass on what waits in the old worker's channel; returns how many connections that were."""
        before = len(self.seen)

        def passed() -> None:
            for message, descriptor in old.master.receive():
                assert isinstance(message, Adopt)
                assert descriptor is not None
                self.seen.append(message)
                new.target.adopt(replace(message, **changes), descriptor)

        more = True
        while more:
            count = len(self.seen)
            on_loop(passed)
            more = len(self.seen) > count
        return len(self.seen) - before


@pytest.fixture
def stage() -> Iterator[Stage]:
    with running() as sweeper:
        made = Stage(sweeper)
        yield made
        for side in made.sides:
            side.close()
        turn()
        assert not sweeper.streams


def answer(client: green.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        assert more, f"closed after {data!r}"
        data += more
    return data


def pair(stage: Stage, **config: Any) -> tuple[Side, Side]:
    old, new = stage(**config), stage(**config)
    old.accept()
    return old, new


def test_an_idle_connection_goes_on_elsewhere(stage):
    old, new = pair(stage)
    client = old.connect()
    client.sendall(ASK)
    assert b"Connection: close" not in answer(client)
    old.drain()
    assert stage.relay(old, new) == 1
    assert not old.server.connections
    client.sendall(ASK)
    assert b"200 OK" in answer(client)
    assert (old.proxy.answered, new.proxy.answered) == (1, 1)
    assert new.cells[CONNECTIONS] == 1
    client.close()
    until(lambda: not new.server.connections, "the end")


def test_it_keeps_its_peer_its_port_and_its_time(stage):
    old, new = pair(stage)
    client = old.connect()
    old.drain()
    stage.relay(old, new)
    (session,) = new.server.connections
    assert session.hop.client == "127.0.0.1"
    assert session.hop.port == old.address[1]
    assert 0 < (stage.seen[0].idle_left or 0.0) <= 10, "a silent new connection has the time for a head"
    client.close()


def test_the_one_that_takes_it_decides_whom_it_trusts(stage):
    old, new = stage(), stage(**{"trusted-proxies": ["127.0.0.1"]})
    old.accept()
    client = old.connect()
    old.drain()
    stage.relay(old, new)
    (session,) = new.server.connections
    assert session.trusted
    client.close()


@pytest.mark.parametrize("cut", [1, 10, len(ASK) - 3, len(ASK) - 1])
def test_a_head_that_is_not_whole_travels_along(stage, cut):
    old, new = pair(stage)
    client = old.connect()
    client.sendall(ASK[:cut])
    (session,) = old.server.connections
    until(lambda: session.gathering is not None, "the first bytes")
    old.drain()
    assert stage.relay(old, new) == 1
    turn()
    client.sendall(ASK[cut:])
    assert b"200 OK" in answer(client)
    assert (old.proxy.answered, new.proxy.answered) == (0, 1)
    client.close()


def test_a_request_in_flight_is_finished_and_what_came_behind_it_travels(stage):
    with green.socket() as origin:
        origin.bind(("127.0.0.1", 0))
        origin.listen()
        address = "{}:{}".format(*origin.getsockname())
        old, new = pair(stage, backends={"*": {"servers": [address]}})
        client = old.connect()
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + ASK + ASK[:20])
        server, _ = origin.accept()
        assert server.recv(65536)
        old.drain()
        assert stage.relay(old, new) == 0, "it is being served"
        server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        first = answer(client)
        assert b"200 OK" in first
        assert b"Connection: close" not in first
        assert stage.relay(old, new) == 1
        assert answer(client).count(b"200 OK") == 1
        client.sendall(ASK[20:])
        assert b"200 OK" in answer(client)
        assert (old.proxy.answered, new.proxy.answered) == (1, 2)
        assert server.recv(1) == b"", "a draining worker keeps no connection to a server"
        server.close()
        client.close()


def test_hundreds_through_a_narrow_channel(stage):
    old, new = pair(stage)
    old.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    clients = [old.connect() for _ in range(200)]
    old.drain()
    assert len(old.server.connections) > 100, "the channel is full, and nobody waits for it"
    here = {session.stream.socket.getpeername() for session in old.server.connections}
    waiting = next(client for client in clients if client.getsockname() in here)
    waiting.sendall(ASK)
    assert b"200 OK" in answer(waiting), "who is still here is served here"
    assert old.proxy.answered == 1

    def moved() -> bool:
        stage.relay(old, new)
        return len(new.server.connections) == len(clients)

    until(moved, "all of them")
    assert not old.server.connections
    for client in clients:
        client.sendall(ASK)
        assert b"200 OK" in answer(client)
        client.close()


def test_messages_overtake_connections(stage):
    old, new = pair(stage)
    old.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    clients = [old.connect() for _ in range(50)]
    old.drain()
    old.channel.send(Ready())
    order: list[Message] = []

    def passed() -> None:
        for message, descriptor in old.master.receive():
            order.append(message)
            if isinstance(message, Adopt) and descriptor is not None:
                new.target.adopt(message, descriptor)

    def all_heard() -> bool:
        on_loop(passed)
        return len(order) == len(clients) + 1

    until(all_heard, "all messages")
    assert order.index(Ready()) < len(clients) - 1
    for client in clients:
        client.close()


def test_what_does_not_fit_into_a_message_stays_and_is_told(stage):
    old, new = pair(stage, limits={"head": 2 * LONGEST})
    client = old.connect()
    start = ASK[:-2] + b"X-Long: " + b"x" * MOST_READ
    client.sendall(start)
    (session,) = old.server.connections
    until(lambda: session.gathering and len(session.gathering.gathered) == len(start), "the beginning")
    old.drain()
    assert stage.relay(old, new) == 0
    client.sendall(b"\r\n\r\n")
    assert b"Connection: close" in answer(client)
    assert client.recv(1) == b""
    client.close()


def test_all_that_may_be_read_fits_into_a_message(stage):
    old, new = pair(stage, limits={"head": 2 * LONGEST})
    client = old.connect()
    start = ASK[:-2] + b"X-Long: "
    start += b"x" * (MOST_READ - len(start))
    client.sendall(start)
    (session,) = old.server.connections
    until(lambda: session.gathering and len(session.gathering.gathered) == len(start), "the beginning")
    old.drain()
    assert stage.relay(old, new) == 1
    client.sendall(b"\r\n\r\n")
    assert b"200 OK" in answer(client)
    client.close()


@pytest.mark.parametrize(("subject", "goes"), [("", True), ('"' * (MOST_READ // 3), True), ("x" * MOST_READ, False)])
def test_what_a_certificate_says_takes_room_in_a_message(stage, subject, goes):
    old, new = pair(stage)
    client = old.connect()
    (connection,) = old.server.connections
    details = TlsDetails("1.3", "TLS_AES_128_GCM_SHA256", "a", False, "ok", subject, "f" * 64)
    connection.know_tls(details, TlsEntrance("here", 7))
    old.handover_queue.entrances = frozenset({"here"})
    old.drain()
    assert stage.relay(old, new, tls="") == goes
    if goes:
        (message,) = stage.seen
        assert (from_text(message.tls), message.entrance, message.relay) == (details, "here", 7)
    else:
        assert connection.last
    client.close()


def test_who_could_not_come_in_elsewhere_stays_for_one_answer(stage):
    old, new = pair(stage)
    client = old.connect()
    (connection,) = old.server.connections
    connection.know_tls(TlsDetails("1.3", "a", "", False), TlsEntrance("here"))
    old.handover_queue.entrances = frozenset({"there"})
    old.drain()
    assert stage.relay(old, new) == 0
    client.sendall(ASK)
    assert b"Connection: close" in answer(client)
    client.close()


def test_connections_of_one_relay_are_announced(stage):
    side = stage()
    side.accept()
    clients = [side.connect() for _ in range(3)]
    for relay, connection in enumerate(side.server.connections):
        if relay:
            connection.know_tls(TlsDetails("1.3", "a", "", False), TlsEntrance("here", relay))
    side.target.announce(2)
    told = [(one.entrance and one.entrance.relay, one.last) for one in side.server.connections]
    assert sorted(told, key=str) == [(1, False), (2, True), (None, False)]
    for client in clients:
        client.close()


def test_a_worker_that_drains_itself_hands_on(stage):
    old, middle = pair(stage)
    new = stage()
    client = old.connect()
    client.sendall(ASK[:10])
    (session,) = old.server.connections
    until(lambda: session.gathering is not None, "the first bytes")
    middle.drain()
    old.drain()
    assert stage.relay(old, middle) == 1
    assert stage.relay(middle, new) == 1
    client.sendall(ASK[10:])
    assert b"200 OK" in answer(client)
    assert new.proxy.answered == 1
    client.close()


def test_one_that_comes_back_is_served_to_its_end_here(stage):
    old, _ = pair(stage)
    client = old.connect()
    old.drain()

    stage.relay(old, old, returned=True)
    client.sendall(ASK)
    assert b"Connection: close" in answer(client)
    assert client.recv(1) == b""
    client.close()


def test_without_a_master_everything_stays(stage):
    old, _ = pair(stage)
    client, half = old.connect(), old.connect()
    half.sendall(ASK[:10])
    until(lambda: any(session.gathering for session in old.server.connections), "the first bytes")
    old.master.close()
    old.drain()
    old.proxy.enter(WorkerPhase.FINISHING)  # as the worker does when it sees that its master is gone
    for one, rest in ((client, ASK), (half, ASK[10:])):
        one.sendall(rest)
        assert b"Connection: close" in answer(one)
        assert one.recv(1) == b""
        one.close()


def test_a_worker_that_is_full_takes_it_and_accepts_no_more(stage):
    old, new = pair(stage)
    balancer = AcceptBalancer(stage.scoreboard, 1)
    new.server = ConnectionHandler(new.proxy, stage.sweeper, 1, new.events.append, balancer)
    new.target = HandoverTarget(new.server, stage.sweeper, balancer)
    new.accept()
    assert new.cells[ACCEPTING] == 1
    clients = [old.connect(), old.connect()]
    old.drain()
    assert stage.relay(old, new) == 2
    assert len(new.server.connections) == 2
    assert new.cells[ACCEPTING] == 0
    for client in clients:
        client.sendall(ASK)
        assert b"200 OK" in answer(client)
        client.close()
    until(lambda: new.cells[ACCEPTING], "room")


def test_without_the_remaining_time_it_is_idle_anew(stage):
    old, new = pair(stage)
    client = old.connect()
    old.drain()
    stage.relay(old, new, idle_left=None)
    (session,) = new.server.connections
    assert session.idle
    client.close()


def test_a_connection_knows_its_listener_also_elsewhere(stage):
    old, new = stage(), stage()
    old.accept(SPEAKS_TLS)
    client = old.connect()
    (session,) = old.server.connections
    assert (session.hop.scheme, session.hop.port) == (b"https", old.address[1])
    old.drain()
    assert stage.relay(old, new) == 1
    (session,) = new.server.connections
    assert (session.hop.scheme, session.hop.port) == (b"https", old.address[1])
    client.close()


def kept(stage: Stage, before: ListenerConfig, after: ListenerConfig, told_port: bytes = b"") -> ClientConnection:
    """A connection that was handed over, while its listener became another one."""
    old, new = stage(), stage()
    old.accept(before)
    client = old.connect()
    (connection,) = old.server.connections
    connection.hop.told_port = told_port
    with socket.create_server(("127.0.0.1", 0)) as other:
        again = old.listener.dup()
        new.server.listen([BoundListener(other, SPEAKS_TLS), BoundListener(again, after)])
        old.drain()
        stage.relay(old, new)
        (connection,) = new.server.connections
        assert (connection.hop.told_port, connection.hop.port) == (told_port, old.address[1])
        if after.redirect_to_https == 0:
            assert connection.hop.https_port == other.getsockname()[1]
    client.close()
    return connection


def test_a_listener_that_leads_to_https_by_now_leads_its_kept_connections_there_too(stage):
    leads = ListenerConfig(address=ANYWHERE, redirect_to_https="8443")
    assert kept(stage, HANDED_DOWN, HANDED_DOWN).hop.https_port == 0
    assert kept(stage, leads, HANDED_DOWN).hop.https_port == 0
    connection = kept(stage, HANDED_DOWN, leads)
    assert (connection.hop.https_port, connection.last) == (8443, False)
    assert not kept(stage, HANDED_DOWN, ListenerConfig(address=ANYWHERE, redirect_to_https=True)).last


def test_a_connection_ends_with_its_next_answer_where_its_listener_is_of_another_kind_by_now(stage):
    proxied = ListenerConfig(address=ANYWHERE, proxy_protocol=["127.0.0.0/8"])
    assert kept(stage, HANDED_DOWN, SPEAKS_TLS).last
    assert kept(stage, HANDED_DOWN, proxied).last
    assert kept(stage, HANDED_DOWN, HANDED_DOWN, b"80").last
    assert not kept(stage, HANDED_DOWN, proxied, b"80").last
