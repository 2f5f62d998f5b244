"""Every wait has its own deadline: what the client sees, what the server sees, what is logged."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.harness import over_tls
from tests.harness.client import TIMEOUT, Client, request
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request, pattern, routes
from tests.harness.stage import Play, Stage

L7 = Callable[..., L7Process]
Origins = Callable[..., Origin]
Connect = Callable[..., Client]

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def config(*servers: str, client: str = "", server: str = "") -> str:
    addresses = ", ".join(f"'{one}'" for one in servers)
    return f"timeouts: {{{client}}}\nbackends: {{'*': {{servers: [{addresses}], timeouts: {{{server}}}}}}}"


@pytest.fixture(scope="module")
def clients() -> Iterator[Stage]:
    """An l7 that gives clients a second for everything."""
    with Stage("timeouts: {{head: 1s, body: 1s, write: 1s}}\nbackends: {{'*': {{servers: ['{address}']}}}}") as stage:
        yield stage


@pytest.fixture(scope="module")
def servers() -> Iterator[Stage]:
    """An l7 that gives servers a second for everything."""
    server = "{{servers: ['{address}'], ejection: off, timeouts: {{response: 1s, idle: 1s}}}}"
    with Stage(f"backends: {{{{'*': {server}}}}}") as stage:
        yield stage


@pytest.fixture
def client_side(clients: Stage) -> Iterator[Play]:
    """One test's share of the first."""
    with clients.scene() as play:
        yield play


@pytest.fixture
def server_side(servers: Stage) -> Iterator[Play]:
    """One test's share of the second."""
    with servers.scene() as play:
        yield play


class Watch:
    """How long something took."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def within(self, least: float, most: float = TIMEOUT) -> bool:
        return least <= time.monotonic() - self._begun <= most


# ------------------------------------------------------------------------------------------------ the client's side


@pytest.mark.parametrize("trickle", [False, True])
def test_a_head_that_does_not_end_is_408(client_side, trickle):
    app = client_side()
    client = client_side.connect()
    watch = Watch()
    client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n")
    while trickle and not client.end and not client.unread:
        client.send(b"X: y\r\n")
        client.pump(0.1)
    answer = client.read_response()
    assert (answer.status, answer.closes) == (408, True) and watch.within(0.9)
    assert client.read_until_closed() == b"" and client.end == "eof"
    client_side.wait_for_log(r'"GET /slow HTTP/1\.1" 408 .* cR$')
    assert not app.connections


def test_the_second_head_has_a_deadline_too(client_side):
    client_side()
    client = client_side.connect()
    client.send(GET + b"GET /second HTTP/1.1\r\n")
    assert client.read_response().status == 200
    assert client.read_response().status == 408
    client_side.wait_for_log(r'"GET /second HTTP/1\.1" 408 .* cR$')


def test_a_connection_that_says_nothing_is_closed_without_a_word(l7, origin, connect):
    proxy = l7(config(origin().address, client="head: 1s, idle: 60s"))
    watch = Watch()
    client = connect(proxy.port)
    assert client.read_until_closed() == b"" and client.end == "eof" and watch.within(0.9)
    assert proxy.logged() == []


def test_an_idle_connection_is_closed_without_a_word(l7, origin, connect):
    proxy = l7(config(origin().address, client="idle: 3s"))
    client = connect(proxy.port)
    for _ in range(3):  # longer than the timeout, but never idle for so long
        client.send(GET)
        assert client.read_response().status == 200
        client.pump(1.2)
    watch = Watch()
    assert client.read_until_closed() == b"" and client.end == "eof" and watch.within(0.3)
    assert len(proxy.logged()) == 3


BODIES = {
    "length": b"Content-Length: 10\r\n\r\nabc",
    "nothing": b"Content-Length: 10\r\n\r\n",
    "chunk data": b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "chunk size": b"Transfer-Encoding: chunked\r\n\r\n5",
    "trailer": b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ",
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_does_not_come_is_408(client_side, kind):
    app = client_side(lambda request: Reply(200, body=request.body))
    client = client_side.connect()
    watch = Watch()
    client.send(b"POST /slow HTTP/1.1\r\nHost: a\r\n" + BODIES[kind])
    answer = client.read_response(b"POST")
    assert (answer.status, answer.closes) == (408, True) and watch.within(0.9)
    assert client.read_until_closed() == b"" and client.end == "eof"
    client_side.wait_for_log(r'"POST /slow HTTP/1\.1" 408 .* cD$')
    if kind in ("length", "nothing"):
        assert not app.connections, "a body of known length is awaited before a server is asked"
    else:
        assert app.connections[0].wait_closed(), "the server goes on waiting for the body"
        assert not app.requests[0].complete


def test_a_slow_but_steady_body_arrives(client_side):
    client_side(lambda request: Reply(200, body=request.body))
    client = client_side.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
    for number in range(6):
        client.send(b"%d" % number)
        client.pump(0.2)
    assert client.read_response(b"POST").body == b"012345"


def test_a_body_may_take_longer_than_its_connection_was_to_be_idle(server_side):
    """The server's connection is one that was used before, and was kept for at most a second."""
    app = server_side(lambda request: Reply(200, body=request.body))
    client = server_side.connect()
    client.send(GET)
    assert client.read_response().status == 200
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(6):
        client.pump(0.4)
        client.send(b"1\r\n%d\r\n" % number)
    client.send(b"0\r\n\r\n")
    answer = client.read_response(b"POST")
    assert (answer.status, answer.body) == (200, b"012345") and len(app.connections) == 1


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("path", [b"/bytes/60000000", b"/chunked/60000000"])
def test_a_client_that_does_not_read_is_cut(client_side, path, version):
    app = client_side(routes)
    client = client_side.connect(receive_buffer=4096)
    client.send(b"GET " + path + b" HTTP/" + version + b"\r\nHost: a\r\n\r\n")
    found = client_side.wait_for_log(r'" 200 (\d+) .* cD$')
    assert int(found.group(1)) < 60_000_000
    assert app.connections[0].wait_closed(), "the server goes on sending"
    assert client.read_response().complete is False


def test_a_client_that_reads_slowly_but_steadily_is_served(l7, origin, connect):
    app = origin(lambda request: Reply(200, body=pattern(6_000_000)))
    proxy = l7(config(app.address, client="write: 6s"))
    client = connect(proxy.port, receive_buffer=4096)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    watch = Watch()
    got = 0
    while not client.end:
        before = len(client.unread)
        client._receive()
        got += len(client.unread) - before
        if not watch.within(0, 8):
            client.pump(0.5)
        else:
            threading.Event().wait(0.002)
    assert client.read_response().complete


# ------------------------------------------------------------------------------------------------ the server's side


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_server_that_does_not_answer_is_504(server_side, said):
    def script(request: Request) -> None:
        request.connection.send(said)
        request.connection.wait_closed(TIMEOUT)

    app = server_side(script)
    client = server_side.connect()
    watch = Watch()
    client.send(GET)
    answer = client.read_response()
    assert (answer.status, answer.closes) == (504, False) and watch.within(0.9)
    server_side.wait_for_log(r'"GET /x HTTP/1\.1" 504 .* 1 0 ".*" sH$')
    assert app.connections[0].wait_closed()
    client.send(GET.replace(b"/x", b"/again"))  # the client's connection lives on
    assert client.read_response().status == 504


def test_a_response_that_timed_out_is_asked_for_nowhere_else(l7, origin):
    asked: list[bytes] = []

    def silent(request: Request) -> None:
        asked.append(request.method)
        request.connection.wait_closed(TIMEOUT)

    app, well = origin(silent), origin()
    settings = config(app.address, well.address, server="response: 500ms")
    proxy = l7(settings.replace("servers:", "balance: first, ejection: off, servers:"))
    for method in ("GET", "POST"):
        answer = request(proxy.address, method, host="a", body=b"" if method == "GET" else b"x")
        assert answer.status == 504
    assert asked == [b"GET", b"POST"]
    assert not well.requests


def test_a_server_that_trickles_its_head_is_504(server_side):
    def script(request: Request) -> None:
        request.connection.trickle(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, 0.1, 6)

    server_side(script)
    client = server_side.connect()
    watch = Watch()
    client.send(GET)
    assert client.read_response().status == 504 and watch.within(0.9)
    server_side.wait_for_log(r" 504 .* sH$")


def test_neither_100_nor_an_answer_is_504(server_side):
    def script(request: Request) -> None:
        request.connection.wait_closed(TIMEOUT)

    app = server_side(script)
    client = server_side.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n\r\n")
    answer = client.read_response(b"POST")
    assert (answer.status, answer.interim) == (504, [])
    server_side.wait_for_log(r" 504 .* sH$")
    assert app.requests[0].received == b""


def test_a_server_that_does_not_take_the_body_is_504(server_side):
    def script(request: Request) -> None:
        release.wait(TIMEOUT)
        request.connection.close()

    release = threading.Event()
    server_side(script)
    client = server_side.connect()
    size = 100_000_000
    try:
        client.send(b"POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        client.send(b"x" * 1_000_000 for _ in range(size // 1_000_000) if not client.unread and not client.end)
        answer = client.read_response(b"POST")
        assert (answer.status, answer.closes) == (504, True)
        server_side.wait_for_log(r'"POST /big HTTP/1\.1" 504 .* sH$')
    finally:
        release.set()


@pytest.mark.parametrize(
    ("head", "version", "end"),
    [
        (b"Content-Length: 100\r\n\r\nhalf", b"1.1", "eof"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"1.1", "eof"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"1.0", "reset"),
        (b"\r\nhalf", b"1.1", "eof"),
        (b"\r\nhalf", b"1.0", "reset"),
    ],
)
def test_an_answer_that_stalls_is_cut_and_looks_cut(server_side, head, version, end):
    def script(request: Request) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\n" + head)
        request.connection.wait_closed(TIMEOUT)

    app = server_side(script)
    client = server_side.connect()
    watch = Watch()
    client.send(b"GET /x HTTP/%b\r\nHost: a\r\n\r\n" % version)
    answer = client.read_response()
    assert (answer.status, answer.body, answer.complete) == (200, b"half", False) and watch.within(0.9)
    client.read_until_closed()
    assert client.end == ("reset" if over_tls.scheme() == b"https" else end)  # without close_notify
    server_side.wait_for_log(r'"GET /x HTTP/1\.[01]" 200 4 .* sD$')
    assert app.connections[0].wait_closed()


# --------------------------------------------------------------------------------------------------- connecting


@pytest.fixture
def full() -> Iterator[str]:
    """The address of a server whose queue is full: the kernel answers no more connections."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    queued = []
    try:
        while True:
            one = socket.socket()
            queued.append(one)
            one.settimeout(0.3)
            try:
                one.connect(listener.getsockname())
            except TimeoutError:
                break
            assert len(queued) < 50, "the queue never fills"
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for one in [listener, *queued]:
            one.close()


def test_a_server_that_cannot_be_reached_is_504(l7, connect, full):
    proxy = l7(config(full, server="connect: 500ms"))
    client = connect(proxy.port)
    watch = Watch()
    client.send(GET)
    answer = client.read_response()
    assert (answer.status, answer.closes) == (504, False) and watch.within(0.4)
    proxy.wait_for_output(rf'"GET /x HTTP/1\.1" 504 .* {full} \d+/-1/-1/\d+ \d+ 0 ".*" sC$')


def test_another_server_takes_what_the_first_cannot(l7, origin, connect, full):
    app = origin()
    proxy = l7(config(full, app.address, server="connect: 500ms"))
    client = connect(proxy.port)
    for method in (b"GET", b"POST"):
        client.send(method + b" /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        assert client.read_response(method).status == 200
    proxy.wait_for_output(r' 2 2 "-" --$')
    assert [request.received for request in app.requests] == [b"hi", b"hi"]


def test_a_client_that_leaves_while_a_server_is_dialled(l7, connect, full):
    proxy = l7(config(full, server="connect: 1s"))
    client = connect(proxy.port)
    client.send(GET)
    client.reset()
    proxy.wait_for_output(r'"GET /x HTTP/1\.1" (499 .* C[CQ]|504 .* sC)$')


def test_deadlines_of_some_leave_others_alone(client_side):
    client_side(routes)
    patient = client_side.connect()
    slow = [client_side.connect() for _ in range(20)]
    for one in slow:
        one.send(b"GET /never HTTP/1.1\r\n")
    for _ in range(10):
        patient.send(b"GET /delay/200 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert patient.read_response().status == 200
    assert {one.read_response().status for one in slow} == {408}
