"""Real application servers behind l7: gunicorn with one synchronous worker, and uvicorn.

What a server can be held by is shown with buffers and without: a worker that waits for a slow client serves nobody.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.harness import TIMEOUT
from tests.harness.client import Client, get
from tests.harness.l7process import L7Process

SIZE = 200_000
BODY = bytes(range(250)) * (SIZE // 250)
SMALL = 4096

WSGI = """
def app(environ, start_response):
    data = environ["wsgi.input"].read()
    data = data or b"x" * int(environ["PATH_INFO"][1:])
    start_response("200 OK", [("Content-Length", str(len(data)))])
    return [data]
"""
ASGI = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    data, more = b"", True
    while more:
        message = await receive()
        data, more = data + message.get("body", b""), message.get("more_body", False)
    events = scope["path"] == "/events"
    kind = b"text/event-stream" if events else b"text/plain"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    if events:
        for number in range(3):
            await send({"type": "http.response.body", "body": b"data: %d\\n\\n" % number, "more_body": True})
            await asyncio.sleep(0.2)
    await send({"type": "http.response.body", "body": data or (b"" if events else b"y" * int(scope["path"][1:]))})
"""


@contextlib.contextmanager
def server(directory: Path, words: Sequence[str], text: str) -> Iterator[str]:
    """An application server that has inherited its listening socket; its address."""
    (directory / "application.py").write_text(text, encoding="utf-8")
    log = directory / "server.log"
    with socket.socket() as listener, log.open("wb") as output:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        number = listener.fileno()
        command = [sys.executable, "-m", *(word.format(fd=number) for word in words), "application:app"]
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdout=output,
            stderr=output,
            pass_fds=[number],
            env={**os.environ, "HOME": str(directory)},
        )
        port = listener.getsockname()[1]
    try:
        assert get(port, "/1", timeout=TIMEOUT).status == 200, log.read_text(encoding="utf-8")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(TIMEOUT)


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[L7Process]:
    """Its one worker serves one request at a time; under ``off`` nothing is buffered."""
    words = ("gunicorn", "--workers=1", "--bind=fd://{fd}", "--graceful-timeout=1")
    with server(tmp_path_factory.mktemp("gunicorn"), words, WSGI) as address, behind(address) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def uvicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[L7Process]:
    words = ("uvicorn", "--fd={fd}", "--timeout-graceful-shutdown=1", "--lifespan=off")
    with server(tmp_path_factory.mktemp("uvicorn"), words, ASGI) as address, behind(address) as proxy:
        yield proxy


@contextlib.contextmanager
def behind(address: str) -> Iterator[L7Process]:
    servers = f"servers: ['{address}'], ejection: off"
    config = f"backends: {{'*': {{{servers}}}, 'off': {{{servers}, buffer: off}}}}"
    with L7Process(config, send_buffer=SMALL) as proxy:
        yield proxy


def upload(host: str) -> bytes:
    return f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {SIZE}\r\n\r\n".encode() + BODY[:-1]


def held_up(proxy: L7Process, host: str, least: float = 1.0) -> bool:
    """Whether another client waits for its answer while that of an upload does not send its last byte."""
    with Client(proxy.port) as slow, Client(proxy.port) as other:
        slow.send(upload(host))
        other.send(f"GET /7 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        began = time.monotonic()
        other.pump(0.01)
        while not other.unread and time.monotonic() < began + least:
            other.pump(0.01)
        waits = not other.unread
        slow.send(BODY[-1:])
        assert slow.read_response(b"POST").body == BODY
        assert other.read_response().body == b"x" * 7
        slow.send(b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert slow.read_response().body == b"xxx"
    return waits


def test_an_upload_that_trickles_does_not_hold_a_synchronous_worker(gunicorn: L7Process) -> None:
    assert not held_up(gunicorn, "a", least=TIMEOUT)
    # Which of two connections a server takes first is its own business.
    assert any(held_up(gunicorn, "off") for _ in range(5))


def test_a_download_that_is_read_slowly_does_not_hold_a_synchronous_worker(gunicorn: L7Process) -> None:
    with Client(gunicorn.port, receive_buffer=SMALL) as slow:
        slow.send(b"GET /250000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert get(gunicorn.port, "/9").body == b"x" * 9
        assert slow.read_response().body == b"x" * 250_000


def test_an_upload_that_ends_a_byte_too_early_is_none_for_the_server(gunicorn: L7Process) -> None:
    begin = len(gunicorn.output)
    with Client(gunicorn.port) as client:
        client.send(upload("a"))
    gunicorn.wait_for_output(r'"POST / HTTP/1\.1" 499 .* a - .* CD$', start=begin)
    assert get(gunicorn.port, "/5").body == b"x" * 5


def test_uploads_and_events_of_an_asynchronous_server(uvicorn: L7Process) -> None:
    with Client(uvicorn.port) as client:
        client.send(upload("a"))
        client.pump(0.05)
        client.send(BODY[-1:])
        assert client.read_response(b"POST").body == BODY
        client.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_head().header(b"content-type") == b"text/event-stream"
        came = b""
        seen = []
        while b"0\r\n\r\n" not in came:
            before = len(came)
            came += client.read_exactly(1)
            if came[before:] == b"\n" and came.endswith(b"\n\n"):
                seen.append(time.monotonic())
        assert came.count(b"data: ") == len(seen) == 3
        assert seen[2] - seen[0] > 0.2, "they came one by one"
        client.send(b"GET /250000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().body == b"y" * 250_000
