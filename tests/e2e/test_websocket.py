"""WebSocket through the real program, by the ``websockets`` package on both ends; and upgrades that do not happen."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect as connect_asyncio
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.harness import over_tls
from tests.harness.client import TIMEOUT
from tests.harness.l7process import L7Process
from tests.harness.origin import Reply, Request, upgrade_echo
from tests.harness.websocketserver import FLOOD, MAX_MESSAGE, WebSocketServer, open_websocket

CONFIG = "backends: {{'*': {{servers: ['{address}'], timeouts: {{idle: 20s}}}}}}"


@pytest.fixture(scope="module")
def server() -> Iterator[WebSocketServer]:
    server = WebSocketServer()
    yield server
    server.close()


@pytest.fixture
def echo(server: WebSocketServer) -> Iterator[WebSocketServer]:
    yield server
    server.forget()


@pytest.fixture(scope="module")
def before_it(server: WebSocketServer, spoken: None) -> Iterator[L7Process]:
    with L7Process(CONFIG.format(address=server.address)) as proxy:
        yield proxy
        proxy.assert_no_leaks()


@pytest.fixture
def proxy(before_it: L7Process, echo: WebSocketServer) -> L7Process:
    """An l7 for all these tests, before a server that has seen every earlier connection end."""
    return before_it


def opened(proxy: L7Process, path: str = "/chat", **options: Any) -> ClientConnection:
    return open_websocket(proxy.port, path, max_size=MAX_MESSAGE, ping_interval=None, **options)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 8 << 20])
def test_messages_of_any_size(proxy, size):
    text = "é" * (size // 2) + "x" * (size % 2)
    data = bytes(range(256)) * (size // 256) + b"y" * (size % 256)
    with opened(proxy, compression=None) as connection:
        connection.send(text)
        assert connection.recv(TIMEOUT) == text
        connection.send(data)
        assert connection.recv(TIMEOUT) == data


def test_compressed_messages(proxy):
    with opened(proxy, compression="deflate") as connection:
        connection.send("z" * 500_000)
        assert connection.recv(TIMEOUT) == "z" * 500_000


def test_fragments_arrive_as_they_were_sent(proxy):
    with opened(proxy, compression=None) as connection:
        connection.send(iter([b"x" * 100_000, b"", b"y", b"z" * 300_000]))
        assert connection.recv(TIMEOUT) == b"x" * 100_000 + b"y" + b"z" * 300_000
        connection.send("fragments")
        assert [len(part) for part in connection.recv_streaming()] == [70_000, 0, 1, 200_000, 0]  # the last ends it


def test_many_small_messages_in_both_directions_at_once(proxy):
    count = 3000
    with opened(proxy, compression=None) as connection:
        sender = threading.Thread(target=lambda: [connection.send(str(number)) for number in range(count)])
        sender.start()
        got = [connection.recv(TIMEOUT) for _ in range(count)]
        sender.join(TIMEOUT)
    assert got == [str(number) for number in range(count)]


def test_ping_and_pong_both_ways(proxy):
    with opened(proxy) as connection:
        assert connection.ping(b"hello").wait(TIMEOUT)
        connection.send("ping")
        assert connection.recv(TIMEOUT) == "pong came"


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "going"), (1011, "ü"), (3000, "x" * 120), (4999, "mine")]
)
def test_close_codes_reach_the_server(proxy, echo, code, reason):
    with opened(proxy) as connection:
        connection.close(code, reason)
    assert echo.wait_closed() == [(code, reason)]


def test_close_codes_reach_the_client(proxy, echo):
    with opened(proxy) as connection:
        connection.send("close 4321")
        with pytest.raises(ConnectionClosedError) as caught:
            connection.recv(TIMEOUT)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4321, "as asked")
    assert echo.wait_closed() == [(4321, "as asked")]


def test_a_client_that_vanishes_is_seen_by_the_server(proxy, echo):
    with opened(proxy) as connection:
        connection.send("x")
        assert connection.recv(TIMEOUT) == "x"
        connection.socket.shutdown(socket.SHUT_RDWR)
        assert echo.wait_closed()[0][0] == 1006


def test_a_server_that_vanishes_is_seen_by_the_client(proxy):
    with opened(proxy) as connection:
        connection.send("vanish")
        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(TIMEOUT)
    assert caught.value.rcvd is None


def test_a_tunnel_is_logged_when_it_ends_with_its_bytes(proxy):
    with opened(proxy, "/logged", compression=None) as connection:
        connection.send(b"x" * 1000)
        connection.recv(TIMEOUT)
        assert not any("/logged" in line for line in proxy.logged())
    line = proxy.wait_for_output(r'"GET /logged HTTP/1\.1" 101 (\d+) .* (\d+) ".*" (\S\S)$')
    assert int(line.group(1)) > 1000 and int(line.group(2)) > 1000 and line.group(3) == "--"


def test_many_at_once(proxy):
    scheme, tls = over_tls.websocket(proxy.port)

    async def one(number: int) -> str:
        async with connect_asyncio(
            f"{scheme}://127.0.0.1:{proxy.port}/{number}",
            **tls,
            max_size=MAX_MESSAGE,
            ping_interval=None,
            compression=None,
            open_timeout=30,
        ) as connection:
            for turn in range(5):
                message = hashlib.sha256(b"%d.%d" % (number, turn)).hexdigest() * (1 + 100 * (number % 7))
                await connection.send(message)
                assert await connection.recv() == message
        return "well"

    async def everybody() -> list[str]:
        return await asyncio.wait_for(asyncio.gather(*(one(number) for number in range(150))), 45)

    assert asyncio.run(everybody()) == ["well"] * 150


def test_a_slow_reader_slows_only_its_own_tunnel(l7, echo):
    proxy = l7(CONFIG.format(address=echo.address))  # one whose memory has not grown yet
    before = proxy.memory()
    with opened(proxy, compression=None) as slow, opened(proxy, compression=None) as quick:
        slow.send("flood")
        for number in range(50):
            quick.send(str(number))
            assert quick.recv(TIMEOUT) == str(number)
        assert proxy.memory() - before < 32 << 20
        assert sum(len(slow.recv(TIMEOUT)) for _ in range(FLOOD)) == FLOOD << 20


# ------------------------------------------------------------------------------------ upgrades that do not happen


KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
UPGRADE = b"GET /w HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + KEY + b"\r\n"


@pytest.mark.parametrize("status", [200, 403, 426, 500])
def test_a_refused_upgrade_is_an_ordinary_answer_and_the_connection_goes_on(play, status):
    app = play(lambda request: Reply(status, body=b"no") if request.target == b"/w" else Reply(200, body=b"next"))
    client = play.connect()
    client.send(UPGRADE)
    answer = client.read_response()
    assert (answer.status, answer.body, answer.closes) == (status, b"no", False)
    client.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_response().body == b"next"
    assert app.requests[0].header(b"upgrade") == b"websocket" and app.requests[1].header(b"upgrade") is None
    assert client.unread == b"" and not client.end


def test_the_websockets_client_sees_the_refusal(play):
    play(lambda request: Reply(403, body=b"not you"))
    with pytest.raises(InvalidStatus) as caught:
        opened(play.proxy)
    assert (caught.value.response.status_code, caught.value.response.body) == (403, b"not you")


@pytest.mark.parametrize("try_send", [b"h2c", b"H2C", b"h2c, HTTP/2.0", b"h2"])
def test_h2c_is_never_offered(play, try_send):
    app = play()
    client = play.connect()
    client.send(
        b"GET /h2c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: " + try_send
        + b"\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n"
    )  # fmt: skip
    assert [answer.status for answer in client.read_responses([b"GET"] * 2)] == [200, 200]
    assert app.requests[0].values(b"upgrade") + app.requests[0].values(b"http2-settings") == []
    assert app.requests[0].values(b"connection") == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 S\r\n\r\n",
        b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ],
)
def test_a_101_that_nobody_asked_for_is_a_502(play, answer):
    app = play(lambda request: answer if request.target == b"/" else Reply(200, body=b"good"))
    client = play.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_response().status == 502
    client.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_response().body == b"good"
    assert app.connections[0].wait_closed()
    assert app.requests[1].connection is not app.connections[0]


@pytest.mark.parametrize("chosen", [b"", b"Upgrade: other\r\n", b"Upgrade: websocket, other\r\n", b"Upgrade: h2c\r\n"])
def test_a_101_to_something_else_is_a_502(play, chosen):
    play(lambda request: b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\n" + chosen + b"\r\n")
    client = play.connect()
    client.send(UPGRADE)
    assert client.read_response().status == 502
    play.wait_for_log(r'"GET /w HTTP/1\.1" 502 .* PH$')


# ------------------------------------------------------------------------------------------ bytes that come early


def test_bytes_sent_right_behind_the_request_go_into_the_tunnel(play):
    play(upgrade_echo)
    client = play.connect()
    client.send(UPGRADE + b"early bird")
    assert client.read_response().status == 101
    assert client.read_exactly(10) == b"early bird"
    client.send(b"late bird")
    assert client.read_exactly(9) == b"late bird"


@pytest.mark.parametrize("pieces", [(b"abcearly",), (b"ab", b"cearly"), (b"abc", b"early")])
def test_bytes_behind_the_body_of_an_upgrade_request_go_into_the_tunnel(play, pieces):
    def script(request: Request) -> None:
        assert request.body == b"abc"
        upgrade_echo(request)

    play(script)
    client = play.connect()
    client.send(UPGRADE.replace(b"GET", b"POST").replace(KEY, b"Content-Length: 3\r\n"))
    play.turn()
    for piece in pieces:
        client.send(piece)
    assert client.read_response().status == 101
    assert client.read_exactly(5) == b"early"


def test_bytes_that_the_server_sends_with_its_101_reach_the_client(play):
    def script(request: Request) -> None:
        request.connection.send(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nwelcome")
        while request.connection.receive():
            pass

    play(script)
    client = play.connect()
    client.send(UPGRADE)
    assert client.read_response().status == 101
    assert client.read_exactly(7) == b"welcome"


def test_early_bytes_of_a_refused_upgrade_are_the_next_request(play):
    play(lambda request: Reply(426 if request.target == b"/w" else 200))
    client = play.connect()
    client.send(UPGRADE + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [answer.status for answer in client.read_responses([b"GET"] * 2)] == [426, 200]


def test_half_closed_tunnels_carry_the_other_direction_to_its_end(play):
    def script(request: Request) -> None:
        request.connection.send(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
        data = b""
        while more := request.connection.receive():
            data += more
        request.connection.send(data[::-1] * 100_000)
        request.connection.half_close()

    play(script)
    client = play.connect()
    client.send(UPGRADE)
    assert client.read_response().status == 101
    client.send(b"abcdefgh")
    client.half_close()
    assert client.read_until_closed() == b"hgfedcba" * 100_000
    assert client.end == "eof"


def test_a_silent_tunnel_ends_after_the_idle_timeout(l7, origin, connect):
    app = origin(upgrade_echo)
    proxy = l7(f"backends: {{'*': {{servers: ['{app.address}'], timeouts: {{idle: 3s}}}}}}")
    client = connect(proxy.port)
    client.send(UPGRADE)
    assert client.read_response().status == 101
    for _ in range(3):  # longer than the timeout, but never silent for so long
        client.pump(1.2)
        client.send(b"x")
        assert client.read_exactly(1) == b"x"
    assert client.read_until_closed() == b""
    proxy.wait_for_output(r'"GET /w HTTP/1\.1" 101 ')
