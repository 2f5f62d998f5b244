"""Answers that come before the request is whole: who is still sending gets to read them.

nginx reads on for 5 s of silence and 30 s in all (``lingering_timeout``, ``lingering_time``), HAProxy for as long as
``timeout client`` lets it, Go's server for 256 kB and half a second: then many clients see a broken pipe.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from tests.harness import over_tls
from tests.harness.client import Client
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Request

L7 = Callable[..., L7Process]
Origins = Callable[..., Origin]
Connect = Callable[..., Client]

MIB = 1 << 20
LARGE = b"x" * (48 * MIB)


def config(app: Origin, limits: str = "body: 1000", timeouts: str = "") -> str:
    return f"limits: {{{limits}}}\ntimeouts: {{{timeouts}}}\nbackends: {{'*': {{servers: ['{app.address}']}}}}"


def post(length: int) -> bytes:
    return b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length


def refuse(size: int) -> Callable[[Request], None]:
    """A server that answers 413 with a page of this size before it has read the body, and reads none of it."""

    def script(request: Request) -> None:
        head = b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size
        request.connection.send(head + b"y" * size)
        request.connection.half_close()
        request.connection.wait_closed()
        request.connection.close()

    return script


@pytest.mark.parametrize("who", ["l7", "the server"])
def test_a_client_that_reads_only_after_it_has_sent_all(l7: L7, origin: Origins, who: str) -> None:
    """As Python's ``http.client`` does, and ``requests`` and others with it."""
    app = origin(refuse(2))
    proxy = l7(config(app, "body: 1000" if who == "l7" else ""))
    for _ in range(2):
        connection = over_tls.http_connection(proxy.port, 60)
        connection.request("POST", "/x", LARGE)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("connection")) == (413, "close")
        answer.read()
        connection.close()


def test_a_page_that_fits_into_no_buffer(l7: L7, origin: Origins) -> None:
    """While it is relayed the client still sends: who does not read it then never comes to read the page."""
    size = 24 * MIB
    proxy = l7(config(origin(refuse(size)), "", "write: 20s"))
    connection = over_tls.http_connection(proxy.port, 60)
    connection.request("POST", "/x", LARGE)
    answer = connection.getresponse()
    assert (answer.status, len(answer.read())) == (413, size)
    connection.close()
    proxy.wait_for_output(rf'"POST /x HTTP/1\.1" 413 {size} .* --$')


def test_curl(l7: L7, origin: Origins, tmp_path) -> None:
    app = origin()
    proxy = l7(config(app))
    (tmp_path / "large").write_bytes(LARGE)
    for expect in ("Expect: 100-continue", "Expect:"):
        command = ["curl", "-sS", "-o", "-", "-w", "%{http_code}", "-H", expect, "-T", str(tmp_path / "large")]
        command.append(f"http://127.0.0.1:{proxy.port}/")
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"limits.body" in done.stdout and done.stdout.endswith(b"413")
        assert not app.requests


def test_a_client_that_takes_long_to_send(l7: L7, origin: Origins, connect: Connect) -> None:
    """Longer than l7 waits for one that is silent."""
    proxy = l7(config(origin()))
    client = connect(proxy.port)
    client.send(post(30_000_000))
    until = time.monotonic() + 3.5
    while time.monotonic() < until:
        client.send(b"x" * 1000)
        time.sleep(0.05)
    client.send(b"x" * 1000)
    assert [answer.status for answer in client.read_responses()] == [413]
    assert client.end == "eof" and not client.broken


def test_a_client_that_never_stops_is_cut_off(l7: L7, origin: Origins, connect: Connect) -> None:
    """At most ``timeouts.body`` in all, however little it sends, and however long it could go on."""
    proxy = l7(config(origin(), timeouts="body: 1s"))
    client = connect(proxy.port)
    begun = time.monotonic()
    client.send(post(30_000_000))
    while not client.broken:
        client.send(b"x")
        client.pump(0.05)
        time.sleep(0.02)
        assert time.monotonic() - begun < 25
    assert time.monotonic() - begun > 0.9


def test_a_client_that_drips_a_body_which_is_only_drained(l7: L7, origin: Origins, connect: Connect) -> None:
    """So little is missing that the connection could live on; it is not waited for longer than ``timeouts.body``."""
    proxy = l7(f"users: {{u: p}}\n{config(origin(), '', 'body: 1s')}")
    client = connect(proxy.port)
    begun = time.monotonic()
    client.send(post(60_000))
    assert client.read_response(b"POST").status == 401
    while not client.broken and not client.end:
        client.send(b"x")
        client.pump(0.05)
        time.sleep(0.02)
        assert time.monotonic() - begun < 25
    assert time.monotonic() - begun > 0.9


def test_bytes_may_be_bounded(l7: L7, origin: Origins, connect: Connect) -> None:
    proxy = l7(config(origin(), "body: 1000, discarded-body: 1MiB"))
    client = connect(proxy.port)
    client.send(post(len(LARGE)) + LARGE)
    assert client.broken and client.sent < len(LARGE)
    client = connect(proxy.port)
    client.send(post(2_000_000) + b"x" * 500_000)
    assert [answer.status for answer in client.read_responses()] == [413]
    assert client.end == "eof" and not client.broken


def test_who_pours_holds_up_no_graceful_stop(l7: L7, origin: Origins, connect: Connect) -> None:
    proxy = l7(f"graceful-timeout: 100s\n{config(origin(), timeouts='body: 100s')}")
    client = connect(proxy.port)
    client.send(post(10**12))
    client._fill()
    pouring = threading.Thread(target=lambda: client.send((b"x" * 1000 for _ in range(10**6)), pause=0.01))
    pouring.start()
    try:
        proxy.stop()
    finally:
        client.broken = True
        pouring.join()
