"""What is no good TLS: cut, changed, endless, too large or out of place. It ends, is counted, and disturbs nobody."""

from __future__ import annotations

import random
import re
import socket
import ssl
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import L7Process
from tests.harness.tls import TlsClient, issue, trusting, write_pair

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ALERT, HANDSHAKE = 0x15, 0x16
CLOSE_NOTIFY = b"\x15\x03\x03\0\2\1\0"
CHANGE_CIPHER_SPEC = b"\x14\x03\x03\0\1\1"
FEW_HANDSHAKES = """
import sys
from l7 import __main__
from l7.workers.downstream import tls_handshakes
tls_handshakes.MOST = 10
__main__.main()
"""


def stage_config(directory: Path, server: str) -> str:
    """TLS on the one port, and an admin address."""
    pair = write_pair(directory, "localhost", issue("localhost"))
    text = f"tls: {{certificates: [{pair}]}}\nbackends: {{'*': {{servers: ['{server}']}}}}\n"
    return f"{text}admin: 'unix:{directory}/admin.sock'\n"


def failures(proxy: L7Process) -> dict[str, int]:
    """How many handshakes have failed, by their reasons."""
    admin = re.search(r"admin: 'unix:(.*)'", proxy.config_path.read_text("utf-8"))
    assert admin is not None
    text = get(admin[1], "/metrics").body.decode()
    found = re.findall(r'l7_tls_handshake_failures_total\{reason="(\w+)"\} (\d+)', text)
    return {reason: int(count) for reason, count in found if int(count)}


def failed(proxy: L7Process) -> int:
    """How many handshakes have failed."""
    return sum(failures(proxy).values())


def hello() -> bytes:
    """The first message of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def end_of(proxy: L7Process, data: bytes) -> bytes:
    """Send this and half-close; returns what comes back until the end."""
    got = b""
    with socket.create_connection(proxy.address, TIMEOUT) as sock, suppress(ConnectionError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            got += piece
    return got


def serves_on(proxy: L7Process, workers: list[int]) -> None:
    """See that others are served, by the same workers, and that nothing unforeseen was logged."""
    with TlsClient(proxy.address) as client:
        client.send(REQUEST)
        assert client.read_response().status == 200
    assert proxy.workers() == workers
    assert not [line for line in proxy.events if "Traceback" in line or " error " in line or "Exception" in line]


def test_a_hello_that_is_cut_anywhere_is_a_client_that_left(proxy):
    workers, data, before = proxy.workers(), hello(), failures(proxy)
    left = before.get("closed", 0)
    places = [*range(1, 50), *range(50, len(data), 29)]
    for place in places:
        assert end_of(proxy, data[:place]) == b""
    all_left = before | {"closed": left + len(places)}
    proxy.wait_for(lambda: failures(proxy) == all_left, "all of them counted")
    assert end_of(proxy, b"") == b""
    serves_on(proxy, workers)


def test_hellos_with_changed_bytes_end_in_an_alert_or_go_on(proxy):
    workers, chance, count, before = proxy.workers(), random.Random(7), 300, failed(proxy)
    for _ in range(count):
        data = bytearray(hello())
        for _ in range(chance.choice((1, 1, 2, 8))):
            data[chance.randrange(1, len(data))] = chance.randrange(256)
        got = end_of(proxy, bytes(data))
        assert not got or got[0] in (ALERT, HANDSHAKE)
    proxy.wait_for(lambda: failed(proxy) == before + count, "all of them counted")
    serves_on(proxy, workers)


def test_random_bytes(proxy):
    workers, chance, count, before = proxy.workers(), random.Random(8), 100, failed(proxy)
    for number in range(count):
        start = b"\x16\x03\x01" if number % 2 else b""
        got = end_of(proxy, start + chance.randbytes(chance.choice((1, 5, 100, 20_000))))
        assert not got or got[0] == ALERT or got.startswith(b"HTTP/1.1 400 ")
    proxy.wait_for(lambda: failed(proxy) == before + count, "all of them counted")
    serves_on(proxy, workers)


@pytest.mark.parametrize(
    ("behind", "data"),
    [
        pytest.param(False, CLOSE_NOTIFY, id="an end"),
        pytest.param(False, CLOSE_NOTIFY * 500, id="many ends"),
        pytest.param(False, b"\x15\x03\x01\0\2\2\x28", id="an alert"),
        pytest.param(False, CHANGE_CIPHER_SPEC * 100, id="changes of the cipher"),
        pytest.param(False, b"\x17\x03\x03\0\5hello", id="data"),
        pytest.param(False, b"\x16\x03\x01\0\0" * 1000, id="empty records"),
        pytest.param(True, CLOSE_NOTIFY, id="a hello and an end"),
        pytest.param(True, b"\x15\x03\x03\0\2\2\x30", id="a hello and an alert"),
        pytest.param(True, CHANGE_CIPHER_SPEC * 100, id="a hello and changes of the cipher"),
        pytest.param(True, b"\x16\x03\x01\0\4\1\0\0\0", id="two hellos"),
        pytest.param(True, b"\x17\x03\x03\x40\x18" + bytes(16_408), id="a hello and data"),
    ],
)
def test_records_out_of_place(proxy, behind, data):
    workers, before = proxy.workers(), failed(proxy)
    end_of(proxy, hello() + data if behind else data)
    proxy.wait_for(lambda: failed(proxy) == before + 1, "it counted")
    serves_on(proxy, workers)


def test_a_giant_hello_is_refused_before_it_has_come(proxy):
    workers, before = proxy.workers(), failed(proxy)
    memory = psutil.Process(workers[0]).memory_info().rss
    record = b"\x16\x03\x01\x40\0" + bytes(16_384)
    opening = b"\x16\x03\x01\x40\0\x01\xff\xff\xff" + bytes(16_380)
    sent = 0
    with socket.create_connection(proxy.address, TIMEOUT) as sock, suppress(ConnectionError):
        sock.sendall(opening)
        for _ in range(4096):  # of 64 MB
            sock.sendall(record)
            sent += len(record)
    assert sent < 32 << 20
    proxy.wait_for(lambda: failed(proxy) == before + 1, "it counted")
    serves_on(proxy, workers)
    assert psutil.Process(workers[0]).memory_info().rss - memory < 16 << 20


def test_a_flood_of_half_handshakes_leaves_room_for_others(l7, origin, tmp_path):
    text = stage_config(tmp_path, origin().address) + "timeouts: {handshake: 60s}\n"
    proxy = l7(text, program=[sys.executable, "-c", FEW_HANDSHAKES])
    workers, half = proxy.workers(), hello()[:100]
    flood = [socket.create_connection(proxy.address, TIMEOUT) for _ in range(50)]
    try:
        for sock in flood:
            sock.sendall(half)
        proxy.wait_for(lambda: failures(proxy) == {"overloaded": 40}, "that the oldest made place")
        serves_on(proxy, workers)
        for sock in flood[:40]:  # the oldest; a reset is an end, too
            with suppress(ConnectionError):
                assert sock.recv(1) == b""
    finally:
        for sock in flood:
            sock.close()


def test_garbage_after_the_handshake_ends_that_connection_alone(proxy):
    workers = proxy.workers()
    with TlsClient(proxy.address) as other:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with TlsClient(proxy.address, context=trusting(version)) as client:
                client.send(REQUEST)
                assert client.read_response().status == 200
                raw = socket.socket(fileno=socket.dup(client.tls.fileno()))
                with raw, suppress(ConnectionError):
                    raw.setblocking(True)
                    raw.settimeout(TIMEOUT)
                    raw.sendall(b"\x17\x03\x03\0\x20" + bytes(32))
                    got = b""
                    while piece := raw.recv(65536):
                        got += piece
                    assert got[:1] in (b"\x15", b"\x17")  # an alert, which TLS 1.3 encrypts
        other.send(REQUEST)
        assert other.read_response().status == 200
    serves_on(proxy, workers)
