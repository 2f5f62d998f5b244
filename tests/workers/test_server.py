"""Accepting: who waits, and that nobody waits for ever."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import socket as green

from l7.config.schema import Config
from l7.ipc.messages import Adopt
from l7.telemetry.accesslog import Log
from l7.telemetry.board import ACCEPTING, BEAT, Board
from l7.workers import server as accepting
from l7.workers.crew import Crew
from l7.workers.proxy import Proxy
from l7.workers.server import BACK_OFF, YIELD, Server
from l7.workers.share import SLACK, Share
from l7.workers.stream import Sweeper
from tests.workers.loop import TIMEOUT, alone, running, until

NONE_LEFT = OSError(errno.EMFILE, "Too many open files")


class House:
    """A server with a listener or two, a board with a worker beside it, and clients."""

    def __init__(self, sweeper: Sweeper, most: int) -> None:
        config = Config()
        self.board = Board(2)
        self.share = Share(self.board, 0)
        self.proxy = Proxy(config, sweeper, Crew(), Log(), alone(config))
        self.events: list[str] = []
        self.server = Server(self.proxy, sweeper, most, self.events.append, self.share)
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.others = [listener.dup() for listener in self.listeners]
        self.server.listen(self.listeners)
        self.clients: list[socket.socket] = []

    def connect(self, count: int = 1, listener: int = 0) -> None:
        for _ in range(count):
            self.clients.append(green.create_connection(self.others[listener].getsockname(), TIMEOUT))

    def holds(self, count: int) -> None:
        until(lambda: len(self.server.sessions) == count, f"{count} connections")

    def has_a_neighbour(self) -> None:
        """There is another worker, which has no connections."""
        cells = self.board.slot(1)
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
        return bool(self.board.slot(0)[ACCEPTING])

    def close(self) -> None:
        self.server.close()
        self.proxy.close()
        for sock in (*self.clients, *self.others):
            sock.close()


@pytest.fixture
def build() -> Iterator[Callable[[int], House]]:
    """Makes one with room for so many; asserts that every connection was let go."""
    with running() as sweeper, contextlib.ExitStack() as stack:

        def make(most: int = 1000) -> House:
            house = House(sweeper, most)
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
    house.board.slot(1)[ACCEPTING] = 0
    house.connect()
    house.holds(SLACK * 4 + 1)


def test_one_that_is_full_when_the_system_has_more_again_accepts_when_there_is_room(build: Build) -> None:
    house = build(1)
    house.server.overloaded(NONE_LEFT)
    ours, theirs = socket.socketpair()
    house.server.adopt(Adopt("192.0.2.1", 80, b"", 60.0), theirs.detach())
    house.connect()
    (adopted,) = house.server.sessions
    gevent.sleep(BACK_OFF * 1.5)  # the moment passes at which it would have accepted again
    assert house.server.sessions == {adopted}
    ours.close()
    until(lambda: house.server.sessions and adopted not in house.server.sessions, "the one that waits")
    assert len(house.server.sessions) == 1


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
            known = set(house.server.sessions)
            house.clients.append(green.create_connection(listener.getsockname(), TIMEOUT, (source, 0)))
            house.holds(len(known) + 1)
            (session,) = house.server.sessions - known
            assert (session.hop.client, session.hop.port) == (source, listener.getsockname()[1])
            assert f"X-Forwarded-For: {source}\r\n".encode() in session.hop.line
