"""A request that goes out on a kept connection waits for its answer without a greenlet: whatever ends that wait."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from tests.harness import TIMEOUT
from tests.harness.client import Client
from tests.harness.l7process import L7Process
from tests.harness.lifecycle import reload
from tests.harness.origin import Origin, Reply, Request

L7 = Callable[..., L7Process]
Origins = Callable[..., Origin]
Connect = Callable[..., Client]

CONFIG = "canary-time: 100ms\nbackends: {{'*': {{servers: ['{0}'], ejection: off, timeouts: {{response: {1}}}}}}}\n"


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


class Script:
    """A server whose ``/wait`` answers when the test lets it, and whose ``/die`` closes once instead of answering."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.waiting = threading.Semaphore(0)
        self.died = False
        self.connections: list[int] = []

    def __call__(self, request: Request) -> Reply | None:
        if request.target == b"/die" and not self.died:
            self.died = True
            request.connection.close()
            return None
        if request.target == b"/wait":
            self.connections.append(request.connection.number)
            self.waiting.release()
            self.go.wait(TIMEOUT)
        return Reply(200, body=request.target)


class Waiting:
    """A client whose request waits for its server, on a connection that was used before."""

    def __init__(self, l7: L7, origin: Origins, connect: Connect, response: str = "60s", timeouts: str = "") -> None:
        self.script = Script()
        self.server = origin(self.script)
        self.proxy = l7(CONFIG.format(self.server.address, response) + timeouts)
        self.client = connect(self.proxy.address)
        self.ask("/warm")

    def ask(self, target: str) -> tuple[int, bytes]:
        self.client.send(get(target))
        answer = self.client.read_response()
        return answer.status, answer.body

    def wait(self, *behind: str) -> None:
        """Send the request that waits, with others ``behind`` it."""
        self.client.send(b"".join(map(get, ("/wait", *behind))))
        assert self.script.waiting.acquire(timeout=TIMEOUT)


@pytest.fixture
def waiting(l7: L7, origin: Origins, connect: Connect) -> Waiting:
    found = Waiting(l7, origin, connect)
    found.wait()
    return found


def test_an_answer(waiting: Waiting) -> None:
    waiting.script.go.set()
    assert waiting.client.read_response().body == b"/wait"
    assert waiting.ask("/next") == (200, b"/next")
    waiting.proxy.wait_for_output(r'"GET /wait HTTP/1\.1" 200 .* 0/0/\d+/\d+ 1 0 "-" --$')


def test_what_the_client_sends_meanwhile_is_served_afterwards(waiting: Waiting) -> None:
    waiting.client.send(get("/second") + get("/third"))
    waiting.script.go.set()
    assert [waiting.client.read_response().body for _ in range(3)] == [b"/wait", b"/second", b"/third"]


def test_what_came_with_the_request_is_served_afterwards(l7: L7, origin: Origins, connect: Connect) -> None:
    waiting = Waiting(l7, origin, connect)
    waiting.wait("/second")
    waiting.script.go.set()
    assert [waiting.client.read_response().body for _ in range(2)] == [b"/wait", b"/second"]


def test_the_time_of_an_answer_begins_when_the_request_is_sent(l7: L7, origin: Origins, connect: Connect) -> None:
    """What the client sends meanwhile does not begin it anew."""
    waiting = Waiting(l7, origin, connect, "1500ms")
    waiting.wait()
    began = time.monotonic()
    waiting.client.pump(1.0)
    waiting.client.send(b"GET /behind HTTP/1.1\r\n")
    assert waiting.client.read_response().status == 504
    assert 1.0 < time.monotonic() - began < 2.6
    waiting.proxy.wait_for_output(r'"GET /wait HTTP/1\.1" 504 .* sH$')
    waiting.script.go.set()


def test_a_server_that_dies_on_it_is_replaced(l7: L7, origin: Origins, connect: Connect) -> None:
    waiting = Waiting(l7, origin, connect)
    assert waiting.ask("/die") == (200, b"/die")
    waiting.proxy.wait_for_output(r'"GET /die HTTP/1\.1" 200 .* 2 0 "-" --$')


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_cancels_it(how: str, waiting: Waiting) -> None:
    getattr(waiting.client, how)()
    waiting.proxy.wait_for_output(r'"GET /wait HTTP/1\.1" 499 ')
    waiting.script.go.set()


def test_a_client_that_half_closes_gets_its_answer(waiting: Waiting) -> None:
    waiting.client.half_close()
    waiting.client.pump(0.2)
    waiting.script.go.set()
    assert waiting.client.read_response().body == b"/wait"


def test_a_reload_keeps_it_and_its_connection(waiting: Waiting) -> None:
    reload(waiting.proxy)
    waiting.script.go.set()
    assert waiting.client.read_response().body == b"/wait"
    assert waiting.ask("/next") == (200, b"/next")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_cut_off_when_time_is_up(number: int, l7: L7, origin: Origins, connect: Connect) -> None:
    waiting = Waiting(l7, origin, connect, timeouts="graceful-timeout: 300ms\n")
    waiting.wait()
    waiting.proxy.signal(number)
    assert waiting.client.read_response().status == 502
    waiting.proxy.wait_for_output(r'"GET /wait HTTP/1\.1" 502 .* KH$')
    waiting.script.go.set()
