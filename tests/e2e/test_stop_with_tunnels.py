"""A stop does not wait for upgraded connections: WebSockets hear 1001 at once, others end within a second or so."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness import TIMEOUT
from tests.harness.l7process import CONFIG, L7Process
from tests.harness.load import Gate, in_flight
from tests.harness.origin import Request, routes, upgrade_echo
from tests.harness.websocketserver import WebSocketServer, open_websocket

PATIENT = "canary-time: 0\ngraceful-timeout: 300s\n"
"""A test that waits for `graceful-timeout` fails."""
CLIENTS = 12
LONG = b"\x82\x7e\x01\x00" + bytes(256)
"""A frame of 256 bytes."""
GOODBYE = rb"\x88\x02\x03\xe9|\x88\x82.{6}"
"""A close frame 1001: ours, or the one that the origin was sent (it is masked) and sends back."""


@pytest.fixture
def echo() -> Iterator[WebSocketServer]:
    server = WebSocketServer()
    yield server
    server.close()


class Talker(threading.Thread):
    """A WebSocket client that sends, and reads what comes back, without a pause, until its connection is closed."""

    def __init__(self, proxy: L7Process, size: int) -> None:
        super().__init__()
        self.messages = 0
        self.wrong = 0
        self.code: int | None = None
        self._port = proxy.port
        self._size = size

    def run(self) -> None:
        with open_websocket(self._port, compression=None) as client:
            try:
                while True:
                    message = f"{self.messages} ".ljust(self._size, "x")
                    client.send(message)
                    self.wrong += client.recv(TIMEOUT) != message
                    self.messages += 1
            except ConnectionClosed:
                self.code = client.close_code


def test_websockets_hear_1001_at_once_and_requests_keep_their_time(l7, echo, origin):
    gate = Gate()
    backends = f"backends:\n  a: {{servers: ['{origin(gate).address}']}}\n  '*': {{servers: ['{echo.address}']}}\n"
    proxy = l7(backends + PATIENT, workers=2)
    talkers = [Talker(proxy, size) for size in [10, 3000, 200_000] * (CLIENTS // 3)]
    for talker in talkers:
        talker.start()
    with open_websocket(proxy.port) as silent, in_flight(proxy, gate) as client:
        proxy.wait_for(lambda: all(talker.messages > 3 for talker in talkers), "messages")
        proxy.term()
        with pytest.raises(ConnectionClosed):
            silent.recv(TIMEOUT)
        assert silent.close_code == 1001
        for talker in talkers:
            talker.join(TIMEOUT)
        assert [(talker.code, talker.wrong) for talker in talkers] == [(1001, 0)] * CLIENTS
        assert {code for code, _ in echo.wait_closed(CLIENTS + 1)} == {1001}
        assert proxy.process.poll() is None  # the request in flight is waited for
        gate.opened.set()
        assert client.read_response().status == 200
    assert proxy.wait() == 0
    for _ in range(CLIENTS + 1):
        proxy.stdout.wait(r'"GET / HTTP/1\.1" 101 .* KD$', TIMEOUT)


UNDER_WAY = [  # the protocol; what has passed before l7 stops, and what passes then; how that ends
    (b"websocket", LONG[:3], LONG[3:], GOODBYE),  # within a frame's head
    (b"websocket", LONG[:-1], LONG[-1:], GOODBYE),  # within its payload
    (b"websocket", LONG[:-1], b"", b""),  # a frame that has no end
    (b"websocket", b"\x88\x02\x03\xe8", b"", b""),  # after a close frame
    (b"other", b"one", b"two", b""),
]


def test_what_is_under_way_has_a_second(l7, origin, connect):
    proxy = l7(CONFIG.format(origin(routes).address) + PATIENT)
    clients = []
    for upgrade, sent, _, _ in UNDER_WAY:
        client = connect(proxy.address)
        client.send(b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n" % upgrade)
        assert client.read_response().status == 101
        client.send(sent)
        assert client.read_exactly(len(sent)) == sent
        clients.append(client)
    proxy.term()
    proxy.wait_for_event("master.stopping")
    for client, (_, _, later, _) in zip(clients, UNDER_WAY, strict=True):
        client.send(later)
    for client, (upgrade, _, later, end) in zip(clients, UNDER_WAY, strict=True):
        assert client.read_exactly(len(later)) == later
        assert re.fullmatch(end, client.read_until_closed(), re.DOTALL), (upgrade, later)
    assert proxy.wait() == 0


def test_one_that_is_opened_while_l7_stops_ends_too(l7, origin, connect):
    """The others were told before it was there."""
    entered, opened = threading.Event(), threading.Event()

    def script(request: Request) -> None:
        entered.set()
        assert opened.wait(TIMEOUT)
        upgrade_echo(request)

    proxy = l7(CONFIG.format(origin(script).address) + PATIENT)
    client = connect(proxy.address)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert entered.wait(TIMEOUT)
    proxy.term()
    proxy.wait_for_event("master.stopping")
    time.sleep(0.2)  # until the worker has told those that it has
    opened.set()
    assert client.read_response().status == 101
    assert re.fullmatch(GOODBYE, client.read_until_closed(), re.DOTALL)
    assert proxy.wait() == 0


def test_a_websocket_whose_client_does_not_read_ends_too(l7, echo):
    proxy = l7(f"backends: {{'*': {{servers: ['{echo.address}']}}}}\n{PATIENT}")
    with open_websocket(proxy.port, max_size=None, max_queue=1, close_timeout=0.1) as client:
        client.send("flood")
        client.recv(TIMEOUT)
        time.sleep(0.3)  # until the buffers are full
        proxy.term()
        assert proxy.wait() == 0
