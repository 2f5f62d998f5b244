"""Servers that close idle connections whenever they like: no GET fails, and no POST comes twice."""

from __future__ import annotations

import collections
import random
import threading
from collections.abc import Iterator

import pytest

from tests.harness.client import TIMEOUT, Client
from tests.harness.l7process import CONFIG, L7Process
from tests.harness.origin import Reply, Request
from tests.harness.stage import Stage

CLIENTS = 8
EACH = 150


class Moody:
    """An origin that ends many of its connections without a word: right after an answer, or up to *late* seconds later.

    Late is often too late: the next request has been sent, and finds a connection that is closed in its face.
    """

    def __init__(self, seed: int, late: float, *, reset: bool = False) -> None:
        self.received: collections.Counter[bytes] = collections.Counter()
        self._random = random.Random(seed)
        self._late = late
        self._reset = reset
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply | None:
        connection = request.connection
        connection.read_body(request)
        with self._lock:
            self.received[request.target] += 1
            mood = self._random.random()
            pause = self._random.uniform(0, self._late)
        if request.number and mood > 0.9:
            connection.close()  # what it was sent it has, and did, and does not say so
            return None
        body = request.target
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        if mood < 0.4:
            if pause:
                connection.wait_closed(pause)
            if self._reset and mood < 0.2:
                connection.reset()
            else:
                connection.close()
        return None


class Clients:
    """Clients that send numbered requests over kept connections, and what each was answered."""

    def __init__(self, proxy: L7Process, method: bytes) -> None:
        self.statuses: dict[bytes, int] = {}
        self.mixed: list[bytes] = []
        self._proxy = proxy
        self._method = method
        threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * TIMEOUT)
            assert not thread.is_alive()

    def _run(self, client_number: int) -> None:
        with Client(self._proxy.address) as client:
            for number in range(EACH):
                target = b"/%d/%d" % (client_number, number)
                body = b"Content-Length: 2\r\n\r\nab" if self._method == b"POST" else b"\r\n"
                client.send(b"%s %s HTTP/1.1\r\nHost: a\r\n%s" % (self._method, target, body))
                answer = client.read_response(self._method)
                self.statuses[target] = answer.status
                if answer.status == 200 and answer.body != target:
                    self.mixed.append(target)


@pytest.fixture(scope="module")
def running(spoken) -> Iterator[Stage]:
    with Stage(lambda address: CONFIG.format(address) + "access-log: off\n") as stage:
        yield stage


@pytest.fixture(params=[(0, False), (0, True), (0.004, False), (0.004, True)], ids=str)
def moody(request, play) -> Moody:
    late, reset = request.param
    script = Moody(7, late, reset=reset)
    play(script)
    return script


def test_no_get_fails(play, moody):
    clients = Clients(play.proxy, b"GET")
    failed = {target: status for target, status in clients.statuses.items() if status != 200}
    assert not failed
    assert len(clients.statuses) == CLIENTS * EACH
    assert not clients.mixed


def test_no_post_comes_twice(play, moody):
    """One that was sent into a connection being closed is not sent again: it fails rather than to be done twice."""
    clients = Clients(play.proxy, b"POST")
    assert len(clients.statuses) == CLIENTS * EACH
    assert not clients.mixed
    twice = [target for target, count in moody.received.items() if count > 1]
    assert not twice
    for target, status in clients.statuses.items():
        assert status in (200, 502)
        assert status == 502 or moody.received[target] == 1


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_connection_that_was_closed_is_found_before_it_is_used(play, method, reset):
    """The next request comes when the server has closed: there is no race, and not even a POST fails."""
    closed = threading.Semaphore(0)

    def close(request: Request) -> None:
        request.connection.read_body(request)
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if reset:
            request.connection.reset()
        else:
            request.connection.close()
        closed.release()

    server = play(close)
    body = b"Content-Length: 2\r\n\r\nab" if method == b"POST" else b"\r\n"
    with play.connect() as client:
        for _ in range(100):
            client.send(method + b" / HTTP/1.1\r\nHost: a\r\n" + body)
            assert client.read_response(method).status == 200
            assert closed.acquire(timeout=TIMEOUT)
    assert len(server.requests) == 100
