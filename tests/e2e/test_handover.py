"""Reloads that no client notices: kept connections go on in the new generation, and upgraded ones end politely."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness.client import TIMEOUT, Client
from tests.harness.l7process import CONFIG, L7Process
from tests.harness.lifecycle import reload
from tests.harness.load import Gate
from tests.harness.origin import routes
from tests.harness.websocketserver import WebSocketServer, open_websocket

ASK = b"GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n"
QUICK = "canary-time: 0\naccess-log: off\n"


def gone(proxy: L7Process, old: list[int]) -> None:
    proxy.wait_for(lambda: not set(old) & set(proxy.workers()), "the old workers' end")


def goes_on(client: Client) -> None:
    """A request on a kept connection is answered, and the connection stays."""
    client.send(ASK)
    answer = client.read_response()
    assert answer.status == 200
    assert not answer.closes
    assert not client.end


@pytest.fixture
def proxy(l7, origin) -> L7Process:
    return l7(CONFIG.format(origin(routes).address) + QUICK, workers=2)


@pytest.fixture
def echo() -> Iterator[WebSocketServer]:
    server = WebSocketServer()
    yield server
    server.close()


def test_kept_connections_live_through_reloads(proxy, connect):
    clients = [connect(proxy.address) for _ in range(40)]
    for client in clients:
        goes_on(client)
    for _ in range(4):
        old = reload(proxy)
        gone(proxy, old)
        for client in clients:
            goes_on(client)


def test_connections_that_said_nothing_yet_live_on_too(proxy, connect):
    clients = [connect(proxy.address) for _ in range(10)]
    proxy.wait_for(lambda: connections(proxy) == len(clients), "all accepted")
    gone(proxy, reload(proxy))
    for client in clients:
        goes_on(client)


def connections(proxy: L7Process) -> int:
    """Established connections to the listening port, as the kernel lists them for the workers."""
    inodes = set()
    for pid in proxy.workers():
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    local = f":{proxy.port:04X}"
    return sum(row[1].endswith(local) and row[3] == "01" and row[9] in inodes for row in rows)


@pytest.mark.parametrize("cut", [1, 18, len(ASK) - 2])
def test_a_head_that_is_not_whole_goes_on_where_it_was(proxy, connect, cut):
    client = connect(proxy.address)
    goes_on(client)
    client.send(ASK[:cut])
    gone(proxy, reload(proxy))
    client.send(ASK[cut:])
    assert client.read_response().status == 200
    goes_on(client)


def test_a_request_in_flight_is_finished_first(l7, origin, connect):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address) + QUICK)
    client = connect(proxy.address)
    client.send(ASK + ASK[:10])
    assert gate.entered.acquire(timeout=TIMEOUT)
    (old,) = reload(proxy)
    assert old in proxy.workers()
    gate.opened.set()
    answer = client.read_response()
    assert answer.body == b"late"
    assert not answer.closes
    gone(proxy, [old])
    client.send(ASK[10:])
    assert client.read_response().body == b"late"


def test_requests_sent_ahead_are_all_answered_in_order(l7, origin, connect):
    proxy = l7(CONFIG.format(origin(routes).address) + QUICK)
    client = connect(proxy.address)
    count = 60
    client.send(b"".join(b"GET /delay/20?%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count)))
    first = client.read_response()
    old = reload(proxy)
    answers = [first, *(client.read_response() for _ in range(count - 1))]
    assert [answer.json["target"] for answer in answers] == [f"/delay/20?{number}" for number in range(count)]
    assert not any(answer.closes for answer in answers)
    gone(proxy, old)
    goes_on(client)


def test_what_is_said_of_the_client_stays_the_same(l7, origin, connect, tmp_path):
    path = tmp_path / "l7.sock"
    plain = CONFIG.format(origin(routes).address) + QUICK + f"port: 0\nbind: ['127.0.0.1', '::1', 'unix:{path}']\n"
    proxy = l7(plain, inherit=False)
    port = int(proxy.wait_for_event(r"\[::1\]:(\d+)").group(1))
    clients = [connect(("127.0.0.1", proxy.port)), connect(("::1", port)), connect(str(path))]
    told = [forwarded(client) for client in clients]
    gone(proxy, reload(proxy))
    assert [forwarded(client) for client in clients] == told


def forwarded(client: Client) -> dict[str, str]:
    client.send(b"GET /headers HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    answer = client.read_response()
    return {name: value for name, value in answer.json["headers"] if name.startswith("X-Forwarded") or name == "Host"}


def test_an_idle_connection_of_the_old_generation_is_not_looked_at_any_more(l7, origin, connect):
    """Its descriptor is closed there, and no epoll of the old worker watches what lives on elsewhere."""
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address) + QUICK)
    busy = connect(proxy.address)
    clients = [connect(proxy.address) for _ in range(20)]
    proxy.wait_for(lambda: connections(proxy) == 21, "all accepted")
    busy.send(ASK)
    assert gate.entered.acquire(timeout=TIMEOUT)
    (old,) = reload(proxy)
    proxy.wait_for(lambda: sockets(old) <= 6, "the old worker's sockets to be closed")
    assert watched(old) <= 6
    gate.opened.set()
    assert busy.read_response().body == b"late"
    for client in clients:
        client.send(ASK)
        assert client.read_response().body == b"late"


def sockets(pid: int) -> int:
    names = [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    return sum(os.path.lexists(name) and os.readlink(name).startswith("socket:") for name in names)


def watched(pid: int) -> int:
    """How many descriptors the epoll of a process watches."""
    return sum(entry.read_text().count("tfd:") for entry in Path(f"/proc/{pid}/fdinfo").iterdir())


def test_an_idle_timeout_goes_on_counting(l7, origin, connect):
    config = CONFIG.format(origin(routes).address) + QUICK + "timeouts: {idle: 1500ms}\n"
    proxy = l7(config)
    client = connect(proxy.address)
    goes_on(client)
    for _ in range(2):
        reload(proxy)
    assert client.read_until_closed() == b""
    assert client.end == "eof"


def test_a_stop_after_a_reload_closes_what_was_handed_over(proxy, connect):
    client = connect(proxy.address)
    goes_on(client)
    gone(proxy, reload(proxy))
    proxy.term()
    assert client.read_until_closed() == b""
    assert client.end == "eof"
    assert proxy.wait() == 0


# --- upgraded connections ------------------------------------------------------------------------------------------


def test_a_websocket_stays_and_is_told_when_its_time_is_over(l7, echo):
    proxy = l7(f"backends: {{'*': {{servers: ['{echo.address}']}}}}\n{QUICK}drain-timeout: 5s\n")
    with open_websocket(proxy.port) as client:
        client.send("before")
        assert client.recv(TIMEOUT) == "before"
        old = reload(proxy)
        client.send("after")
        assert client.recv(TIMEOUT) == "after"
        with pytest.raises(ConnectionClosed):
            client.recv(TIMEOUT)
        assert client.close_code == 1001
    assert [code for code, _ in echo.wait_closed()] == [1001]
    gone(proxy, old)


CLOSE = b"\x88\x02\x03\xe9"
CUT = [  # the protocol; what has passed when its time is over; how that ends
    (b"websocket", b"\x82\x7e\x01", b""),  # within a frame's head
    (b"websocket", b"\x82\x7e\x01\x00" + bytes(255), b""),  # within its payload
    (b"websocket", b"\x82\x7e\x01\x00" + bytes(256), CLOSE),
    (b"websocket", b"\x88\x02\x03\xe8", b""),  # nothing follows a close frame
    (b"websocket", b"\x02\x01a", CLOSE),  # between the fragments of a message
    (b"websocket", b"", CLOSE),
    (b"other", b"\x82\x01a", b""),
]


def test_a_close_frame_only_between_two_frames(l7, origin, connect):
    proxy = l7(CONFIG.format(origin(routes).address) + QUICK + "drain-timeout: 300ms\n")
    clients = []
    for upgrade, sent, _ in CUT:
        client = connect(proxy.address)
        client.send(b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n" % upgrade)
        assert client.read_response().status == 101
        for byte in sent:  # comes back from the origin in pieces
            client.send(bytes([byte]))
            assert client.read_exactly(1) == bytes([byte])
        clients.append(client)
    reload(proxy)
    assert [client.read_until_closed() for client in clients] == [end for *_, end in CUT]


def test_nothing_waits_for_a_websocket_whose_client_does_not_read(l7, origin):
    proxy = l7(CONFIG.format(origin(routes).address) + QUICK + "drain-timeout: 300ms\n")
    with socket.create_connection(proxy.address, TIMEOUT) as client:
        client.sendall(b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        client.settimeout(0.5)
        try:
            while True:
                client.sendall(b"\x82\x7f" + (1 << 40).to_bytes(8, "big") + bytes(65536))
        except TimeoutError:
            pass
        gone(proxy, reload(proxy))
