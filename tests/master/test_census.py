"""The workers' answers to USR1: when all have answered, and what is believed of them."""

from __future__ import annotations

import os
import socket

import pytest

from l7.master.census import Census, Entry
from l7.master.handles import Handle


@pytest.fixture
def channel():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with ours, theirs:
        yield Handle(slot=0, index=0, generation=1, pid=os.getpid(), channel=ours, started=0.0), theirs


def test_a_census_is_over_when_all_have_answered_or_gone(channel):
    handle, _ = channel
    census = Census.ask([handle], 10.0)
    assert not census.over(10.9)
    assert census.over(11.0)
    census.note(handle.pid, {"digest": "abc123", "age": 1.25, "in-flight": 2, "connections": 3})
    assert census.over(10.0)
    (entry,) = census.entries({0: "ready"})
    assert str(entry) == (
        f"worker 1: pid {os.getpid()}, generation 1, digest abc123, age 1.2 s,"
        " requests in flight 2, connections 3, ready"
    )
    census.forget(handle.pid)
    assert census.over(10.0)
    assert census.entries({}) == []


def test_an_answer_is_not_believed_to_be_harmless():
    entry = Entry(0, 5, 1, "ready", {"digest": "x\n...\nport: 1", "age": "old", "in-flight": None})
    assert "\n" not in str(entry)
    assert "digest unknown, age 0.0 s" in str(entry)
