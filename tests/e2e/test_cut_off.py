"""Nothing is cut off in silence: what l7 ends itself has its line in the log, its figure, and an event."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest

from tests.harness import TIMEOUT
from tests.harness.client import Client, get
from tests.harness.lifecycle import reload
from tests.harness.load import Gate
from tests.harness.origin import Request, routes

CONFIG = """
canary-time: 100ms
backends:
  '*': {{servers: [{{address: '{0}'}}]}}
"""


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
ALL = """
canary-time: 100ms
backends:
  begun: {{servers: ['{endless}']}}
  held: {{servers: ['{held}']}}
  full: {{servers: [{{address: '{full}', max-connections: 1}}]}}
  gone: {{servers: ['unix:/nowhere/app.sock'], retry-for: 10m}}
"""


@pytest.mark.parametrize(("end", "timeout"), ENDS, ids=["term", "reload", "int", "quit"])
def test_whatever_is_under_way_is_told_of(l7, origin, connect, end, timeout):
    """Answers that have begun, requests that have none yet, or wait for a server, and upgraded connections."""
    held, full = Gate(), Gate()
    addresses = {"endless": origin(endless).address, "held": origin(held).address, "full": origin(full).address}
    proxy = l7(ALL.format(**addresses) + timeout, leaks=False)

    def ask(what: str, host: str, *fields: str, body: str = "") -> Client:
        client = connect(proxy.address)
        client.send("\r\n".join([f"{what} HTTP/1.1", f"Host: {host}", *fields, "", body]).encode())
        return client

    begun = ask("GET /stream", "begun")
    assert begun.read_head().status == 200
    assert begun.read_exactly(5) == b"begun"
    upgraded = ask("GET /upgrade", "begun", "Connection: Upgrade", "Upgrade: other")
    assert upgraded.read_response().status == 101
    upgraded.send(b"there")
    assert upgraded.read_exactly(5) == b"there"
    unanswered = ask("POST /a", "held", "Content-Length: 2", body="ab"), ask("GET /first", "full")
    for gate in (held, full):
        assert gate.entered.acquire(timeout=TIMEOUT)
    waiting = ask("GET /second", "full"), ask("GET /w", "gone")
    proxy.turn()
    end(proxy)
    for client in unanswered:
        answer = client.read_response()
        assert (answer.status, answer.closes) == (502, True)
    for client in waiting:
        answer = client.read_response()
        assert (answer.status, answer.header(b"retry-after")) == (503, b"1")
    for client in (begun, upgraded):
        client.read_until_closed()
    for what, told in (
        ("GET /stream", "200 5 .* KD"),
        ("GET /upgrade", "101 5 .* KD"),
        ("POST /a", r"502 \d+ .* KH"),
        ("GET /first", r"502 \d+ .* KH"),
        ("GET /second", r"503 \d+ .* KQ"),
        ("GET /w", r"503 \d+ .* KQ"),
    ):
        proxy.wait_for_output(rf'"{what} HTTP/1\.1" {told}$')
    found = proxy.wait_for_event("requests.cut", requests=6)
    assert "1 of them upgraded connections" in found.string
    for gate in (held, full):
        gate.opened.set()


def test_a_body_that_has_not_come(l7, origin, connect):
    proxy = l7(CONFIG.format(origin().address) + "graceful-timeout: 300ms\n", leaks=False)
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
    config = CONFIG.format(origin(gate).address) + f"drain-timeout: 300ms\nadmin: 'unix:{admin}'\n"
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
