"""Active health checks over real sockets: what is up, what is down and why, and that nobody waits for a slow one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from tests.harness.full_queue import full_queue
from tests.harness.l7process import L7Process
from tests.harness.lifecycle import stop_successor, upgrade
from tests.harness.origin import Origin, Reply
from tests.harness.ports import reserved

CONFIG = """
access-log: off
backends:
  a:
    servers: [{address}]
    health: {{{health}}}
"""
QUICK = "interval: 50ms, timeout: 100s"


def closed_port() -> str:
    """An address at which nobody listens."""
    return f"127.0.0.1:{reserved()}"


def answer(reply: Reply | bytes | None):
    return lambda request: reply


def ill_once_set(ill: threading.Event):
    """What a server answers that does not feel well from then on.

    One that is closed would not do where failures are counted: the check under way may be reset, others are refused.
    """
    return lambda request: Reply(503 if ill.is_set() else 200)


def silent(request):
    request.connection.wait_closed()


def early_close(request):
    request.connection.close()


def reset(request):
    request.connection.reset()


SICK = [
    (answer(Reply(503)), "path: /", "status 503, expected 200-399"),
    (answer(Reply(200)), "path: /, expect: '201-204,404'", "status 200, expected 201-204,404"),
    (answer(Reply(200, body=b"all is wel")), "path: /, body: all is well", "the body lacks 'all is well'"),
    (answer(b"HTTP/3 what\r\n\r\n"), "path: /", "invalid response"),
    (answer(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "path: /", "invalid response"),
    (silent, "path: /, timeout: 400ms", "no answer within 400ms"),
    (early_close, "path: /", "closed without an answer"),
    (reset, "path: /", "connection reset"),
]
"""What a server answers, how it is checked, and why it is down."""

WELL = [
    (Reply(204), "path: /"),
    (Reply(302), "path: /"),
    (Reply(404), "path: /, expect: [200, 404]"),
    (Reply(200, body=b"all is well"), "path: /, body: all is well"),
    (Reply(200, body=[b"all is", b" well"], framing="chunked"), "path: /, body: all is well"),
    (Reply(200, body=b"all is well", framing="close"), "path: /, body: all is well"),
    (Reply(200, headers=[(b"Content-Length", b"5")], framing="none"), "path: /, method: HEAD"),
    (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "path: /"),
    (b"HTTP/1.0 200 OK\r\n\r\n", "path: /"),
]
"""What a healthy server may answer, and how it is checked."""


class Ward:
    """One l7 that checks all these servers, each of them the only one of its backend, and the names of the backends."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        cases = [
            *((handler, health) for handler, health, _ in SICK),
            *((answer(reply), health) for reply, health in WELL),
        ]
        self.servers = [stack.enter_context(Origin(handler)) for handler, _ in cases]
        lines = ["access-log: off", "backends:"]
        for number, (server, (_, health)) in enumerate(zip(self.servers, cases, strict=True)):
            timeout = "" if "timeout" in health else ", timeout: 100s"
            lines.append(
                f"  b{number}: {{servers: [{server.address}], health: {{interval: 200ms, {health}{timeout}}}}}"
            )
        self.proxy = stack.enter_context(L7Process("\n".join(lines), argv=["--debug"]))

    def wait_for(self, number: int, verdict: str) -> None:
        """Wait for the verdict on a server."""
        self.proxy.wait_for_event(f": b{number}: server {self.servers[number].address} is {verdict}$")


@pytest.fixture(scope="module")
def ward() -> Iterator[Ward]:
    with contextlib.ExitStack() as stack:
        ward = Ward(stack)
        yield ward
    assert not [violation for server in ward.servers for violation in server.violations]


@pytest.mark.parametrize("number", range(len(SICK)), ids=[why for _, _, why in SICK])
def test_why_a_server_is_down(ward, number):
    ward.wait_for(number, f"down: {SICK[number][2]}")


@pytest.mark.parametrize("number", range(len(WELL)))
def test_what_a_healthy_server_may_answer(ward, number):
    ward.wait_for(len(SICK) + number, "up")


@pytest.mark.parametrize("health", ["", "path: /,"])
def test_a_server_that_is_not_there_is_down(l7, health):
    address = closed_port()
    proxy = l7(CONFIG.format(address=address, health=health + QUICK))
    proxy.wait_for_event(f"a: server {address} is down: connect refused$")


def test_a_unix_socket_that_is_not_there_is_down(l7, tmp_path):
    proxy = l7(CONFIG.format(address=f"'unix:{tmp_path}/app.sock'", health=QUICK))
    proxy.wait_for_event(f"a: server unix:{tmp_path}/app.sock is down: connect: no such file or directory$")


def test_a_server_that_takes_no_connection_is_down(l7):
    """Its queue is full: the kernel drops what comes."""
    with full_queue() as address:
        proxy = l7(CONFIG.format(address=address, health="interval: 50ms, timeout: 400ms"))
        proxy.wait_for_event(f"a: server {address} is down: no connection within 400ms$")


def test_what_is_sent(l7, origin):
    server = origin()
    health = f"{QUICK}, path: '/healthz?x=1', host: status.example, method: OPTIONS"
    l7(CONFIG.format(address=server.address, health=health))
    server.wait_for(1)
    request = server.requests[0]
    assert (request.method, request.target) == (b"OPTIONS", b"/healthz?x=1")
    assert request.header(b"host") == b"status.example"
    assert (request.header(b"user-agent") or b"").startswith(b"l7/")
    assert request.header(b"connection") == b"close"


def test_the_host_is_the_servers_address_unless_it_is_named(l7, origin):
    server = origin()
    l7(CONFIG.format(address=server.address, health=f"{QUICK}, path: /"))
    server.wait_for(1)
    assert server.requests[0].header(b"host") == server.address.encode()


def test_rise_and_fall_are_counted_and_said(l7, origin):
    ill = threading.Event()
    server = origin(ill_once_set(ill))
    health = f"{QUICK}, path: /, rise: 2, fall: 3"
    proxy = l7(CONFIG.format(address=server.address, health=health), argv=["--debug"])
    proxy.wait_for_event("is up$")
    ill.set()
    proxy.wait_for_event(f"warning .*: a: server {server.address} is down: status 503, expected 200-399 ×3, after .* s")
    ill.clear()
    proxy.wait_for_event(f"info .*: a: server {server.address} is up: checks passed ×2, after .* s")


def test_once_per_machine_however_many_workers(l7, origin):
    server = origin()
    l7(CONFIG.format(address=server.address, health="interval: 200ms, timeout: 100ms, path: /"), workers=4)
    server.wait_for(1)
    requests = server.wait_for(11)
    took = requests[10].arrived - requests[0].arrived
    assert took > 1, "ten intervals of 0.2 s, the first one seen late; four who check would need half a second"


def test_a_slow_server_holds_up_nobody(l7, origin):
    good, slow = origin(), [origin(silent) for _ in range(30)]
    servers = ", ".join(server.address for server in (*slow, good))
    l7(CONFIG.format(address=servers, health="interval: 100ms, timeout: 100s, path: /"))
    for server in slow:
        server.wait_for(1)
    good.wait_for(len(good.requests) + 20)  # twenty intervals, and not one of the others' timeouts


def test_a_reload_goes_on_from_what_was_known(l7, origin):
    ill = threading.Event()
    server, address = origin(ill_once_set(ill)), closed_port()
    config = CONFIG.format(address=f"{server.address}, {address}", health=f"{QUICK}, path: /, fall: 2")
    proxy = l7(config + "canary-time: 0s\n", argv=["--debug"])
    proxy.wait_for_event("server.down", server=address)
    proxy.wait_for_event("server.up", server=server.address)
    start = len(proxy.events)
    proxy.hup()
    proxy.wait_for_event("the monitor process of generation 1 ended", start=start)
    ill.set()
    proxy.wait_for_event(f"server {server.address} is down: status 503, expected 200-399 ×2, after", start=start)
    assert not any(f"server {address} is" in line for line in proxy.events[start:]), "it was down before"


def test_an_upgrade_goes_on_from_what_was_known(l7, origin):
    ill = threading.Event()
    server, address = origin(ill_once_set(ill)), closed_port()
    config = CONFIG.format(address=f"{server.address}, {address}", health=f"{QUICK}, path: /, fall: 2")
    proxy = l7(config + "canary-time: 0s\n", argv=["--debug"])
    proxy.wait_for_event("server.down", server=address)
    proxy.wait_for_event("server.up", server=server.address)
    start = len(proxy.events)
    pid = upgrade(proxy)
    ill.set()
    proxy.wait_for_event(
        rf"server\.down generation=2 .* server {server.address} is down: status 503, expected 200-399 ×2", start=start
    )
    new = [line for line in proxy.events[start:] if "generation 2" in line]
    assert not any(f"server {address} is" in line for line in new), "it was down before"
    stop_successor(proxy, pid)
