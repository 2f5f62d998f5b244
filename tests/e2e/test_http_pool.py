"""Connections to servers: what poisons them, what they die of, and which requests may be sent again."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.harness.client import Client, get, request
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request, echo
from tests.harness.stage import Play, Stage

CONFIG = """
backends: {{'*': {{servers: [{servers}], retries: 2, timeouts: {{response: 5s}}}}}}
"""


def config(*origins: Origin) -> str:
    """One backend of these servers."""
    return CONFIG.format(servers=", ".join(f"'{one.address}'" for one in origins))


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    """One l7 for the tests that need one server."""
    with Stage(CONFIG.replace("{servers}", "'{address}'")) as stage:
        yield stage


@pytest.fixture
def play(running: Stage) -> Iterator[Play]:
    """One test's share of it."""
    with running.scene() as play:
        yield play


def opening(method: str, target: str = "/", body: bytes = b"", close: bool = False) -> bytes:
    """A request of HTTP/1.1."""
    lines = [f"{method} {target} HTTP/1.1", "Host: example.com"]
    lines += [f"Content-Length: {len(body)}"] if body or method in ("POST", "PUT", "PATCH") else []
    lines += ["Connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_a_connection_is_left_before_its_server_closes_it(origin, l7):
    """As Node and Apache announce it: ``Keep-Alive: timeout=``; here a second, of which the last half is not used."""

    def script(request: Request) -> Reply:
        if request.target == b"/said":
            return Reply(headers=[(b"Connection", b"keep-alive"), (b"Keep-Alive", b"timeout=1, max=100")])
        return Reply()

    app = origin(script)
    proxy = l7(config(app).replace("response: 5s", "response: 5s, idle: 60s, pool: 20s"))
    for target, connections in (("/said", 1), ("/silent", 2), ("/said", 2)):
        assert get(proxy.port, target).status == 200
        assert len(app.connections) == connections
        if target == "/said":
            assert app.connections[-1].wait_closed(), "it is closed by l7, and not by the server"
        else:
            assert not app.connections[-1].wait_closed(1.2)


UNASKED = {
    "a-byte": b"x",
    "crlf": b"\r\n",
    "an-answer": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "a-408": b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "half-an-answer": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n",
    "much": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"evil" * 25000,
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("unasked", UNASKED)
def test_what_comes_unasked_is_nobodys_answer(unasked: str, method: str, play: Play) -> None:
    """Bytes that come on an idle connection, later than the answer, never reach a client."""
    app = play()
    for _ in range(5):
        assert get(play.port, "/first").status == 200
        idle = app.connections[-1]
        idle.send(UNASKED[unasked])
        answer = request(play.port, method, "/second", body=b"hello" if method == "POST" else b"")
        assert answer.status == 200
        assert answer.json["target"] == "/second"
        assert app.requests[-1].connection is not idle
        assert idle.wait_closed()


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
def test_an_idle_connection_that_was_closed_is_not_used(method: str, reset: bool, play: Play) -> None:
    """The server closes between two requests: the next one never notices, whatever its method."""
    app = play()
    for number in range(10):
        assert get(play.port).status == 200
        if reset:
            app.connections[-1].reset()
        else:
            app.connections[-1].half_close()
        answer = request(play.port, method, f"/{number}", body=b"x" if method in ("POST", "PUT") else b"")
        assert answer.status == 200
        assert app.requests[-1].target == f"/{number}".encode()
    assert len(app.requests) == 20


class Flaky:
    """Answers a connection's first request; closes on its second, once that has come (the race nobody can avoid)."""

    def __init__(self, *, reset: bool, read: bool = True) -> None:
        self.reset = reset
        self.read = read
        self.lost: list[Request] = []

    def __call__(self, request: Request) -> Reply | None:
        """The script."""
        if request.number == 0 or request.target != b"/lost":
            return echo(request)
        if self.read:
            request.connection.read_body(request)
        self.lost.append(request)
        if self.reset:
            request.connection.reset()
        else:
            request.connection.close()
        return None


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_an_idempotent_request_lost_on_a_used_connection_is_sent_again(method: str, reset: bool, play: Play) -> None:
    """Once, on a new connection; the client sees nothing of it."""
    flaky = Flaky(reset=reset)
    app = play(flaky)
    assert get(play.port).status == 200
    answer = request(play.port, method, "/lost", body=b"hello" if method == "PUT" else b"")
    assert answer.status == 200
    assert len(flaky.lost) == 1
    assert [one.target for one in app.requests] == [b"/", b"/lost", b"/lost"]
    assert app.requests[2].body == (b"hello" if method == "PUT" else b"")


def test_any_other_request_is_never_sent_twice(l7: Callable[..., L7Process], origin: Callable[..., Origin]) -> None:
    """Once bytes were sent it may have been done: 502, by every server's account one request."""
    apps = origin(name="first"), origin(name="second")
    proxy = l7(config(*apps).replace("retries: 2", "retries: 2, ejection: off"))
    for method, reset in itertools.product(("POST", "PATCH", "X-CUSTOM", "get"), (False, True)):
        flaky = Flaky(reset=reset)
        for app in apps:
            app.handler = flaky
        for _ in range(2):
            assert get(proxy.port).status == 200  # there is a connection to each
        before = sum(len(app.requests) for app in apps)
        answer = request(proxy.port, method, "/lost", body=b"hello")
        assert (answer.status, len(flaky.lost)) == (502, 1), (method, reset)
        assert sum(len(app.requests) for app in apps) == before + 1


def test_a_large_body_is_not_sent_again(play: Play) -> None:
    """A PUT is idempotent, but what was streamed is gone: it must not arrive cut short, or as another body."""
    flaky = Flaky(reset=False)
    app = play(flaky)
    assert get(play.port).status == 200
    answer = request(play.port, "PUT", "/lost", body=b"x" * 3_000_000)
    assert answer.status == 502
    assert [one.complete for one in app.requests if one.target == b"/lost"] == [True]


def test_every_connection_of_the_pool_is_stale(play: Play) -> None:
    """Twenty idle connections die unnoticed, at the moment of the next request: it succeeds all the same."""
    gate = threading.Barrier(20)

    def together(request: Request) -> Reply:
        if request.target == b"/together":
            gate.wait(10)
        return echo(request)

    app = play(together)
    clients = [Client(play.port) for _ in range(20)]
    for client in clients:
        client.send(opening("GET", "/together"))
    for client in clients:
        assert client.read_response().status == 200
    assert len(app.connections) == 20
    for one in app.connections:
        one.reset()
    for client in clients:
        client.send(opening("POST", "/after", b"hello"))
        assert client.read_response(b"POST").status == 200
        client.close()
    assert sum(one.target == b"/after" for one in app.requests) == 20


def stop(pid: int) -> None:
    """Stop a process, and wait until it has stopped."""
    os.kill(pid, signal.SIGSTOP)
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)


@pytest.mark.parametrize("first", ["the-end", "the-request"])
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
def test_a_busy_worker_finds_what_was_closed_meanwhile(reset: bool, first: str, play: Play) -> None:
    """The server closes an idle connection and a POST comes, both before the worker looks: nothing is lost.

    A stopped process stands for one that is busy with something else for a moment.
    """
    app = play()
    (worker,) = play.proxy.workers()
    client = play.connect()
    for number in range(8):
        client.send(opening("GET"))
        assert client.read_response().status == 200
        stop(worker)
        try:
            if first == "the-request":
                client.send(opening("POST", f"/{number}", b"hello"))
            if reset:
                app.connections[-1].reset()
            else:
                app.connections[-1].close()
            if first == "the-end":
                client.send(opening("POST", f"/{number}", b"hello"))
        finally:
            os.kill(worker, signal.SIGCONT)
        answer = client.read_response(b"POST")
        assert answer.status == 200, f"attempt {number}"
        assert answer.json["target"] == f"/{number}"


@pytest.mark.parametrize("first", ["the-bytes", "the-request"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_busy_worker_finds_what_was_said_meanwhile(method: str, first: str, play: Play) -> None:
    """As above, but the server says something on the idle connection: it is not the answer to the next request."""
    app = play()
    (worker,) = play.proxy.workers()
    client = play.connect()
    for number in range(8):
        client.send(opening("GET"))
        assert client.read_response().status == 200
        stop(worker)
        try:
            if first == "the-request":
                client.send(opening(method, f"/{number}"))
            app.connections[-1].send(UNASKED["a-408"])
            if first == "the-bytes":
                client.send(opening(method, f"/{number}"))
        finally:
            os.kill(worker, signal.SIGCONT)
        answer = client.read_response(method.encode())
        assert answer.status == 200, f"attempt {number}"
        assert answer.json["target"] == f"/{number}"


def test_a_dead_server_is_replaced_by_a_live_one(l7: Callable[..., L7Process], origin: Callable[..., Origin]) -> None:
    """Nothing was sent to a server that refuses connections: any request goes to another."""
    dead, live = origin(name="dead"), origin(name="live")
    dead.close()
    proxy = l7(config(dead, live))
    for method in ("GET", "POST", "POST", "GET"):
        answer = request(proxy.port, method, "/x", body=b"hello" if method == "POST" else b"")
        assert answer.status == 200
    assert len(live.requests) == 4


def test_all_servers_dead(
    l7: Callable[..., L7Process], origin: Callable[..., Origin], connect: Callable[..., Client]
) -> None:
    """502, and the client's connection lives on."""
    dead = origin()
    dead.close()
    proxy = l7(config(dead))
    client = connect(proxy.port)
    for _ in range(3):
        client.send(opening("POST", "/x", b"hello"))
        answer = client.read_response(b"POST")
        assert (answer.status, answer.closes) == (502, False)


def test_head_before_get_on_one_server_connection(play: Play) -> None:
    """A server that sends a body with HEAD must not make it the answer to the GET behind it."""

    def script(request: Request) -> bytes | None:
        body = b"evil!" if request.method == b"HEAD" else b"right"
        return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body

    play(script)
    client = play.connect()
    client.send(opening("HEAD") + opening("GET") + opening("HEAD") + opening("GET", close=True))
    answers = client.read_responses([b"HEAD", b"GET", b"HEAD", b"GET"])
    assert [answer.body for answer in answers] == [b"", b"right", b"", b"right"]
    assert client.read_until_closed() == b""


def test_answers_go_to_those_who_asked(l7: Callable[..., L7Process], origin: Callable[..., Origin]) -> None:
    """Clients in parallel, servers that close, poison and answer oddly: each answer names the request it is for."""

    def script(request: Request) -> Reply | bytes:
        number = int(request.target[1:].split(b"/")[-1])
        if number % 7 == 0:
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.target), request.target)
            return answer + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        if number % 5 == 0:
            return Reply(200, body=request.target, close=True)
        if number % 3 == 0:
            return Reply(200, body=[request.target[:2], request.target[2:]], framing="chunked")
        return Reply(200, body=request.target)

    app = origin(script)
    proxy = l7(config(app), workers=2)
    wrong: list[object] = []

    def visitor(name: int) -> None:
        try:
            with Client(proxy.port) as client:
                for number in range(100):
                    target = f"/{name}/{number}"
                    client.send(opening("GET", target))
                    answer = client.read_response()
                    if (answer.status, answer.body) != (200, target.encode()):
                        wrong.append((target, answer))
        except Exception as error:
            wrong.append((name, error))

    visitors = [threading.Thread(target=visitor, args=(name,)) for name in range(16)]
    for one in visitors:
        one.start()
    for one in visitors:
        one.join(60)
    assert not wrong, wrong[:3]
