"""Pipes: what goes in comes out, none is lost, and without any the body is copied."""

from __future__ import annotations

import contextlib
import os
import resource

import gevent
import pytest

from l7.workers.transport import splice
from l7.workers.transport.splice import SHELF, Pipe
from l7.workers.transport.stream import Stream, StreamLost, StreamTimeout
from tests.workers.loop import received

DATA = bytes(range(256)) * 4096


def pipes() -> int:
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return sum(link.startswith("pipe:") for link in links)


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = pipes()
    yield
    SHELF.trim()
    SHELF.trim()
    assert pipes() == before


def pour(source: Stream, sink: Stream, seconds: float) -> None:
    with Pipe.open() as pipe:
        while pipe.pull(source, 100_000):
            pipe.push(sink, seconds)


def test_what_is_pulled_is_pushed(ends):
    source, giver = ends.pair()
    sink, taker = ends.pair(buffer=8192)
    giving = gevent.spawn(giver.sendall, DATA)
    taking = gevent.spawn(received, taker, len(DATA))
    left = len(DATA)
    with Pipe.open() as pipe:
        while left:
            left -= pipe.pull(source, left)
            pipe.push(sink, 5.0)
    assert taking.get(timeout=5) == DATA
    giving.join(5)


def test_no_more_is_pulled_than_was_asked_for(ends):
    source, giver = ends.pair()
    giver.sendall(b"bodynext")
    with Pipe.open() as pipe:
        assert pipe.pull(source, 4) == 4
        assert pipe.rest() == b"body"
    assert source.receive() == b"next"


def test_the_end_is_nothing(ends):
    source, giver = ends.pair()
    giver.close()
    with Pipe.open() as pipe:
        assert pipe.pull(source, 10) == 0


def test_a_sink_that_takes_nothing_is_a_timeout_and_the_pipe_is_not_kept(ends):
    source, giver = ends.pair()
    sink, _ = ends.pair(buffer=8192)
    giving = gevent.spawn(giver.sendall, DATA)
    with pytest.raises(StreamTimeout):
        pour(source, sink, 0.1)
    giving.kill()


def test_a_sink_that_has_gone(ends):
    source, giver = ends.pair()
    sink, taker = ends.pair()
    taker.close()
    giving = gevent.spawn(giver.sendall, DATA)
    with pytest.raises(StreamLost):
        pour(source, sink, 5.0)
    giving.kill()


def test_a_sink_that_speaks_is_heard(ends):
    source, giver = ends.pair()
    sink, taker = ends.pair(buffer=8192)
    giving = gevent.spawn(giver.sendall, DATA)
    with Pipe.open() as pipe:
        taker.sendall(b"stop")
        moved = 0
        while not sink.ready:
            moved += pipe.pull(source, len(DATA))
            pipe.push(sink, 5.0, until_heard=True)
        rest = pipe.rest()
        assert len(rest) < moved
    assert received(taker, moved - len(rest)) + rest == DATA[:moved]
    giving.kill()


def test_without_descriptors_there_is_no_pipe():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert Pipe.open() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_there_are_only_so_many(monkeypatch):
    monkeypatch.setattr(splice, "MOST", 2)
    one, two = Pipe.open(), Pipe.open()
    assert Pipe.open() is None
    with one, two:
        pass
    with Pipe.open() as again:
        assert again is not None
