"""A channel on a worker's loop: what comes, what waits for room, and the end."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from l7.ipc.channel import Channel, Received, pair
from l7.ipc.messages import BootFailed, ControlClient, Drain, Drained, Message, Ready, Stop
from l7.workers.runtime.channel import LoopChannel
from tests.harness import descriptors
from tests.workers.loop import turn, until


class Ends:
    """The worker's end on the loop, the master's in the test's hands."""

    def __init__(self) -> None:
        ours, theirs = map(Channel, pair())
        self.heard: list[Message] = []
        self.ended = 0
        self.worker, self.master = LoopChannel(ours, self.hear, self.end), theirs
        self.worker.listen()

    def hear(self, received: Received) -> None:
        self.heard.append(received.message)
        if isinstance(received.message, Drain):
            self.worker.send(Drained())

    def end(self) -> None:
        self.ended += 1

    def fill(self) -> int:
        """Send until something waits; returns how many messages that took."""
        count = 0
        while self.worker.try_send(ControlClient(), 0):
            count += 1
        for _ in range(10):
            self.worker.send(BootFailed("x"))
        return count + 10

    def received(self) -> list[Message]:
        found = []
        for one in self.master.receive():
            found.append(one.message)
            one.discard()
        return found


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    turn()
    before = descriptors()
    yield made
    turn()
    assert not descriptors() - before, "a descriptor is left"
    made.worker.close()
    made.master.close()
    turn()


def test_what_comes_is_handed_on_in_order_and_answered(ends):
    for message in (Ready(), Drain(1.0, "close"), Stop()):
        ends.master.send(message)
    until(lambda: len(ends.heard) == 3, "the messages")
    assert ends.heard == [Ready(), Drain(1.0, "close"), Stop()]
    assert ends.received() == [Drained()]


def test_what_waits_is_sent_when_there_is_room(ends):
    count = ends.fill()
    got: list[Message] = []

    def all_there() -> bool:
        got.extend(ends.received())
        return len(got) == count

    until(all_there, "all messages")
    assert got[-10:] == [BootFailed("x")] * 10


def test_who_waits_for_room_is_called_once_and_after_what_was_sent_before(ends):
    ends.fill()
    called: list[bool] = []
    ends.worker.when_there_is_room(lambda: called.append(ends.worker.try_send(ControlClient(), 0)))
    turn()
    assert not called
    got: list[Message] = []

    def is_called() -> bool:
        got.extend(ends.received())
        return bool(called)

    until(is_called, "the call")
    until(lambda: got.extend(ends.received()) or got[-1] == ControlClient(), "the descriptor")
    assert called == [True]
    assert got[-11:] == [*[BootFailed("x")] * 10, ControlClient()]


def test_who_waits_while_descriptors_are_scarce_is_called_though_nothing_becomes_writable(ends, monkeypatch):
    def scarce(*_: object, **__: object) -> int:
        raise OSError(errno.ETOOMANYREFS, os.strerror(errno.ETOOMANYREFS))

    called: list[bool] = []
    monkeypatch.setattr(socket.socket, "sendmsg", scarce)
    assert not ends.worker.try_send(ControlClient(), 0)
    ends.worker.when_there_is_room(lambda: called.append(True))
    turn()
    assert not called, "not at once: the socket is writable all the time"
    monkeypatch.undo()
    until(lambda: called, "the call")
    assert called == [True]


def test_the_end_is_told_once_after_all_that_was_said(ends):
    ends.worker.send(Ready())  # never read
    ends.master.send(Stop())
    ends.master.close()
    until(lambda: ends.ended, "the end")
    turn()
    assert (ends.heard, ends.ended) == ([Stop()], 1)
    assert ends.worker.broken
    ends.worker.send(Ready())
    assert not ends.worker.try_send(ControlClient(), 0)


def test_who_waits_for_room_hears_of_the_end(ends):
    ends.fill()
    called: list[bool] = []
    ends.worker.when_there_is_room(lambda: called.append(ends.worker.broken))
    ends.master.close()
    until(lambda: called, "the call")
    assert called == [True]
