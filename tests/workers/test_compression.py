"""What a worker's compressor does beside coding: bounded memory, turns for others, threads; with the real loop."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from l7.errors import TRUNCATED, ProxyError
from l7.exchange import Exchange
from l7.http.forwarding import Hop
from l7.http.messages import RequestHead, ResponseHead, StatusLine
from l7.rules.compression.encoders import MEMORY, encoder
from l7.rules.compression.plan import Asked
from l7.workers.downstream.client_exchange import ClientExchange
from l7.workers.rules import compression
from l7.workers.rules.compression import _FINISH, _FLUSH, _GO_ON, Compressor

TEXT = b"".join(b"%d, " % (number * number) for number in range(12_000))[:80_000]


class Watched:
    """A compressor that notes in which thread it was called, and with how much."""

    def __init__(self) -> None:
        self._stream = encoder(b"gzip")
        self.calls: list[tuple[int, bool]] = []

    def compress(self, data: bytes) -> bytes:
        self.calls.append((len(data), threading.get_ident() == HERE))
        return self._stream.compress(data)

    def flush(self) -> bytes:
        return self._stream.flush()

    def finish(self) -> bytes:
        return self._stream.finish()


HERE = threading.get_ident()


@pytest.fixture
def compressor() -> Compressor:
    nobody: Any = None
    return Compressor(nobody)


def run(step: Callable[[], bytes]) -> tuple[bytes, int]:
    """What ``step`` returns, and how often others had their turn meanwhile."""
    turns = [0]

    def others() -> None:
        while True:
            turns[0] += 1
            gevent.sleep(0)

    beside = gevent.spawn(others)
    try:
        working = gevent.spawn(step)
        gevent.sleep(0)
        before = turns[0]
        data: bytes = working.get(timeout=30)
        return data, turns[0] - before
    finally:
        beside.kill()


def test_a_small_piece_is_compressed_in_one_go(compressor: Compressor) -> None:
    stream = Watched()
    data = compressor.step(stream, b"gzip", TEXT[:30_000], _FINISH, -1)
    assert stream.calls == [(30_000, True)] and zlib.decompress(data, 31) == TEXT[:30_000]


def test_of_an_answer_that_is_not_large_others_have_a_turn_between_parts(compressor: Compressor) -> None:
    stream = Watched()
    data, turns = run(lambda: compressor.step(stream, b"gzip", TEXT, _FINISH, 100_000))
    assert zlib.decompress(data, 31) == TEXT
    assert [size for size, _ in stream.calls] == [32768, 32768, 80_000 - 65536] and turns >= 2
    assert all(here for _, here in stream.calls)


@pytest.mark.parametrize("length", [-1, compression.LARGE, 10_000_000])
def test_of_a_large_answer_a_thread_does_it(compressor: Compressor, length: int) -> None:
    stream = Watched()
    data, turns = run(lambda: compressor.step(stream, b"gzip", TEXT, _FLUSH, length))
    assert stream.calls == [(80_000, False)] and turns >= 1
    assert zlib.decompressobj(31).decompress(data) == TEXT


class Relayed:
    """A relay of which only the head of the answer is known."""

    def __init__(self, respond: Callable[[ClientExchange | None], None]) -> None:
        self.response = ResponseHead(StatusLine(b"", 200, b"OK", 1))
        self.response.length = self.response.declared = 5000
        self.response.runs = [b"Content-Type: text/plain"]
        self.respond = lambda: respond(None)
        self.respond_through = respond


def begin(compressor: Compressor, respond: Callable[[ClientExchange | None], None]) -> ResponseHead:
    """Relay an answer to a client that takes gzip."""
    head = RequestHead(b"GET / HTTP/1.1", b"GET", b"/", b"a", 1)
    head.runs = [b"Accept-Encoding: gzip"]
    client = ClientExchange(Hop("127.0.0.1", 80, b"l7"), trusted=False)
    forwarded: Any = SimpleNamespace(exchange=Exchange("", 0.0), cookie=b"", client=client)
    relay: Any = Relayed(respond)
    server: Any = None
    compressor.respond(relay, Asked(head, (b"gzip",)), forwarded, server)
    response: ResponseHead = relay.response
    return response


def test_beyond_the_memory_for_it_answers_are_not_compressed(
    compressor: Compressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "MOST_MEMORY", 2 * MEMORY[b"gzip"])
    through: list[bool] = []
    plain: list[ResponseHead] = []

    def respond(client: ClientExchange | None) -> None:
        through.append(client is not None)
        if client is not None:
            plain.append(begin(compressor, respond))

    begin(compressor, respond)
    assert through == [True, True, False] and compressor.memory == 0
    assert plain[0].runs == [b"Content-Type: text/plain", b"Vary: Accept-Encoding"]


def test_an_answer_that_fails_gives_its_memory_back(compressor: Compressor) -> None:
    def respond(client: ClientExchange | None) -> None:
        raise ProxyError(TRUNCATED)

    with pytest.raises(ProxyError):
        begin(compressor, respond)
    assert compressor.memory == 0


def test_what_fails_in_a_thread_fails_the_request(compressor: Compressor) -> None:
    class Broken(Watched):
        def compress(self, data: bytes) -> bytes:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(lambda: compressor.step(Broken(), b"gzip", TEXT, _GO_ON, -1))
