"""Applications and clients that write in two pieces and leave Nagle's algorithm on: nobody waits for 40 ms.

Python's ``http.server`` is one of them. What it writes second is held back until the first is acknowledged, and the
system of who reads delays that.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.harness.client import Client
from tests.harness.l7process import L7Process
from tests.harness.tls import issue, trusting, write_pair

L7 = Callable[..., L7Process]

WARM = 30
"""Requests on a connection after which the system has begun to delay acknowledgements."""
MEASURED = 30
DELAY = 0.04
"""Seconds for which Linux delays one at least (``TCP_DELACK_MIN``)."""


class Application(BaseHTTPRequestHandler):
    """Two writes an answer, as the class makes them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n")
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def application() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def quickest(client: Client, send: Callable[[], None]) -> float:
    """The seconds that the quickest of many requests on a connection takes once it is no new one any more."""
    took = []
    for _ in range(WARM + MEASURED):
        started = time.monotonic()
        send()
        assert client.read_response(b"GET").body == b"hello"
        took.append(time.monotonic() - started)
    return min(took[WARM:])


@pytest.mark.parametrize("path", ["/", "/chunked"])
def test_a_server_that_writes_the_body_apart(l7: L7, application: str, path: str) -> None:
    proxy = l7(f"workers: 1\nbackends: {{'*': {{servers: ['{application}']}}}}")
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with Client(proxy.address, timeout=10) as client:
        assert quickest(client, lambda: client.send(request)) < DELAY * 0.75


def test_a_client_that_writes_the_body_apart(l7: L7, application: str) -> None:
    proxy = l7(f"workers: 1\nbackends: {{'*': {{servers: ['{application}']}}}}")
    with Client(proxy.address, timeout=10) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)

        def send() -> None:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
            client.send(b"more")

        assert quickest(client, send) < DELAY * 0.75


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_ends_its_handshake_and_then_asks(
    l7: L7, application: str, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """In TLS 1.3, and where a session of 1.2 is resumed, the client has the last word of the handshake."""
    pair = write_pair(tmp_path, "site", issue("a.test"))
    proxy = l7(f"workers: 1\ntls: {{certificates: [{pair}]}}\nbackends: {{'*': {{servers: ['{application}']}}}}")
    context, session, took = trusting(version), None, []
    for _ in range(MEASURED):
        started = time.monotonic()
        sock = socket.create_connection(proxy.address, 10)
        with context.wrap_socket(sock, server_hostname="a.test", session=session) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            data = b""
            while piece := tls.recv(65536):
                data += piece
            assert data.endswith(b"hello")
            took.append(time.monotonic() - started)
            session = tls.session
    assert min(took[1:]) < DELAY * 0.75
