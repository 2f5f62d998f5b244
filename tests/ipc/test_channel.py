"""One guarantee: what is sent arrives, in order, or the other end is gone. And no descriptor is ever left or lost."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l7.ipc import channel as module
from l7.ipc.channel import LONGEST, Channel, MessageTooLong, Received, pair
from l7.ipc.messages import Adopt, BootFailed, ControlClient, Drain, Drained, Message, Ready, Stop
from tests.harness import descriptors

SMALL = 4608
"""The least that the kernel gives a socket to send from."""


class Ends(NamedTuple):
    """Both ends of a channel, and what each reported."""

    ours: Channel
    theirs: Channel
    reports: list[str]


@pytest.fixture
def ends() -> Iterator[Ends]:
    before = descriptors()
    made = connect()
    yield made
    made.ours.close()
    made.theirs.close()
    assert not descriptors() - before, "a descriptor is left"


def connect(buffer: int = 0, most: int = module.MOST_QUEUED) -> Ends:
    reports: list[str] = []
    socks = pair()
    if buffer:
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    ours, theirs = (Channel(sock, reports.append, most=most) for sock in socks)
    return Ends(ours, theirs, reports)


def heard(channel: Channel) -> list[Message]:
    return [received.message for received in channel.receive()]


def raw(channel: Channel) -> socket.socket:
    """The socket below a channel, to say what no channel says."""
    return socket.socket(fileno=os.dup(channel.fileno()))


# --- the guarantee ----------------------------------------------------------------------------------------------------


def _steps() -> st.SearchStrategy[list[tuple[str, int, int]]]:
    names = st.sampled_from(["send", "send", "pass", "pass", "receive", "flush", "end", "kill"])
    sides, amounts = st.integers(0, 1), st.integers(0, 3000)
    return st.lists(st.tuples(names, sides, amounts), max_size=120)


class Model:
    """Two ends under any steps, and what has to come out at each."""

    def __init__(self) -> None:
        self.ends = connect(SMALL)
        self.sent: tuple[list[Message], list[Message]] = ([], [])
        self.got: tuple[list[Message], list[Message]] = ([], [])
        self.count = 0

    def step(self, name: str, side: int, amount: int) -> None:
        if name == "send":
            self.send(side, amount)
        elif name == "pass":
            self.hand(side, amount)
        elif name == "receive":
            self.receive(side, amount % 4 + 1)
        elif name == "flush":
            self.ends[side].flush()
        elif name == "kill" and amount < 300 and not self.ends[side].closed:
            # As a process that is killed: nothing is said, and what it has not read resets the channel.
            self.ends[side].close()

    def send(self, side: int, amount: int) -> None:
        self.count += 1
        message = BootFailed(f"{self.count} {'x' * amount}")
        if not self.ends[side].broken:
            self.sent[side].append(message)
        self.ends[side].send(message)

    def hand(self, side: int, amount: int) -> None:
        self.count += 1
        message = Adopt(str(self.count), 80, b"x" * (amount // 2))
        file = os.memfd_create(str(self.count), os.MFD_CLOEXEC)
        if self.ends[side].try_send(message, file):
            self.sent[side].append(message)
        os.close(file)

    def receive(self, side: int, most: int = 10**6) -> None:
        for number, received in enumerate(self.ends[side].receive(), 1):
            self.take(side, received)
            if number == most:
                return

    def take(self, side: int, received: Received) -> None:
        self.got[side].append(received.message)
        if isinstance(received.message, Adopt):
            assert received.descriptor is not None
            name = os.readlink(f"/proc/self/fd/{received.descriptor}")
            assert name == f"/memfd:{received.message.peer} (deleted)", "the descriptor of another message"
            os.close(received.descriptor)
        else:
            assert received.descriptor is None

    def finish(self) -> None:
        """Let everything arrive that can."""
        gone = [end.closed for end in self.ends[:2]]
        while True:
            before = sum(map(len, self.got))
            for end in self.ends[:2]:
                end.flush()
            for side in (0, 1):
                self.receive(side)
            if sum(map(len, self.got)) == before and not any(end.wants_write for end in self.ends[:2]):
                break
        for side in (0, 1):
            got, sent = self.got[side], self.sent[1 - side]
            assert got == sent[: len(got)], "in order, nothing twice, nothing between missing"
            assert any(gone) or got == sent, "nobody has gone, and something has not arrived"
        assert not self.ends.reports


@settings(deadline=None)
@given(_steps())
def test_what_is_sent_arrives_in_order_or_the_other_end_is_gone(steps):
    before = descriptors()
    model = Model()
    try:
        for step in steps:
            model.step(*step)
        model.finish()
    finally:
        for end in model.ends[:2]:
            end.close()
    assert not descriptors() - before, "a descriptor is left"


def test_a_message_waits_for_one_that_does_not_read(ends):
    for number in range(2000):
        ends.ours.send(BootFailed(str(number)))
    ends.ours.send(Stop())
    assert ends.ours.wants_write
    got: list[Message] = []
    while len(got) < 2001:
        got += heard(ends.theirs)
        ends.ours.flush()
    assert got == [*(BootFailed(str(number)) for number in range(2000)), Stop()]
    assert not ends.ours.wants_write


def test_whether_it_wants_to_write_is_told_as_it_changes(ends):
    told: list[bool] = []
    ends.ours.on_wants_write = told.append
    ends.ours.send(Ready())
    assert told == [], "it was sent at once"
    while not ends.ours.wants_write:
        ends.ours.send(BootFailed("x" * 1000))
    ends.ours.send(Ready())
    assert told == [True]
    while ends.ours.wants_write:
        heard(ends.theirs)
        ends.ours.flush()
    assert told == [True, False]


def test_a_socket_that_is_polled_for_writing_wakes_when_there_is_room(ends):
    while not ends.ours.wants_write:
        ends.ours.send(BootFailed("x" * 1000))
    watch = select.poll()
    watch.register(ends.ours.fileno(), select.POLLOUT)
    assert not watch.poll(0)
    heard(ends.theirs)
    assert watch.poll(0)


def test_what_was_sent_before_a_reset_is_received(ends):
    ends.ours.send(Ready())  # never read
    ends.theirs.send(Drained())
    ends.theirs.close()
    assert heard(ends.ours) == [Drained()]
    assert ends.ours.closed


def test_what_is_sent_to_one_that_has_gone_is_dropped_and_what_it_said_is_received(ends):
    ends.theirs.send(Drained())
    ends.theirs.close()
    ends.ours.send(Stop())
    assert ends.ours.broken and not ends.ours.wants_write
    assert not ends.ours.closed, "there is something to receive"
    assert heard(ends.ours) == [Drained()]
    assert ends.ours.closed
    ends.ours.send(Stop())


def test_what_waits_is_dropped_when_the_other_end_goes(ends):
    told: list[bool] = []
    ends.ours.on_wants_write = told.append
    while not ends.ours.wants_write:
        ends.ours.send(BootFailed("x" * 1000))
    ends.theirs.close()
    ends.ours.flush()
    assert not ends.ours.wants_write
    assert told == [True, False]


def test_more_than_may_wait_ends_the_channel_on_both_sides():
    one = connect(most=100_000)
    count = 0
    while not one.ours.broken:
        one.ours.send(BootFailed("x" * 1000))
        count += 1
    assert "a process does not read what it is told" in one.reports[0]
    assert one.ours.fileno() >= 0, "it may be in a poll"
    assert heard(one.ours) == []
    assert one.ours.closed
    got = heard(one.theirs)
    assert 0 < len(got) < count
    assert one.theirs.closed
    for end in one[:2]:
        end.close()


def test_a_message_that_no_channel_carries_is_refused_where_it_is_sent(ends):
    with pytest.raises(MessageTooLong):
        ends.ours.send(BootFailed("x" * LONGEST))
    ends.ours.send(BootFailed("x" * (LONGEST - 100)))
    assert len(heard(ends.theirs)) == 1


def test_a_signals_handler_may_send_amid_everything(ends):
    """Each message is there once, however often a handler came in between."""
    count = 0

    def handle(*_: object) -> None:
        nonlocal count
        count += 1
        ends.ours.send(Drain(float(count), "close"))

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    got: list[Message] = []
    try:
        for number in range(3000):
            ends.ours.send(BootFailed(str(number)))
            if number % 100 == 0:
                got += heard(ends.theirs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    ends.ours.flush()
    while len(got) < 3000 + count:
        got += heard(ends.theirs)
        ends.ours.flush()
    assert count
    assert [one for one in got if isinstance(one, BootFailed)] == [BootFailed(str(number)) for number in range(3000)]
    # Handlers interrupt each other, too, so theirs may come in another order.
    assert {one for one in got if isinstance(one, Drain)} == {Drain(float(n + 1), "close") for n in range(count)}


# --- descriptors ------------------------------------------------------------------------------------------------------


def test_a_descriptor_arrives_behind_what_was_sent_before_it(ends):
    ends.ours.send(Ready())
    with socket.socket() as sock:
        assert ends.ours.try_send(ControlClient(), sock.fileno())
    first, second = ends.theirs.receive()
    assert (first.message, first.descriptor) == (Ready(), None)
    assert second.message == ControlClient()
    assert second.descriptor is not None
    os.close(second.descriptor)


def test_a_descriptor_does_not_wait_and_does_not_overtake(ends):
    while not ends.ours.wants_write:
        ends.ours.send(BootFailed("x" * 1000))
    with socket.socket() as sock:
        assert not ends.ours.try_send(ControlClient(), sock.fileno())
        next(iter(ends.theirs.receive()))
        assert not ends.ours.try_send(ControlClient(), sock.fileno()) or not ends.ours.wants_write
        ends.theirs.close()
        assert not ends.ours.try_send(ControlClient(), sock.fileno())
        assert sock.fileno() >= 0, "it is still the sender's"


def test_a_descriptor_does_not_overtake_although_room_comes_at_that_moment(ends, monkeypatch):
    send, calls = socket.socket.sendmsg, iter([True, True, False, False])

    def full_at_first(sock: socket.socket, *rest: Any) -> int:
        if next(calls):
            raise BlockingIOError(module.errno.EAGAIN, "full")
        return send(sock, *rest)

    monkeypatch.setattr(socket.socket, "sendmsg", full_at_first)
    ends.ours.send(Ready())
    with socket.socket() as sock:
        assert not ends.ours.try_send(ControlClient(), sock.fileno())
        assert ends.ours.try_send(ControlClient(), sock.fileno())
    first, second = ends.theirs.receive()
    assert (first.message, second.message) == (Ready(), ControlClient())
    second.discard()


def test_room_for_descriptors_may_be_scarce(ends, monkeypatch):
    def full(*_: object, **__: object) -> int:
        raise OSError(module.errno.ETOOMANYREFS, "too many")

    with socket.socket() as sock:
        monkeypatch.setattr(socket.socket, "sendmsg", full)
        assert not ends.ours.try_send(ControlClient(), sock.fileno())
        assert ends.ours.scarce and not ends.ours.broken
        monkeypatch.undo()
        assert ends.ours.try_send(ControlClient(), sock.fileno())
        assert not ends.ours.scarce
    (received,) = ends.theirs.receive()
    assert received.descriptor is not None
    os.close(received.descriptor)


def test_descriptors_that_nobody_asked_for_are_closed(ends):
    spare = [os.dup(0) for _ in range(6)]
    before = descriptors()
    with raw(ends.ours) as sock:
        socket.send_fds(sock, [b'{"kind": "ready"}'], spare[:1])
        socket.send_fds(sock, [b'{"kind": "control-client"}'], spare[:3])
        socket.send_fds(sock, [b"nonsense"], spare[3:])
        socket.send_fds(sock, [b'{"kind": "dance"}'], spare)
        sock.send(b'{"kind": "stop"}')
    got = list(ends.theirs.receive())
    assert [one.message for one in got] == [Ready(), ControlClient(), Stop()]
    assert len(descriptors() - before) == 1
    assert got[1].descriptor is not None
    for descriptor in [*spare, got[1].descriptor]:
        os.close(descriptor)


def test_a_message_without_its_descriptor_is_told_and_left_out(ends):
    with raw(ends.ours) as sock:
        sock.send(b'{"kind": "control-client"}')
    assert heard(ends.theirs) == []
    (report,) = ends.reports
    assert "ControlClient came without its descriptor" in report


def test_a_received_descriptor_is_not_inherited(ends):
    with socket.socket() as sock:
        sock.set_inheritable(True)
        ends.ours.try_send(ControlClient(), sock.fileno())
    (received,) = ends.theirs.receive()
    assert received.descriptor is not None
    assert not os.get_inheritable(received.descriptor)
    os.close(received.descriptor)


# --- what is no message -----------------------------------------------------------------------------------------------


def test_nonsense_is_told_and_left_out(ends):
    with raw(ends.ours) as sock:
        for data in (b'{"kind": "ready"}', b"\xff{", b"[]", b'{"kind": "dance"}', b'{"kind": "stop"}'):
            sock.send(data)
    assert heard(ends.theirs) == [Ready(), Stop()]
    assert not ends.theirs.closed
    assert len(ends.reports) == 3
    assert 'kind "dance" is not known' in ends.reports[2]


def test_what_is_longer_than_any_message_is_told(ends):
    with raw(ends.ours) as sock:
        sock.send(b'{"kind": "boot-failed", "why": "%s"}' % (b"x" * LONGEST))
    assert heard(ends.theirs) == []
    assert "longer than" in ends.reports[0]


def test_a_closed_one_says_and_hears_nothing(ends):
    ends.ours.close()
    ends.ours.send(Ready())
    ends.ours.flush()
    with socket.socket() as sock:
        assert not ends.ours.try_send(ControlClient(), sock.fileno())
    assert heard(ends.ours) == []
    assert heard(ends.theirs) == []
    assert ends.theirs.closed
