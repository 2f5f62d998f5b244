"""Clients that end what they send and wait for the answer, and those that have left: TCP shows both alike.

The habit of the peers, with a server that answers after a second: HAProxy answers who has half-closed, and goes on for
who has left until the server answers; with ``option abortonclose`` it answers neither. nginx answers neither. Caddy
cancels both, and makes up a 200 without a body for who has half-closed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.harness.client import TIMEOUT, Client
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request
from tests.harness.stage import Play, Stage

L7 = Callable[..., L7Process]
Origins = Callable[..., Origin]
Connect = Callable[..., Client]

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
GONE = r'"GET /x HTTP/1\.1" 499 .* CH$'


class Held:
    """A server that answers when it is let; ``/half`` begins its answer before that."""

    def __init__(self) -> None:
        self.let = threading.Event()

    def __call__(self, request: Request) -> Reply | None:
        if request.target == b"/half":
            request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf ")
        while not self.let.wait(0.01) and not request.connection.wait_closed(0.01):
            pass
        if request.target == b"/half":
            request.connection.send(b"done")
            return None
        return Reply(200, body=request.target)


def config(address: str, half_closed: str = "100s", more: str = "") -> str:
    # Nothing else is over while a test waits.
    server = "timeouts: {response: 100s, idle: 100s}"
    return (
        f"timeouts: {{half-closed: {half_closed}}}\n"
        f"backends: {{'*': {{servers: [{{address: '{address}', max-connections: 1}}], {server}, {more}}}}}"
    )


@pytest.fixture(scope="module")
def running(spoken: None) -> Iterator[Stage]:
    with Stage(config) as stage:
        yield stage


@pytest.mark.parametrize(
    ("raw", "method"),
    [
        (GET, b"GET"),
        (b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"GET"),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", b"POST"),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"POST"),
        (b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n", b"GET"),
    ],
)
@pytest.mark.parametrize("when", ["at once", "while the answer is awaited"])
def test_who_half_closes_gets_its_answer(play: Play, raw: bytes, method: bytes, when: str) -> None:
    held = Held()
    app, client = play(held), play.connect()
    client.send(raw)
    if when == "at once":
        client.half_close()
    app.wait_for(1)
    client.half_close()
    play.turn()
    held.let.set()
    answer = client.read_response(method)
    assert answer.status == 200 and answer.complete and answer.body in (b"/x", b"half done")
    assert client.read_until_closed() == b"" and client.end == "eof"
    if b"/half" not in raw:
        assert answer.closes, "nothing more can come"
    play.wait_for_log(r'"(GET|POST) /\w+ HTTP/1\.[01]" 200 \d+ .* --$')


def test_all_that_was_sent_before_is_answered(play: Play) -> None:
    held = Held()
    app, client = play(held), play.connect()
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(4)))
    client.half_close()
    app.wait_for(1)
    play.turn()
    held.let.set()
    answers = client.read_responses()
    assert [answer.body for answer in answers] == [b"/0", b"/1", b"/2", b"/3"]
    assert [answer.closes for answer in answers] == [False, False, False, True]
    assert client.end == "eof"


def test_what_l7_answers_itself_reaches_who_has_half_closed(l7: L7, connect: Connect) -> None:
    proxy = l7("backends: {a: {servers: ['127.0.0.1:1']}}")
    for host, status in ((b"b", 404), (b"a", 502)):
        client = connect(proxy.port)
        client.send(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        client.half_close()
        assert [answer.status for answer in client.read_responses()] == [status]
        assert client.end == "eof"


def test_who_has_left_is_given_up_after_a_time(l7: L7, origin: Origins, connect: Connect) -> None:
    """Of both, because nothing tells them apart; what the server still does is for nobody."""
    app = origin(Held())
    proxy = l7(config(app.address, "300ms"))
    for count, leave in enumerate((Client.close, Client.half_close), 1):
        start = len(proxy.output)
        client = connect(proxy.port)
        client.send(GET)
        app.wait_for(count)
        leave(client)
        assert app.connections[-1].wait_closed(), "the server was not told"
        proxy.wait_for_output(GONE, start=start)


def test_without_a_time_every_end_is_taken_for_leaving(l7: L7, origin: Origins, connect: Connect) -> None:
    app = origin(Held())
    proxy = l7(config(app.address, "0s"))
    client = connect(proxy.port)
    client.send(GET)
    app.wait_for(1)
    client.half_close()
    assert app.connections[0].wait_closed()
    proxy.wait_for_output(GONE)


def test_with_all_time_sending_decides(l7: L7, origin: Origins, connect: Connect) -> None:
    """The second piece of the answer meets the reset that the first one brought."""
    go_on = threading.Event()

    def script(request: Request) -> None:
        send = request.connection.send
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        go_on.wait(TIMEOUT)
        while not request.connection.wait_closed(0.02):
            send(b"5\r\nevent\r\n")

    app = origin(script)
    proxy = l7(config(app.address, "unlimited"))
    client = connect(proxy.port)
    client.send(GET)
    assert client.read_head().status == 200
    client.close()
    proxy.turn()
    go_on.set()
    assert app.connections[0].wait_closed()
    proxy.wait_for_output(r'"GET /x HTTP/1\.1" 200 .* CD$')


def test_a_reset_tells_that_who_had_half_closed_has_left(l7: L7, origin: Origins, connect: Connect) -> None:
    app = origin(Held())
    proxy = l7(config(app.address, "unlimited"))
    client = connect(proxy.port)
    client.send(GET)
    app.wait_for(1)
    client.half_close()
    proxy.turn()
    client.reset()
    assert app.connections[0].wait_closed()
    proxy.wait_for_output(GONE)


@pytest.mark.parametrize("leave", [Client.close, Client.half_close])
def test_a_unix_socket_tells_them_apart(l7: L7, origin: Origins, connect: Connect, tmp_path, leave) -> None:
    held = Held()
    app = origin(held)
    path = f"{tmp_path}/l7.sock"
    proxy = l7(f"bind: 'unix:{path}'\n{config(app.address, 'unlimited')}", inherit=False)
    client = connect(path)
    client.send(GET)
    app.wait_for(1)
    leave(client)
    if leave is Client.close:
        assert app.connections[0].wait_closed()
        proxy.wait_for_output(GONE)
    else:
        with Client(path) as other:
            other.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
            assert other.read_response(b"OPTIONS").status == 200
        held.let.set()
        assert client.read_response().body == b"/x"


def test_who_has_half_closed_waits_in_the_queue_like_everybody(l7: L7, origin: Origins, connect: Connect) -> None:
    """And gives up its place when it has waited for so long that it has left for all that is known."""
    held = Held()
    app = origin(held)
    proxy = l7(config(app.address, "100s", "queue: {timeout: 100s}"))
    first, second = connect(proxy.port), connect(proxy.port)
    first.send(GET)
    app.wait_for(1)
    second.send(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    second.half_close()
    proxy.turn()
    held.let.set()
    assert first.read_response().status == 200
    answer = second.read_response()
    assert (answer.body, answer.closes) == (b"/second", True)

    app = origin(Held())
    proxy = l7(config(app.address, "300ms", "queue: {timeout: 100s}"))
    first, second = connect(proxy.port), connect(proxy.port)
    first.send(GET)
    app.wait_for(1)
    second.send(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    second.half_close()
    proxy.wait_for_output(r'"GET /second HTTP/1\.1" 499 .* CQ$')
    assert len(app.requests) == 1


def test_waiting_for_who_has_half_closed_costs_nothing(l7: L7, origin: Origins, connect: Connect) -> None:
    """The end stays readable: listened for, it would call for ever."""
    held = Held()
    app = origin(held)
    proxy = l7(config(app.address).replace("max-connections: 1", "weight: 1"))
    clients = [connect(proxy.port) for _ in range(3)]
    for client in clients:
        client.send(GET)
        client.half_close()
    app.wait_for(3)
    proxy.turn()
    worker = psutil.Process(proxy.workers()[0])
    before = sum(worker.cpu_times()[:2])
    clients[0].pump(1.5)
    assert sum(worker.cpu_times()[:2]) - before < 0.5
    held.let.set()
    for client in clients:
        assert client.read_response().status == 200


def test_a_request_that_is_not_whole_is_not_answered(play: Play) -> None:
    """Nothing is made of what was cut off, neither a head nor a body."""
    app = play()
    for raw, code in ((GET[:-2], "CR"), (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", "CD")):
        client = play.connect()
        client.send(raw)
        client.half_close()
        assert client.read_until_closed() == b""
        play.wait_for_log(rf" 499 .* {code}$")
    assert not [request for request in app.requests if request.complete]
