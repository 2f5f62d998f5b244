"""The master's end of the channel to a child, and how a child ended, in words."""

from __future__ import annotations

import os
import socket

import pytest

from l7.master.handles import Handle, describe_end


@pytest.fixture
def channel():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with ours, theirs:
        yield Handle(slot=0, index=0, generation=1, pid=os.getpid(), channel=ours, started=0.0), theirs


def test_a_channel_carries_messages_and_survives_nonsense(channel):
    handle, worker = channel
    for message in (b'{"event": "ready"}', b"\xff{", b"[]", b'{"event": "stacks"}'):
        worker.send(message)
    assert list(handle.hear()) == [({"event": "ready"}, None), ({"event": "stacks"}, None)]
    assert handle.open
    worker.close()
    assert list(handle.hear()) == []
    assert not handle.open
    assert not handle.tell({"do": "stop"})


def test_a_worker_that_does_not_read_is_not_waited_for(channel):
    handle, _ = channel
    assert any(not handle.tell({"do": "dump", "filler": "x" * 1000}) for _ in range(10_000))


@pytest.mark.parametrize(
    ("status", "why", "words"),
    [(0, "", "exit status 0"), (3 << 8, "no", "exit status 3 (no)"), (9, "", "killed by SIGKILL")],
)
def test_ends_in_words(status, why, words):
    assert describe_end(status, why) == words
