"""Nothing is cut off in silence: what l7 ends itself has its line in the log, its figure, and an event."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from tests.harness import TIMEOUT
from tests.harness.client import get, request
from tests.harness.lifecycle import reload
from tests.harness.load import Gate
from tests.harness.origin import Request, routes

CONFIG = """
canary-time: 100ms
backends:
  '*': {{servers: [{{address: '{0}', max-connections: {1}}}]}}
"""
STREAM = b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"


def endless(request: Request) -> None:
    """Begin an answer, and never end it."""
    if request.target == b"/upgrade":
        routes(request)
        return
    request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
    request.connection.wait_closed(TIMEOUT)


def by_term(proxy: object) -> None:
    proxy.term()  # type: ignore[attr-defined]


def by_reload(proxy: object) -> None:
    reload(proxy)  # type: ignore[arg-type]


ENDS: list[tuple[Callable[[object], None], str]] = [
    (by_term, "graceful-timeout: 300ms\n"),
    (by_reload, "drain-timeout: 300ms\n"),
    (lambda proxy: proxy.signal(signal.SIGINT), "graceful-timeout: 10m\n"),  # type: ignore[attr-defined]
    (lambda proxy: proxy.signal(signal.SIGQUIT), "graceful-timeout: 10m\n"),  # type: ignore[attr-defined]
]
WAYS = pytest.mark.parametrize(("end", "timeout"), ENDS, ids=["term", "reload", "int", "quit"])


@WAYS
def test_a_response_that_is_cut(l7, origin, connect, end, timeout):
    proxy = l7(CONFIG.format(origin(endless).address, "unlimited") + timeout, leaks=False)
    client = connect(proxy.address)
    client.send(STREAM)
    assert client.read_head().status == 200
    assert client.read_exactly(5) == b"begun"
    end(proxy)
    proxy.wait_for_output(r'"GET /stream HTTP/1\.1" 200 5 .* KD$')
    proxy.wait_for_event("requests.cut", requests=1)
    client.read_until_closed()


@WAYS
def test_a_request_that_has_no_answer_yet(l7, origin, connect, end, timeout):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address, "unlimited") + timeout, leaks=False)
    client = connect(proxy.address)
    client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
    assert gate.entered.acquire(timeout=TIMEOUT)
    end(proxy)
    answer = client.read_response()
    assert (answer.status, answer.closes) == (502, True)
    proxy.wait_for_output(r'"POST /a HTTP/1\.1" 502 \d+ .* KH$')
    proxy.wait_for_event("requests.cut", requests=1)
    gate.opened.set()


@WAYS
def test_a_request_that_waits_for_a_server(l7, origin, connect, end, timeout):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address, 1) + timeout, leaks=False)
    first, second = connect(proxy.address), connect(proxy.address)
    first.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
    assert gate.entered.acquire(timeout=TIMEOUT)
    second.send(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    assert request(proxy.address, "OPTIONS", "*", headers=[("Max-Forwards", "0")]).status == 200
    end(proxy)
    answer = second.read_response()
    assert (answer.status, answer.header(b"retry-after")) == (503, b"1")
    assert first.read_response().status == 502
    proxy.wait_for_output(r'"GET /second HTTP/1\.1" 503 \d+ .* KQ$')
    proxy.wait_for_output(r'"GET /first HTTP/1\.1" 502 \d+ .* KH$')
    proxy.wait_for_event("requests.cut", requests=2)
    gate.opened.set()


@WAYS
def test_a_request_that_waits_for_a_server_that_takes_connections(l7, connect, end, timeout):
    config = "canary-time: 100ms\nbackends: {'*': {servers: ['unix:/nowhere/app.sock'], retry-for: 10m}}\n"
    proxy = l7(config + timeout, leaks=False)
    client = connect(proxy.address)
    client.send(b"GET /w HTTP/1.1\r\nHost: a\r\n\r\n")
    assert request(proxy.address, "OPTIONS", "*", headers=[("Max-Forwards", "0")]).status == 200
    end(proxy)
    assert client.read_response().status == 503
    proxy.wait_for_output(r'"GET /w HTTP/1\.1" 503 \d+ .* KQ$')
    proxy.wait_for_event("requests.cut", requests=1)


@WAYS
def test_an_upgraded_connection(l7, origin, connect, end, timeout):
    proxy = l7(CONFIG.format(origin(endless).address, "unlimited") + timeout, leaks=False)
    client = connect(proxy.address)
    client.send(b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
    assert client.read_response().status == 101
    client.send(b"there")
    assert client.read_exactly(5) == b"there"
    end(proxy)
    client.read_until_closed()
    proxy.wait_for_output(r'"GET /upgrade HTTP/1\.1" 101 5 .* KD$')
    found = proxy.wait_for_event("requests.cut", requests=1)
    assert "1 of them upgraded connections" in found.string


def test_a_body_that_has_not_come(l7, origin, connect):
    proxy = l7(CONFIG.format(origin().address, "unlimited") + "graceful-timeout: 300ms\n", leaks=False)
    client = connect(proxy.address)
    client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nab")
    assert get(proxy.address, host="a").status == 200  # the worker, the only one, has seen both
    proxy.term()
    assert client.read_response().status in (502, 503)
    proxy.wait_for_output(r'"POST /a HTTP/1\.1" 50[23] \d+ .* K[QH]$')
    assert proxy.wait() == 0


def test_it_is_counted_and_what_ends_in_time_is_not(l7, origin, connect, tmp_path):
    gate = Gate()
    admin = tmp_path / "admin"
    config = CONFIG.format(origin(gate).address, "unlimited") + f"drain-timeout: 300ms\nadmin: 'unix:{admin}'\n"
    proxy = l7(config, leaks=False)
    client = connect(proxy.address)
    client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    assert gate.entered.acquire(timeout=TIMEOUT)
    reload(proxy)
    assert client.read_response().status == 502
    proxy.wait_for_event("requests.cut")

    def cut() -> int:
        found = re.search(rb'l7_requests_cut_total\{host="\*"\} (\d+)', get(str(admin), "/metrics").body)
        return int(found[1]) if found else 0

    proxy.wait_for(lambda: cut() == 1, "the figure")
    gate.opened.set()
    assert get(proxy.address, host="a").status == 200
    reload(proxy)
    assert cut() == 1
    assert len([line for line in proxy.events if "requests.cut" in line]) == 1
