"""Channels in the master's poll: what waits is sent when there is room, also while what comes is left where it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from l7.ipc.channel import Channel, pair
from l7.ipc.messages import BootFailed, Message, Ready, Stop
from l7.master.children.poll import Poll, PolledChannel


class Side:
    """The master's end in a poll, the other one in the test's hands."""

    def __init__(self) -> None:
        self.poll = Poll()
        self.channel, self.far = map(Channel, pair())
        self.heard: list[Message] = []
        self.polled = PolledChannel(self.poll, self.channel, self.hear)

    def hear(self) -> None:
        self.heard += [one.message for one in self.channel.receive()]

    def fill(self) -> int:
        count = 0
        while not self.channel.wants_write:
            self.channel.send(BootFailed("x" * 1000))
            count += 1
        return count


@pytest.fixture
def side() -> Iterator[Side]:
    made = Side()
    yield made
    made.polled.drop()
    made.channel.close()
    made.far.close()


def test_what_comes_is_heard_and_a_poll_without_anything_waits(side):
    side.far.send(Ready())
    side.poll.wait(0.0)
    assert side.heard == [Ready()]
    side.poll.wait(0.0)
    assert side.heard == [Ready()]


@pytest.mark.parametrize("paused", [False, True])
def test_what_waits_is_sent_also_while_nothing_is_heard(side, paused):
    side.polled.pause(paused)
    side.far.send(Ready())
    count = side.fill() + 1
    side.channel.send(Stop())
    got: list[Message] = []
    for _ in range(100):
        got += [one.message for one in side.far.receive()]
        side.poll.wait(0.0)
        if len(got) == count:
            break
    assert got[-1] == Stop()
    assert not side.channel.wants_write


def test_what_comes_meanwhile_is_heard_afterwards(side):
    side.polled.pause(True)
    side.far.send(Ready())
    side.poll.wait(0.0)
    assert side.heard == []
    side.polled.pause(False)
    side.poll.wait(0.0)
    assert side.heard == [Ready()]


def test_one_that_has_gone_is_heard_to_its_end(side):
    side.fill()
    side.far.send(Ready())
    side.far.close()
    side.poll.wait(0.0)
    assert side.heard == [Ready()]
    assert side.channel.closed
    assert not side.channel.wants_write
