"""Bodies of any size pass both ways in constant memory."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator

import psutil
import pytest

from tests.harness import over_tls
from tests.harness.client import TIMEOUT, Client
from tests.harness.l7process import CONFIG, L7Process
from tests.harness.origin import pattern, pattern_sha256, routes

MEGABYTE = 10**6
SIZE = 200 * MEGABYTE
SLACK = 10 * MEGABYTE
PIECE = 256 * 1024


def rss(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def pieces_of(client: socket.socket, size: int) -> Iterator[bytes]:
    while size:
        piece = client.recv(min(size, PIECE))
        assert piece, f"closed with {size} bytes to come"
        size -= len(piece)
        yield piece


def download(proxy: L7Process, worker: int, size: int) -> tuple[str, int]:
    """Fetch *size* bytes without keeping them: their hash, and the most memory that the worker had meanwhile."""
    digest, most = hashlib.sha256(), 0
    with over_tls.connection(proxy.address, TIMEOUT) as client:
        client.sendall(b"GET /bytes/%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = client.recv(1)
            assert byte, head
            head += byte
        assert head.startswith(b"HTTP/1.1 200 "), head
        for number, piece in enumerate(pieces_of(client, size)):
            digest.update(piece)
            if not number % 64:
                most = max(most, rss(worker))
    return digest.hexdigest(), max(most, rss(worker))


def upload(proxy: L7Process, worker: int, size: int) -> tuple[str, int]:
    """Send *size* bytes: the hash of what arrived, and the most memory that the worker had meanwhile."""
    most = 0
    with Client(proxy.address) as client:
        client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        for number, piece in enumerate(pattern(size)):
            client.send(piece)
            if not number % 64:
                most = max(most, rss(worker))
        answer = client.read_response(b"POST")
    assert answer.status == 200
    return answer.json["sha256"], max(most, rss(worker))


@pytest.mark.parametrize("transfer", [download, upload])
def test_two_hundred_megabytes_in_constant_memory(l7, origin, transfer):
    proxy = l7(CONFIG.format(origin(routes).address), workers=1)
    (worker,) = proxy.workers()
    transfer(proxy, worker, MEGABYTE)
    before = rss(worker)
    digest, most = transfer(proxy, worker, SIZE)
    assert digest == pattern_sha256(SIZE)
    assert most - before < SLACK
