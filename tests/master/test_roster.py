"""The children of the master: what is told to them, and what they say."""

from __future__ import annotations

import os

from l7.ipc.channel import Channel, Received, pair
from l7.ipc.messages import Drain, Message, SetMembers
from l7.master.children.handle import ChildProcess
from l7.master.children.poll import Poll
from l7.master.children.table import ChildTable


class Nobody:
    """An owner that takes no notice."""

    def note(self, handle: ChildProcess, received: Received) -> None:
        received.discard()

    def gone(self, handle: ChildProcess, status: int) -> None:
        """It is not asked."""


def test_what_a_worker_is_told_while_it_does_not_read_arrives_later_and_in_order():
    poll = Poll()
    children = ChildTable(poll)
    ours, theirs = map(Channel, pair())
    children.add(ChildProcess(0, 0, 1, os.getpid(), ours, 0.0), Nobody())
    for number in range(2000):
        children.tell(0, SetMembers(f"b{number}", "s", ()))
    children.tell(0, Drain(1.0, "handover"))
    heard: list[Message] = []
    for _ in range(10_000):
        heard += [one.message for one in theirs.receive()]
        if isinstance(heard[-1], Drain):
            break
        poll.wait(0.0)
    assert heard == [*(SetMembers(f"b{number}", "s", ()) for number in range(2000)), Drain(1.0, "handover")]
    for end in (ours, theirs):
        end.close()
