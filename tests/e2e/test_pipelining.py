"""Many requests on one connection: answered in order, and cancelled when nobody waits for them any more."""

from __future__ import annotations

import os
import signal
import threading

import psutil
import pytest

from tests.harness.client import TIMEOUT
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request

CONFIG = "timeouts: {{half-closed: 200ms}}\nbackends: {{'*': {{servers: ['{address}']}}}}"


def backend(app: Origin) -> str:
    return CONFIG.format(address=app.address)


def target(request: Request) -> Reply:
    """Answer with the target, in a framing that changes with every request."""
    body = request.target + b" " + request.body
    return Reply(200, body=body, framing=("length", "chunked")[request.number % 2])


def get(number: int, *fields: bytes) -> bytes:
    return b"\r\n".join([b"GET /%d HTTP/1.1" % number, b"Host: a", *fields, b"", b""])


@pytest.mark.parametrize("how", ["whole", "line"])
def test_1200_pipelined_requests_are_answered_in_order(l7, origin, connect, how):
    app = origin(target)
    proxy = l7(backend(app))
    client = connect(proxy.port)
    client.send(b"".join(get(number) for number in range(1200)), how)
    answers = client.read_responses([b"GET"] * 1200)
    assert [answer.body for answer in answers] == [b"/%d " % number for number in range(1200)]
    assert [request.target for request in app.requests] == [b"/%d" % number for number in range(1200)]
    assert not client.end and client.unread == b""
    proxy.wait_for(lambda: len(proxy.output) == 1200, "1200 lines")
    assert [line.split('"')[1].split()[1] for line in proxy.output] == [f"/{number}" for number in range(1200)]


def test_bodies_of_every_kind_between_others(play):
    raw = b"".join(
        [
            get(0),
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
            b"\r\n\r\n" + get(3),
            b"POST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            b"HEAD /5 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST /6 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000,
            get(7),
        ]
    )
    play(target)
    client = play.connect()
    methods = [b"GET", b"POST", b"POST", b"GET", b"POST", b"HEAD", b"POST", b"GET"]
    for how in ("whole", "line"):
        client.send(raw, how)
        answers = client.read_responses(methods)
        assert [answer.body[:8] for answer in answers] == [
            b"/0 ", b"/1 hello", b"/2 abc", b"/3 ", b"/4 ", b"", b"/6 xxxxx", b"/7 ",
        ]  # fmt: skip


def test_nothing_behind_a_close_or_a_refusal_is_a_request(play):
    app = play(target)
    for bad, statuses in (
        (get(1, b"Connection: close"), [200, 200]),
        (b"GET /1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", [200, 400]),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", [200, 405]),
        (b"GET /1 HTTP/2.0\r\nHost: a\r\n\r\n", [200, 505]),
    ):
        client = play.connect()
        client.send(get(0) + bad + get(666) + b"GET /666 HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        assert [answer.status for answer in client.read_responses()] == statuses
        assert client.end == "eof"
    assert b"/666" not in [request.target for request in app.requests]


def test_errors_of_the_server_keep_the_order(play):
    def script(request: Request) -> Reply | bytes | None:
        kind = int(request.target[1:]) % 4
        if kind == 1:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"
        if kind == 2:
            request.connection.close()
            return None
        return target(request)

    play(script)
    client = play.connect()
    client.send(b"".join(get(number) for number in range(40)))
    answers = client.read_responses([b"GET"] * 40)
    assert [answer.status for answer in answers] == [200, 502, 502, 200] * 10
    assert [answer.body for answer in answers[3::4]] == [b"/%d " % number for number in range(3, 40, 4)]


# ------------------------------------------------------------------------------------------ clients that leave


class Holding:
    """A script that answers ``/hold`` when it is let, and otherwise at once; ``/half`` begins an answer and holds."""

    def __init__(self) -> None:
        self.let = threading.Event()

    def __call__(self, request: Request) -> Reply | None:
        if request.target == b"/half":
            request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        if request.target in (b"/hold", b"/half"):
            request.connection.wait_closed(TIMEOUT)
            return None
        return target(request)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    ("raw", "begun", "code"),
    [
        (b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n", False, "CH"),
        (b"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", False, "CH"),
        (b"POST /hold HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", False, "CH"),
        (b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n", True, "CD"),
        (b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\nabc", False, "CD"),
        (b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", False, "CD"),
    ],
)
def test_a_client_that_leaves_cancels_its_request(play, raw, begun, code, how):
    app = play(Holding())
    client = play.connect()
    client.send(raw)
    request = app.wait_for(1)[0]
    if begun:
        assert client.read_head().status == 200
    client.reset() if how == "reset" else client.close()
    assert request.connection.wait_closed(), "the server was not told"
    play.wait_for_log(rf" {200 if begun else 499} .* {code}$")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_within_its_head(play, how):
    app = play()
    client = play.connect()
    client.send(b"GET /unfinished HTTP/1.1\r\nHost: a\r\nX:")
    play.turn()
    client.reset() if how == "reset" else client.close()
    play.wait_for_log(r'"GET /unfinished HTTP/1\.1" 499 .* CR$')
    assert not app.requests


def test_a_client_that_leaves_before_it_says_anything_is_not_logged(l7, origin, connect):
    proxy = l7(backend(origin()))
    connect(proxy.port).close()
    connect(proxy.port).reset()
    client = connect(proxy.port)
    client.send(get(1, b"Connection: close"))
    assert client.read_response().status == 200
    assert ["GET /1 " in line for line in proxy.logged()] == [True]


def test_pipelined_requests_of_a_client_that_left_are_not_all_sent(play):
    app = play(Holding())
    client = play.connect()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    app.wait_for(1)
    client.reset()
    assert app.connections[0].wait_closed()
    play.wait_for_log(r'"GET /hold HTTP/1\.1" 499 .* CH$')
    assert len(app.requests) == 1


def test_a_client_that_leaves_with_requests_still_queued_cancels_the_first(play):
    app = play(Holding())
    client = play.connect()
    client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
    app.wait_for(1)
    client.send(get(1) + get(2))
    play.turn()
    client.reset()
    assert app.connections[0].wait_closed(), "the server was not told"
    play.wait_for_log(r'"GET /hold HTTP/1\.1" 499 .* CH$')


# ------------------------------------------------------------------------------------ connections to servers


class Stopped:
    """The worker of *proxy* does not run meanwhile: what comes to it comes at once."""

    def __init__(self, proxy: L7Process) -> None:
        self.worker = psutil.Process(proxy.workers()[0])

    def __enter__(self) -> None:
        os.kill(self.worker.pid, signal.SIGSTOP)
        while self.worker.status() != psutil.STATUS_STOPPED:
            pass

    def __exit__(self, *error: object) -> None:
        os.kill(self.worker.pid, signal.SIGCONT)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("order", ["server first", "client first"])
@pytest.mark.parametrize("what", ["fin", "late answer", "bytes"])
def test_what_an_idle_server_says_is_never_an_answer_even_in_the_same_moment(play, method, order, what):
    app = play(lambda request: Reply(200, body=b"right"))
    client = play.connect()
    client.send(get(1))
    assert client.read_response().body == b"right"
    server = app.connections[0]

    def speak() -> None:
        if what == "fin":
            server.half_close()
        elif what == "bytes":
            server.send(b"x")
        else:
            server.send(b"HTTP/1.1 408 Late\r\nContent-Length: 4\r\n\r\nlate")

    def ask() -> None:
        client.send(method + b" /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")

    with Stopped(play.proxy):
        for act in (speak, ask) if order == "server first" else (ask, speak):
            act()
    assert client.read_response(method).body == b"right"
    assert len(app.connections) == 2 and app.requests[1].connection is app.connections[1]


def test_a_server_that_answers_before_the_body_in_pieces_does_not_hold_the_client(l7, origin, connect):
    """The answer is whole, the rest of the body is nobody's: the connection ends."""
    let = threading.Event()

    def script(request: Request) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        assert let.wait(TIMEOUT)
        request.connection.send(b"ok")
        request.connection.wait_closed(TIMEOUT)

    app = origin(script)
    proxy = l7(backend(app))
    client = connect(proxy.port)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\nabc")
    head = client.read_head()
    assert head.status == 200 and head.closes
    let.set()
    assert client.read_until_closed() == b"ok" and client.end == "eof"
    client.close()
    proxy.wait_for_output(r'"POST / HTTP/1\.1" 200 ')
    proxy.assert_no_leaks(slack=0)


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE"])
def test_the_body_of_what_is_answered_here_is_no_request(play, method):
    app = play(target)
    client = play.connect()
    body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    client.send(b"%b * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nContent-Length: %d\r\n\r\n" % (method, len(body)))
    answer = client.read_response(method)
    client.send(body)
    client.send(get(7, b"Connection: close"))
    answers = client.read_responses()
    assert (answer.status, len(answers)) == ((200, 1) if method == b"OPTIONS" else (400, 0))
    assert b"/smuggled" not in [request.target for request in app.requests]
