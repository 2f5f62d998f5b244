"""How a connection ends that ends with an answer: at once where the client sends no more, else when it ends, too."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.harness.client import Client
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin

L7 = Callable[..., L7Process]
Origins = Callable[..., Origin]

CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
OLD = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"


@pytest.fixture
def proxy(l7: L7, origin: Origins) -> L7Process:
    return l7(f"backends: {{'*': {{servers: ['{origin().address}']}}}}")


def ended(proxy: L7Process, request: bytes) -> Client:
    """A client whose request was answered, and whose connection was ended."""
    client = Client(proxy.address, timeout=10)
    client.send(request)
    (answer,) = client.read_responses([b"GET", b"GET"])
    assert (answer.status, answer.closes, client.end) == (200, True, "eof")
    return client


@pytest.mark.parametrize("request_bytes", [CLOSE, POST], ids=["without a body", "with a body"])
def test_a_client_that_sends_nothing_more_is_not_waited_for(proxy: L7Process, request_bytes: bytes) -> None:
    with ended(proxy, request_bytes) as client:
        deadline = time.monotonic() + 10
        while not client.broken and time.monotonic() < deadline:
            client.send(b"\r\n")  # the first meets nobody, and the system answers it with a reset
        assert client.broken


def test_what_has_come_already_is_read_before_the_end(proxy: L7Process) -> None:
    with ended(proxy, CLOSE + b"GET /more HTTP/1.1\r\nHost: a\r\n\r\n") as client:
        for _ in range(1000):
            client.send(b"\r\n")
        assert not client.broken


def test_a_client_that_has_not_said_so_may_send_on(proxy: L7Process) -> None:
    with ended(proxy, OLD) as client:
        for _ in range(1000):
            client.send(b"\r\n")
        assert not client.broken
