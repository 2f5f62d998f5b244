"""Connections that pass through the master's hands: to whom, when nobody takes them, and that none is lost or kept."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from l7.ipc.channel import Channel, Received, pair
from l7.ipc.messages import Adopt, Stop
from l7.master import connection_broker as relays
from l7.master.children.handle import ChildProcess
from l7.master.children.poll import Poll
from l7.master.children.table import ChildTable
from l7.master.connection_broker import MOST_HELD, ConnectionBroker
from l7.sharedmem.scoreboard import ADOPTED, CONNECTIONS, Scoreboard
from tests.harness import descriptors


class Stage:
    """A relay, one old worker and two new ones, each with its far end in the test's hands."""

    def __init__(self) -> None:
        self.scoreboard = Scoreboard(3)
        self.poll = Poll()
        self.children = ChildTable(self.poll)
        self.ended: list[int] = []
        self.far: list[Channel] = []
        for slot in range(3):
            ours, theirs = map(Channel, pair())
            self.children.add(ChildProcess(slot, slot, 1, 10**6 + slot, ours, 0.0), self)
            self.far.append(theirs)
        self.ready = [1, 2]
        self.entrances = {1: ["a"], 2: ["a", "b"]}
        """Of each generation; the new workers are of the second one."""
        for slot in (1, 2):
            self.children.handles[slot].generation = 2
        self.relay = ConnectionBroker(
            self.scoreboard, self.children, lambda: self.ready, lambda generation: self.entrances[generation]
        )
        self.clients: list[socket.socket] = []

    def note(self, handle: ChildProcess, received: Received) -> None:
        assert isinstance(received.message, Adopt)
        assert received.descriptor is not None
        self.relay.post(received.message, received.descriptor, handle)

    def gone(self, handle: ChildProcess, status: int) -> None:
        self.ended.append(handle.slot)

    def hand_over(self, number: int = 0, left: float | None = None, **tls: Any) -> socket.socket:
        """The old worker sends a connection, of which it has the TLS where so given; returns the client's end of it."""
        client, connection = socket.socketpair()
        client.settimeout(5)
        with connection:
            assert self.far[0].try_send(Adopt("192.0.2.1", number, b"GET", left, **tls), connection.fileno())
        self.clients.append(client)
        return client

    def take(self, slot: int) -> tuple[Adopt, socket.socket] | None:
        """What a worker has received."""
        for message, descriptor in self.far[slot].receive():
            assert isinstance(message, Adopt)
            assert descriptor is not None
            return message, socket.socket(fileno=descriptor)
        return None

    def fill(self, slot: int) -> None:
        """Make a worker's channel so full that it takes nothing more."""
        while not self.children.handles[slot].channel.wants_write:
            self.children.tell(slot, Stop())

    def empty(self, slot: int) -> None:
        while self.children.handles[slot].channel.wants_write:
            for received in self.far[slot].receive():
                assert received.message == Stop()
            self.poll.wait(0.0)
        for received in self.far[slot].receive():
            assert received.message == Stop()

    def listen(self) -> None:
        self.poll.wait(0.0)

    def close(self) -> None:
        self.relay.close()
        for end in [*self.far, *self.clients]:
            end.close()
        self.children.release()


@pytest.fixture
def stage() -> Iterator[Stage]:
    before = descriptors()
    one = Stage()
    yield one
    one.close()
    assert not descriptors() - before, "a descriptor is left"


def test_it_arrives_with_what_was_read_and_the_master_keeps_no_copy(stage):
    before = descriptors()
    client = stage.hand_over(left=12.5)
    stage.listen()
    message, connection = stage.take(1)
    assert message == Adopt("192.0.2.1", 0, b"GET", 12.5)
    with connection:
        connection.sendall(b"hello")
        assert client.recv(9) == b"hello"
    assert client.recv(9) == b"", "the last copy was the worker's"
    assert stage.relay.passed == 1
    assert len(descriptors() - before) == 1


def test_the_worker_with_the_fewest_connections_gets_it(stage):
    stage.scoreboard.slot(1)[CONNECTIONS] = 3
    for _ in range(7):
        stage.hand_over()
    stage.listen()
    given = {1: 0, 2: 0}
    for slot in given:
        while (one := stage.take(slot)) is not None:
            one[1].close()
            given[slot] += 1
    assert given == {1: 2, 2: 5}


def test_what_is_on_its_way_counts_once(stage):
    given = []
    for slot in (1, 2, 1, 2):
        stage.hand_over()
        stage.listen()
        message = stage.take(slot)
        assert message is not None
        message[1].close()
        if slot == 1:
            # It has taken what it was given, and says so.
            stage.scoreboard.slot(slot)[CONNECTIONS] += 1
            stage.scoreboard.slot(slot)[ADOPTED] += 1
        given.append(slot)
    assert stage.relay.passed == len(given)


def test_a_full_channel_is_passed_by(stage):
    stage.fill(1)
    stage.hand_over()
    stage.listen()
    assert stage.relay.due is None
    stage.take(2)[1].close()


def test_what_nobody_takes_is_held_and_passed_on_in_order(stage):
    stage.fill(1)
    stage.fill(2)
    for number in range(5):
        stage.hand_over(number)
    stage.listen()
    assert stage.relay.due is not None
    stage.relay.look()
    stage.empty(2)
    stage.relay.look()
    for number in range(5):
        message, connection = stage.take(2)
        connection.close()
        assert message.port == number
    assert stage.relay.due is None


def test_what_nobody_takes_goes_back(stage, monkeypatch):
    monkeypatch.setattr(relays, "HOLD", 0.0)
    stage.ready = []
    client = stage.hand_over()
    stage.listen()
    stage.relay.look()
    message, connection = stage.take(0)
    assert message == Adopt("192.0.2.1", 0, b"GET", returned=True)
    with connection:
        connection.sendall(b"still here")
    assert client.recv(99) == b"still here"
    assert stage.relay.passed == 0


def test_what_can_neither_go_on_nor_back_waits_for_a_worker(stage, monkeypatch):
    monkeypatch.setattr(relays, "HOLD", 0.0)
    stage.ready = []
    stage.hand_over()
    stage.far[0].close()
    stage.listen()
    stage.relay.look()
    assert stage.relay.due is not None
    stage.ready = [1]
    stage.relay.look()
    stage.take(1)[1].close()


def test_only_so_many_are_held_and_the_rest_stay_where_they_are(stage):
    stage.ready = []
    for _ in range(MOST_HELD + 20):
        stage.hand_over()
    stage.listen()
    stage.listen()
    assert stage.relay.full
    held = len(stage.relay._held)
    assert held == MOST_HELD
    stage.ready = [2]
    stage.relay.look()
    stage.listen()
    got = 0
    while (one := stage.take(2)) is not None:
        one[1].close()
        got += 1
    assert got == MOST_HELD + 20


def test_what_a_worker_sent_last_arrives_also_when_it_has_read_nothing_more(stage):
    stage.children.tell(0, Stop())
    client = stage.hand_over()
    stage.far[0].close()
    stage.listen()
    _, connection = stage.take(1)
    with connection:
        connection.sendall(b"alive")
    assert client.recv(9) == b"alive"


def test_another_l7_takes_them_all(stage):
    stage.ready = []
    ours, theirs = map(Channel, pair())
    stage.relay.away = ours
    stage.hand_over()
    stage.listen()
    (received,) = theirs.receive()
    assert isinstance(received.message, Adopt)
    received.discard()
    for end in (ours, theirs):
        end.close()


def test_what_lies_in_the_channel_of_a_worker_that_has_ended_is_not_lost(stage, monkeypatch):
    """Also when so much is held that it was not listened to any more."""
    stage.ready = []
    count = 2 * MOST_HELD
    for number in range(count):
        stage.hand_over(number)
    stage.listen()
    assert stage.relay.full
    monkeypatch.setattr(os, "waitpid", lambda pid, _: (pid if pid == 10**6 else 0, 0))
    stage.far[0].close()
    stage.children.reap()
    assert stage.ended == [0]
    stage.ready = [1]
    stage.relay.look()
    for number in range(count):
        taken = stage.take(1)
        assert taken is not None
        message, connection = taken
        connection.close()
        assert message.port == number


# --- those in TLS -----------------------------------------------------------------------------------------------------


def test_one_in_tls_goes_to_whom_its_client_could_have_come_to(stage):
    stage.children.handles[1].generation = 1
    stage.hand_over(tls="[]", entrance="b", relay=7)
    stage.listen()
    assert stage.take(1) is None
    message, connection = stage.take(2)
    assert (message.entrance, message.relay, message.last) == ("b", 7, False)
    connection.close()


def test_one_in_tls_that_nobody_may_take_goes_back(stage, monkeypatch):
    monkeypatch.setattr(relays, "HOLD", 0.0)
    stage.hand_over(tls="[]", entrance="c", relay=7)
    stage.listen()
    stage.relay.look()
    message, connection = stage.take(0)
    assert message.returned
    connection.close()


def test_one_in_tls_that_nobody_may_take_ends_with_who_sent_it(stage, monkeypatch):
    monkeypatch.setattr(relays, "HOLD", 0.0)
    client = stage.hand_over(tls="[]", entrance="c", relay=7)
    stage.far[0].close()
    stage.listen()
    stage.children.handles[0].channel.close()
    stage.relay.look()
    assert client.recv(9) == b"" and stage.relay.due is None


def test_one_whose_relay_is_announced_ends_with_its_next_answer(stage):
    stage.relay.announced.add(7)
    for relay in (7, 8):
        stage.hand_over(tls="[]", entrance="a", relay=relay)
    stage.listen()
    taken = []
    for slot in (1, 2):
        message, connection = stage.take(slot)
        connection.close()
        taken.append((message.relay, message.last))
    assert sorted(taken) == [(7, True), (8, False)]


def test_another_l7_takes_none_in_tls(stage, monkeypatch):
    monkeypatch.setattr(relays, "HOLD", 0.0)
    ours, theirs = map(Channel, pair())
    stage.relay.away = ours
    assert not stage.relay.entrances(2)
    stage.hand_over(tls="[]", entrance="a", relay=7)
    stage.listen()
    stage.relay.look()
    message, connection = stage.take(0)
    assert message.returned
    connection.close()
    for end in (ours, theirs):
        end.close()
