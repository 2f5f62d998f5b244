"""A request that goes out on a kept connection waits for its answer without a greenlet: whatever ends that wait.

With its whole body, too, where that came with its head.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.harness import TIMEOUT
from tests.harness.client import Client
from tests.harness.l7process import L7Process
from tests.harness.lifecycle import reload
from tests.harness.origin import Origin, Reply, Request
from tests.harness.stage import Play, Stage

L7 = Callable[..., L7Process]
Origins = Callable[..., Origin]
Connect = Callable[..., Client]


def config(address: str, response: str = "60s") -> str:
    backend = f"{{servers: ['{address}'], ejection: off, timeouts: {{response: {response}}}}}"
    return f"canary-time: 100ms\nbackends: {{'*': {backend}}}\n"


BODY = b"a body " * 600


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def put(target: str) -> bytes:
    return f"PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY


Make = Callable[[str], bytes]


@pytest.fixture(params=[get, put], ids=["without a body", "with its body"])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param  # type: ignore[no-any-return]


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
        assert request.body == (BODY if request.method in (b"PUT", b"POST") else b"")
        if request.target == b"/wait":
            self.connections.append(request.connection.number)
            self.waiting.release()
            self.go.wait(TIMEOUT)
        return Reply(200, body=request.target)


class Waiting:
    """A client whose request waits for its server, on a connection that was used before."""

    def __init__(self, proxy: L7Process, server: Origin, connect: Connect, make: Make) -> None:
        self.make = make
        self.script = server.handler = Script()
        self.server = server
        self.proxy = proxy
        self.client = connect(proxy.address)
        self._logged = len(proxy.output)
        self.ask("/warm")

    def ask(self, target: str) -> tuple[int, bytes]:
        self.client.send(self.make(target))
        answer = self.client.read_response()
        return answer.status, answer.body

    def wait(self, *behind: str) -> None:
        """Send the request that waits, with others ``behind`` it."""
        self.client.send(b"".join(map(self.make, ("/wait", *behind))))
        assert self.script.waiting.acquire(timeout=TIMEOUT)

    def logged(self, target: str, rest: str) -> None:
        """Wait for the line of the access log."""
        method = "GET" if self.make is get else "PUT"
        size = "0" if self.make is get else str(len(BODY))
        self.proxy.wait_for_output(rf'"{method} {target} HTTP/1\.1" {rest.format(size=size)}', start=self._logged)


@pytest.fixture(scope="module")
def running(spoken: None) -> Iterator[Stage]:
    with Stage(config) as stage:
        yield stage


@pytest.fixture
def idle(play: Play, connect: Connect, make: Make) -> Waiting:
    return Waiting(play.proxy, play(), connect, make)


@pytest.fixture
def waiting(idle: Waiting) -> Waiting:
    idle.wait()
    return idle


@pytest.fixture
def alone(l7: L7, origin: Origins, connect: Connect) -> Callable[..., Waiting]:
    """With an l7 of its own."""

    def start(make: Make, response: str = "60s", more: str = "") -> Waiting:
        server = origin()
        return Waiting(l7(config(server.address, response) + more), server, connect, make)

    return start


def test_an_answer(waiting: Waiting) -> None:
    waiting.script.go.set()
    assert waiting.client.read_response().body == b"/wait"
    assert waiting.ask("/next") == (200, b"/next")
    waiting.logged("/wait", r'200 .* 0/0/\d+/\d+ 1 {size} "-" --$')


def test_what_the_client_sends_meanwhile_is_served_afterwards(waiting: Waiting) -> None:
    waiting.client.send(waiting.make("/second") + waiting.make("/third"))
    waiting.script.go.set()
    assert [waiting.client.read_response().body for _ in range(3)] == [b"/wait", b"/second", b"/third"]


def test_what_came_with_the_request_is_served_afterwards(idle: Waiting) -> None:
    idle.wait("/second")
    idle.script.go.set()
    assert [idle.client.read_response().body for _ in range(2)] == [b"/wait", b"/second"]


def test_the_time_of_an_answer_begins_when_the_request_is_sent(alone: Callable[..., Waiting], make: Make) -> None:
    """What the client sends meanwhile does not begin it anew."""
    waiting = alone(make, "1500ms")
    waiting.wait()
    began = time.monotonic()
    waiting.client.pump(1.4)
    waiting.client.send(b"GET /behind HTTP/1.1\r\n")
    assert waiting.client.read_response().status == 504
    assert 1.4 < time.monotonic() - began < 2.9, "begun anew it would be over after 1.4 + 1.5 s"
    waiting.logged("/wait", r"504 .* sH$")
    waiting.script.go.set()


def test_a_server_that_dies_on_it_is_replaced(idle: Waiting) -> None:
    assert idle.ask("/die") == (200, b"/die")
    idle.logged("/die", r'200 .* 2 {size} "-" --$')


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_cancels_it(how: str, waiting: Waiting) -> None:
    getattr(waiting.client, how)()
    waiting.logged("/wait", "499 ")
    waiting.script.go.set()


def test_a_client_that_half_closes_gets_its_answer(waiting: Waiting) -> None:
    waiting.client.half_close()
    waiting.client.pump(0.2)
    waiting.script.go.set()
    assert waiting.client.read_response().body == b"/wait"


def test_a_reload_keeps_it_and_its_connection(alone: Callable[..., Waiting], make: Make) -> None:
    waiting = alone(make)
    waiting.wait()
    reload(waiting.proxy)
    waiting.script.go.set()
    assert waiting.client.read_response().body == b"/wait"
    assert waiting.ask("/next") == (200, b"/next")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_cut_off_when_time_is_up(number: int, alone: Callable[..., Waiting], make: Make) -> None:
    waiting = alone(make, more="graceful-timeout: 300ms\n")
    waiting.wait()
    waiting.proxy.signal(number)
    assert waiting.client.read_response().status == 502
    waiting.logged("/wait", r"502 .* KH$")
    waiting.script.go.set()


def post(target: str) -> bytes:
    return put(target).replace(b"PUT", b"POST", 1)


def test_what_is_not_idempotent_is_sent_once(alone: Callable[..., Waiting]) -> None:
    waiting = alone(post)
    assert waiting.ask("/die")[0] == 502
    assert [request.method for request in waiting.server.requests if request.target == b"/die"] == [b"POST"]


def test_a_body_that_is_too_large_is_refused(alone: Callable[..., Waiting]) -> None:
    waiting = alone(get, more=f"limits: {{body: {len(BODY) - 1}}}\n")
    waiting.client.send(put("/large"))
    assert waiting.client.read_response().status == 413
    waiting.proxy.wait_for_output(r'"PUT /large HTTP/1\.1" 413 .* PR$')
    assert [request.target for request in waiting.server.requests] == [b"/warm"]


def test_a_client_that_waits_for_100_has_sent_its_body_all_the_same(play: Play, connect: Connect) -> None:
    waiting = Waiting(play.proxy, play(), connect, get)
    waiting.client.send(put("/expects").replace(b"Host: a", b"Host: a\r\nExpect: 100-continue", 1))
    assert waiting.client.read_response().body == b"/expects"
