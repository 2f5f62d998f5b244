"""What depends on when something is said: interim and early answers, expectations, upgrades, clients that leave."""

from __future__ import annotations

import threading

import pytest

from tests.harness.client import get
from tests.harness.origin import TIMEOUT, Reply, Request, echo, routes
from tests.harness.stage import Play

CONFIG = """
limits: {{body: 100MB}}
timeouts: {{head: 100s, body: 100s, idle: 100s, write: 100s, half-closed: 200ms}}
backends: {{'*': {{servers: ['{address}'], buffer: off, timeouts: {{response: 100s, idle: 100s}}}}}}
"""
"""No timeout is over while a test waits: what happens here does so because of what was said, or who left. But for
``half-closed``: a client that closes looks like one that half-closes until something is sent to it."""


def post(*fields: bytes, target: bytes = b"/x") -> bytes:
    """The head of a POST."""
    return b"\r\n".join([b"POST " + target + b" HTTP/1.1", b"Host: example.com", *fields, b"", b""])


def plain(target: str = "/x", *fields: str) -> bytes:
    """A GET."""
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: example.com", *fields, "", ""]).encode()


# Interim answers


def test_an_interim_answer_is_passed_on_at_once(play: Play) -> None:
    """103 arrives while the server still thinks about the answer."""
    go_on = threading.Event()

    def script(request: Request) -> Reply:
        request.connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        go_on.wait(TIMEOUT)
        return Reply(200, body=b"done")

    play(script)
    client = play.connect()
    client.send(plain())
    interim = client.read_head()
    assert (interim.status, interim.header(b"link")) == (103, b"</a.css>; rel=preload")
    go_on.set()
    assert client.read_response().body == b"done"


# Expect: 100-continue


def test_expect_is_passed_end_to_end(play: Play) -> None:
    """The server sees the expectation, its 100 reaches the client, and only then the body flows."""

    def script(request: Request) -> Reply:
        assert request.header(b"expect") == b"100-continue"
        assert request.received == b""
        request.connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return Reply(200, body=request.body)

    play(script)
    client = play.connect()
    for _ in range(3):
        client.send(post(b"Content-Length: 5", b"Expect: 100-continue"))
        assert client.read_head().status == 100
        client.send(b"hello")
        answer = client.read_response(b"POST")
        assert (answer.status, answer.body, answer.closes) == (200, b"hello", False)


@pytest.mark.parametrize("status", [200, 204, 401, 413, 417, 500])
def test_a_final_answer_instead_of_100(status: int, play: Play) -> None:
    """The client need not send its body, so nothing behind the head may be taken for a request, or for the body."""

    def script(request: Request) -> Reply | None:
        if request.method == b"GET":
            return echo(request)
        framing = "none" if status == 204 else "length"
        reply = Reply(status, framing=framing)
        request.connection.send(*reply.pieces(b"POST"))
        request.connection.wait_closed(5)
        request.connection.close()
        return None

    app = play(script)
    client = play.connect()
    client.send(post(b"Content-Length: 35", b"Expect: 100-continue"))
    answer = client.read_response(b"POST")
    assert answer.status == status
    if not answer.closes:  # then the body is counted still
        client.send(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        client.send(plain("/next", "Connection: close"))
        assert client.read_response().json["target"] == "/next"
    else:
        client.send(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.read_until_closed() == b""
    assert b"/smuggled" not in [request.target for request in app.requests]


def test_a_client_that_does_not_wait_for_100(play: Play) -> None:
    """It may send its body at once; a server that never says 100 gets it all the same."""
    play()
    client = play.connect()
    for pause in (0.0, 0.3):
        client.send(post(b"Content-Length: 5", b"Expect: 100-continue"))
        client.pump(pause)
        client.send(b"hello")
        answer = client.read_response(b"POST")
        assert (answer.status, answer.json["size"]) == (200, 5)


# Answers before the request is whole


@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("status", [401, 413])
def test_an_early_answer_is_passed_on_at_once(status: int, coding: str, play: Play) -> None:
    """The server has heard enough: the client gets to know although it is still sending."""

    def script(request: Request) -> None:
        request.connection.send(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno" % status)
        request.connection.half_close()
        request.connection.wait_closed(5)
        request.connection.close()

    play(script)
    client = play.connect()
    if coding == "length":
        client.send(post(b"Content-Length: 50000000") + b"x" * 10000)
    else:
        client.send(post(b"Transfer-Encoding: chunked") + b"a\r\n0123456789\r\n")
    answer = client.read_response(b"POST")
    assert (answer.status, answer.body, answer.complete) == (status, b"no", True)
    assert answer.closes
    assert client.read_until_closed() == b""
    assert client.end == "eof"


def test_an_early_answer_while_the_client_pours(play: Play) -> None:
    """A server that answers 413, reads nothing more and closes: the client sees the 413, not a broken pipe."""

    def script(request: Request) -> None:
        request.connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        request.connection.half_close()
        request.connection.wait_closed(5)
        request.connection.close()

    play(script)
    for _ in range(5):
        client = play.connect()
        client.send(post(b"Content-Length: 4000000") + b"x" * 4_000_000)
        answer = client.read_response(b"POST")
        assert (answer.status, answer.body) == (413, b"no")
        if answer.closes:  # else l7 had sent all of the body before it heard the answer
            assert client.read_until_closed() == b""


def test_both_directions_flow_at_once(play: Play) -> None:
    """A server that answers as it reads: the first half of the answer comes before the second half of the request."""

    def script(request: Request) -> None:
        connection = request.connection
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        connection.read_body(request)
        connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(request.body), request.body))

    play(script)
    client = play.connect()
    client.send(post(b"Content-Length: 10") + b"hello")
    assert client.read_head().status == 200
    assert client.read_exactly(10) == b"5\r\nfirst\r\n"
    client.send(b"world")
    assert client.read_exactly(20) == b"a\r\nhelloworld\r\n0\r\n\r\n"


# Upgrade


WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def test_a_tunnel_opens_when_both_agree(play: Play) -> None:
    """Bytes flow both ways as they are, also those that came right behind the heads."""
    play(routes)
    client = play.connect()
    client.send(plain("/upgrade", *WEBSOCKET) + b"early")
    answer = client.read_response()
    assert (answer.status, answer.header(b"upgrade"), answer.header(b"connection")) == (101, b"websocket", b"Upgrade")
    assert answer.header(b"sec-websocket-accept") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert client.read_exactly(5) == b"early"
    payload = bytes(range(256)) * 2000
    client.send(payload)
    assert client.read_exactly(len(payload)) == payload
    client.half_close()
    assert client.read_until_closed() == b""
    assert client.end == "eof"


def test_what_follows_an_upgrade_that_was_not_taken(play: Play) -> None:
    """Is the next request, and was nothing before that was known."""
    play()
    client = play.connect()
    client.send(plain("/x", *WEBSOCKET) + plain("/next", "Connection: close"))
    assert [answer.json["target"] for answer in client.read_responses()] == ["/x", "/next"]


@pytest.mark.parametrize("status", [200, 400, 403, 426])
def test_a_refused_upgrade_leaves_http(status: int, play: Play) -> None:
    """No tunnel without a 101: the server never sees what the client sends for one."""

    def script(request: Request) -> Reply:
        return Reply(status, body=b"no")

    app = play(script)
    client = play.connect()
    client.send(plain("/x", *WEBSOCKET))
    assert client.read_response().status == status
    client.send(b"\x81\x85\x00\x00\x00\x00hello")
    assert client.read_response().status == 400
    assert client.read_until_closed() == b""
    assert len(app.requests) == 1


@pytest.mark.parametrize("try_send", ["h2c", "H2C", "h2c, foo", "foo, h2c"])
def test_h2c_never_reaches_a_server(try_send: str, play: Play) -> None:
    """Neither the offer nor its settings; a server that switches all the same is not believed."""

    def script(request: Request) -> bytes:
        assert b"h2" not in b", ".join(request.values(b"upgrade")).lower()
        assert not request.values(b"http2-settings")
        return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

    app = play(script)
    client = play.connect()
    client.send(
        plain("/x", "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {try_send}", "HTTP2-Settings: AAMAAABkAAQAAP__")
    )
    assert client.read_response().status == 502
    assert not app.violations


# The last answer of a connection


@pytest.mark.parametrize(
    "request_", [b"GET /x HTTP/1.0\r\n\r\n", b"GET /x HTTP/1.1\r\n\r\n"], ids=["HTTP/1.0", "refused"]
)
def test_what_is_sent_after_the_last_request_does_not_reset_its_answer(request_: bytes, play: Play) -> None:
    """A reset would eat what the client has not read yet (a client that has said that nothing comes: test_close.py)."""
    play(echo)
    client = play.connect()
    client.send(request_)
    client.read_response()
    client.read_until_closed()
    assert client.end == "eof"
    for _ in range(10):
        client.send(b"\r\n")
    assert not client.broken


# Clients that leave (those that are slow: test_timeouts.py)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_cancels_its_request(how: str, play: Play) -> None:
    """The server's connection is closed, not used again, and the log says 499."""
    arrived = threading.Event()

    def script(request: Request) -> Reply | None:
        if request.target == b"/slow":
            arrived.set()
            request.connection.wait_closed(TIMEOUT)
            request.connection.close()
            return None
        return echo(request)

    app = play(script)
    client = play.connect()
    client.send(plain("/slow"))
    assert arrived.wait(TIMEOUT)
    getattr(client, how)()
    assert app.requests[-1].connection.wait_closed()
    play.wait_for_log(r'"GET /slow HTTP/1.1" 499 .* CH$')
    assert get(play.port, "/x").status == 200


def test_a_client_that_leaves_within_the_answer(play: Play) -> None:
    """499 and CD; the server is told by a closed connection."""
    gone = threading.Event()

    def script(request: Request) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nfirst")
        request.connection.wait_closed(TIMEOUT)
        request.connection.close()
        gone.set()

    play(script)
    client = play.connect()
    client.send(plain("/cut"))
    client.read_head()
    client.reset()
    assert gone.wait(TIMEOUT)
    play.wait_for_log(r'"GET /cut HTTP/1.1" \d+ .* CD$')


def test_a_client_that_leaves_within_its_body(play: Play) -> None:
    """No server is made to believe that a body cut short is whole."""
    app = play()
    for head, part in (
        (b"Content-Length: 100", b"half"),
        (b"Transfer-Encoding: chunked", b"4\r\nhalf\r\n"),
        (b"Transfer-Encoding: chunked", b"4\r\nhalf\r\n0\r\n"),
        (b"Transfer-Encoding: chunked", b"4\r\nha"),
    ):
        for how in ("half_close", "close", "reset"):
            before = len(app.requests)
            client = play.connect()
            client.send(post(head) + part)
            app.wait_for(before + 1)
            getattr(client, how)()
            assert app.requests[-1].connection.wait_closed()
            assert not app.requests[-1].complete


def test_events_pass_at_once(play: Play) -> None:
    """Each server-sent event is with the client before the server goes on."""
    step = threading.Event()

    def script(request: Request) -> None:
        connection = request.connection
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(20):
            connection.send(b"data: %d\n\n" % number)
            assert step.wait(TIMEOUT)
            step.clear()
        connection.close()

    play(script)
    client = play.connect()
    client.send(plain())
    assert client.read_head().status == 200
    for number in range(20):
        event = b"data: %d\n\n" % number
        assert client.read_exactly(len(event) + 5)[:-2].endswith(event)
        step.set()
    assert client.read_exactly(5) == b"0\r\n\r\n"
