"""The admin endpoint: what it serves, and what it puts up with."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator

import gevent
import pytest
from gevent import socket as green

from l7.config.schema import Config
from l7.config.sections.admin import Admin
from l7.config.values.addresses import Address
from l7.sharedmem import master_gauges
from l7.sharedmem.master_gauges import MasterGauges
from l7.sharedmem.memory import MASTER, SharedMemory
from l7.sharedmem.scoreboard import Scoreboard
from l7.telemetry.metrics import Metrics
from l7.telemetry.situation.server_states import KnownServers
from l7.telemetry.situation.situations import PastStates
from l7.workers.monitor.admin.access import AdminAccess
from l7.workers.monitor.admin.handler import AdminHandler
from l7.workers.monitor.admin.pages import AdminPages
from l7.workers.monitor.admin.recorded_requests import RecordedRequests
from l7.workers.monitor.admin.server import MOST_CONNECTIONS, AdminServer
from tests.workers.loop import until

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Endpoint:
    """A running endpoint; ``status`` is what the master answers, and ``None`` is no answer."""

    def __init__(self, port: int, known: MasterGauges, shared_memory: SharedMemory) -> None:
        self.port = port
        self.facts = known
        self.status: bytes | None = b'{"ok": true, "pid": 1}\n'
        self.asked = 0
        self.close = lambda: None
        metrics = Metrics(shared_memory.writer(MASTER), Scoreboard(2), Config(), {}, {}, shared_memory.written)
        servers = KnownServers({}, {}, shared_memory.writer(MASTER), shared_memory.history)
        recorded = RecordedRequests(None, PastStates({}, 1, servers))
        self.access = AdminAccess(Admin.model_construct(address=Address("127.0.0.1", port)))
        self.handler = AdminHandler(AdminPages(metrics, known, self.visit, recorded, bytes), self.access)

    def visit(self) -> green.socket:
        """As the master's desk."""
        if self.status is None:
            raise OSError("nobody there")
        self.asked += 1
        ours, theirs = green.socketpair()

        def answer() -> None:
            with theirs:
                assert json.loads(theirs.recv(100)) == {"do": "status", "servers": True}
                gevent.sleep(0.01)
                theirs.sendall(self.status)

        gevent.spawn(answer)
        return ours

    def connect(self) -> green.socket:
        sock = green.create_connection(("127.0.0.1", self.port))
        sock.settimeout(5)
        return sock

    def send(self, raw: bytes) -> bytes:
        """Send, and read until the connection ends."""
        with contextlib.closing(self.connect()) as sock:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65536), b""))

    def get(self, path: bytes) -> tuple[int, bytes]:
        head, _, body = self.send(GET % path).partition(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
        return int(head.split()[1]), body


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    shared_memory, listener = SharedMemory(), socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    known = MasterGauges(shared_memory.writer(MASTER))
    known[master_gauges.PHASE], known[master_gauges.WANTED] = master_gauges.SERVING, 2
    known[master_gauges.WORKERS + master_gauges.STATES.index("ready")] = 2
    one = Endpoint(listener.getsockname()[1], known, shared_memory)
    one.close = lambda: admin.close()
    admin = AdminServer(one.handler)
    admin.start(listener)
    yield one
    admin.close()
    listener.close()


def test_figures_are_served(endpoint: Endpoint) -> None:
    answer = endpoint.send(GET % b"/metrics?name=x")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in answer
    assert b'\nl7_workers{state="ready"} 2\n' in answer


def test_liveness_and_readiness(endpoint: Endpoint) -> None:
    assert endpoint.get(b"/healthz") == (200, b"ok\n")
    assert endpoint.get(b"/readyz") == (200, b"ready\n")
    endpoint.facts[master_gauges.PHASE] = master_gauges.ENDING
    assert endpoint.get(b"/healthz") == (200, b"ok\n")
    assert endpoint.get(b"/readyz") == (503, b"503 Service Unavailable: stopping\n")


def test_the_master_tells_the_status(endpoint: Endpoint) -> None:
    status, body = endpoint.get(b"/status")
    assert (status, json.loads(body)) == (200, {"ok": True, "pid": 1})


def test_the_master_is_asked_once_for_all_who_ask(endpoint: Endpoint) -> None:
    asking = [gevent.spawn(endpoint.get, b"/status") for _ in range(8)]
    gevent.joinall(asking, timeout=5)
    assert {one.value for one in asking} == {asking[0].value}
    assert asking[0].value[0] == 200
    assert endpoint.asked == 1


@pytest.mark.parametrize("status", [None, b"", b"no JSON\n"])
def test_a_master_that_does_not_answer(endpoint: Endpoint, status: bytes | None) -> None:
    endpoint.status = status
    assert endpoint.get(b"/status") == (503, b"503 Service Unavailable: the master does not answer\n")


def test_requests_follow_each_other_on_a_connection(endpoint: Endpoint) -> None:
    answer = endpoint.send(GET % b"/healthz" + GET % b"/readyz")
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"Connection: close" not in answer


def test_head_has_no_body(endpoint: Endpoint) -> None:
    answer = endpoint.send(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 3\r\n" in answer


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (GET % b"/nothing", b"404"),
        (GET % b"/metrics/", b"404"),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"DELETE /status HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd", b"400"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"400"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n", b"505"),
        (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 9000), b"414"),
    ],
)
def test_nothing_else_is_taken(endpoint: Endpoint, raw: bytes, status: bytes) -> None:
    assert endpoint.send(raw).split(b" ", 2)[1] == status
    assert endpoint.get(b"/healthz")[0] == 200


def test_after_a_body_nothing_is_read(endpoint: Endpoint) -> None:
    answer = endpoint.send(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n" + GET % b"/healthz")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"Connection: close\r\n" in answer


def test_a_head_that_is_too_long_ends_the_connection(endpoint: Endpoint) -> None:
    answer = endpoint.send(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000)
    assert answer.startswith(b"HTTP/1.1 431 ") and b"Connection: close\r\n" in answer


def test_a_head_that_dawdles_ends_the_connection(endpoint: Endpoint) -> None:
    endpoint.handler.bounds.head_seconds = 0.1
    with contextlib.closing(endpoint.connect()) as silent, contextlib.closing(endpoint.connect()) as sock:
        sock.sendall(b"GET /metrics")
        assert b"".join(iter(lambda: sock.recv(100), b"")).startswith(b"HTTP/1.1 408 ")
        assert silent.recv(100) == b""


def test_many_who_say_nothing_keep_nobody_out_for_long(endpoint: Endpoint) -> None:
    endpoint.handler.bounds.head_seconds = 0.2
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS + 5):
            stack.enter_context(contextlib.closing(endpoint.connect()))
        assert endpoint.get(b"/healthz")[0] == 200
    until(lambda: endpoint.get(b"/healthz")[0] == 200)


def test_who_has_asked_nothing_for_the_longest_time_makes_room(endpoint: Endpoint) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(contextlib.closing(endpoint.connect())) for _ in range(MOST_CONNECTIONS - 1)]
        for sock in idle:
            sock.sendall(GET % b"/healthz")
            assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        assert endpoint.get(b"/healthz")[0] == 200
        assert idle[0].recv(100) == b""
        idle[-1].sendall(GET % b"/healthz")
        assert idle[-1].recv(1000).startswith(b"HTTP/1.1 200")


def test_at_the_end_who_was_taken_gets_an_answer_and_who_is_idle_is_let_go(endpoint: Endpoint) -> None:
    with contextlib.closing(endpoint.connect()) as idle, contextlib.closing(endpoint.connect()) as fresh:
        idle.sendall(GET % b"/healthz")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        until(lambda: endpoint.get(b"/healthz"))
        closing = gevent.spawn(endpoint.close)
        assert idle.recv(100) == b""
        fresh.sendall(GET % b"/healthz")
        answer = fresh.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in answer
        closing.join(5)
        assert closing.ready()
