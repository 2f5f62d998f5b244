"""What a child has of the master's descriptors: what it serves, and nothing else."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from l7.config.sections.listeners import short_form
from l7.master.children.close_in_child import CloseInChild
from l7.master.children.signals import SignalQueue
from l7.master.resources.listeners import Listeners


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    listeners = Listeners()
    yield listeners
    listeners.close()


def open_in_child(close: CloseInChild, kept: list, descriptors: list[int]) -> list[int]:
    """Which of ``descriptors`` are open in a child that has called ``close``."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            close.close(kept)
            found = [number for number in descriptors if os.path.exists(f"/proc/self/fd/{number}")]
            os.write(theirs, " ".join(map(str, found)).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(pid, 0)
    with os.fdopen(ours) as file:
        return [int(number) for number in file.readline().split()]


def test_a_child_keeps_the_listeners_that_it_serves_and_nothing_else(listeners: Listeners) -> None:
    one, other = listeners.take(short_form(("127.0.0.1", "::1"), 0))
    signal_queue = SignalQueue()
    signal_queue.open()
    left, right = socket.socketpair()
    close = CloseInChild(listeners)
    close.add(signal_queue.release)
    close.add(left.close)
    try:
        mine = [signal_queue.descriptor, left.fileno(), one.socket.fileno()]
        kept = [other.socket.fileno(), right.fileno()]
        assert open_in_child(close, [other], [*mine, *kept]) == kept
    finally:
        signal_queue.close()
        left.close()
        right.close()
