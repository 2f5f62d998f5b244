"""The admin endpoint: what it serves, and what it puts up with."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import socket
from collections.abc import Callable, Collection, Iterator
from typing import Any

import bcrypt
import gevent
import pytest
from gevent import get_hub
from gevent import socket as green
from gevent.event import Event

from l7.config.schema import Config
from l7.config.sections.admin import Admin
from l7.config.values.addresses import Address
from l7.http.messages import LocalResponse
from l7.sharedmem import master_gauges
from l7.sharedmem.master_gauges import MasterGauges
from l7.sharedmem.memory import MASTER, SharedMemory
from l7.sharedmem.scoreboard import Scoreboard
from l7.telemetry.metrics import Metrics
from l7.telemetry.servers.past_states import PastStates
from l7.telemetry.servers.shared_servers import SharedServers
from l7.workers.monitor.admin import server
from l7.workers.monitor.admin.access import AdminAccess
from l7.workers.monitor.admin.handler import AdminHandler
from l7.workers.monitor.admin.pages import AdminPages
from l7.workers.monitor.admin.recorded_requests import RecordedRequests
from l7.workers.monitor.admin.server import MOST_CONNECTIONS, AdminServer
from l7.workers.monitor.admin.shared_answers import SharedAnswers
from l7.workers.monitor.admin.static_files import FILES
from l7.workers.monitor.recorder_source import RecorderSource
from l7.workers.runtime.pause import pause
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
        self.connections: Callable[[], Collection[object]] = list
        metrics = Metrics(shared_memory.writer(MASTER), Scoreboard(2), Config(), {}, {}, shared_memory.written)
        servers = SharedServers(shared_memory, shared_memory.writer(MASTER), {}, {}, {})
        recorded = RecordedRequests(RecorderSource(None), PastStates({}, 1, servers))
        self.access = AdminAccess(Admin.model_construct(address=Address("127.0.0.1", port)))
        self.pages = AdminPages(metrics, known, self.visit, recorded, bytes)
        self.handler = AdminHandler(self.pages, self.access)

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
        sock.settimeout(30)
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
    one.connections = lambda: admin._connections
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
    gevent.joinall(asking, timeout=30)
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


@pytest.mark.parametrize("beginning", [b"", b"GET /hea", GET % b"/overview"], ids=["silent", "half a head", "unread"])
def test_who_dawdles_loses_its_place_to_who_waits_for_one(
    endpoint: Endpoint, beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the time of a head, or of an answer, is over; and nobody does as long as nobody waits."""
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(server, "DAWDLES", 0.1)
    monkeypatch.setattr(endpoint.pages, "_make_overview", lambda: b"x" * (32 << 20))
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(contextlib.closing(endpoint.connect())) for _ in range(3)]
        for sock in slow:
            sock.sendall(beginning)
        gevent.sleep(0.3)
        assert len(endpoint.connections()) == 3
        with gevent.Timeout(8):
            assert endpoint.get(b"/healthz")[0] == 200
        until(lambda: len(endpoint.connections()) == 2)


def test_who_is_idle_makes_room_for_who_came_when_all_were_busy(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    gate = Event()
    monkeypatch.setattr(endpoint.pages, "_make_overview", lambda: b"{}" if gate.wait(10) else b"")
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(contextlib.closing(endpoint.connect())) for _ in range(2)]
        for sock in busy:
            sock.sendall(GET % b"/overview")
        late = gevent.spawn(endpoint.get, b"/healthz")
        gevent.sleep(0.1)
        assert not late.ready()
        gate.set()
        assert all(sock.recv(1000).startswith(b"HTTP/1.1 200") for sock in busy)
        late.join(10)
        assert late.value[0] == 200


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


PAGE = (b"/", b"/main.js", b"/overview", b"/requests", b"/requests/abcdef", b"/status")
OPEN = (b"/metrics", b"/healthz", b"/readyz")


def head_of(answer: bytes) -> dict[bytes, bytes]:
    """The fields of an answer."""
    lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}


def ask(endpoint: Endpoint, path: bytes, *fields: bytes, host: bytes = b"localhost") -> tuple[int, bytes]:
    lines = [b"GET %s HTTP/1.1" % path, b"Host: " + host, *fields]
    answer = endpoint.send(b"\r\n".join(lines) + b"\r\n\r\n")
    return int(answer.split()[1]), answer


def access(**settings: Any) -> AdminAccess:
    return AdminAccess(Config.model_validate({"admin": settings}).admin)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        (b"localhost", True), (b"LOCALHOST.:9180", True), (b"app.localhost", True), (b"127.0.0.1:9", True),
        (b"[::1]:9180", True), (b"10.1.2.3", True), (socket.gethostname().encode(), True), (b"l7.example:80", True),
        (b"evil.test", False), (b"localhost.evil.test", False), (b"127.0.0.1.evil.test", False),
        (b"x.l7.example", False),
        (socket.gethostname().partition(".")[0].encode() + b".evil.test", False),
    ],
)  # fmt: skip
def test_a_foreign_name_sees_figures_alone(endpoint: Endpoint, host: bytes, ours: bool) -> None:
    endpoint.handler.access = access(address="127.0.0.1:1", hosts=["L7.example."])
    for path in PAGE:
        status, answer = ask(endpoint, path, host=host)
        assert (status == 421) != ours, answer
    if not ours:
        name = host.decode()
        assert f"write `admin: {{address: '127.0.0.1:1', hosts: [{name}]}}`" in answer.decode()
    assert [ask(endpoint, path, host=host)[0] for path in OPEN] == [200, 200, 200]
    endpoint.handler.access = access(address="unix:/x")
    assert 421 not in [ask(endpoint, path, host=host)[0] for path in PAGE], "no browser reaches a unix socket"


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ([], True),
        ([b"Sec-Fetch-Site: none"], True),
        ([b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Mode: cors"], True),
        ([b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document"], True),
        ([b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: iframe"], False),
        ([b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: no-cors"], False),
        ([b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Mode: cors", b"Origin: http://localhost:3000"], False),
    ],
)
def test_another_page_is_told_nothing(endpoint: Endpoint, fields: list[bytes], taken: bool) -> None:
    for path in PAGE:
        status, answer = ask(endpoint, path, *fields)
        assert (status == 403) != taken, answer
        assert b"access-control" not in answer.lower()
    assert [ask(endpoint, path, *fields)[0] for path in OPEN] == [200, 200, 200]


@pytest.mark.parametrize("address", ["0.0.0.0:9180", "[::]:9180", "192.0.2.1:9180"])
def test_where_others_come_nobody_sees_the_page_without_users(endpoint: Endpoint, address: str) -> None:
    endpoint.handler.access = access(address=address)
    for path in PAGE:
        status, answer = ask(endpoint, path)
        assert status == 403 and "users: {LOGIN: PASSWORD}" in answer.decode()
    assert [ask(endpoint, path)[0] for path in OPEN] == [200, 200, 200]


@pytest.mark.parametrize("address", ["0.0.0.0:9180", "127.0.0.1:9180", "unix:/x"])
def test_users_log_in(endpoint: Endpoint, address: str) -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    endpoint.handler.access = access(address=address, users={"a": "plain", "b": hashed})

    def logged_in(login: bytes) -> int:
        status, answer = ask(endpoint, b"/requests", b"Authorization: Basic " + base64.b64encode(login))
        assert (b'www-authenticate: basic realm="l7 admin"' in answer.lower()) == (status == 401)
        return status

    assert [ask(endpoint, path)[0] for path in PAGE] == [401] * len(PAGE)
    assert [logged_in(login) for login in (b"a:plain", b"b:secret", b"b:secret")] == [404] * 3, "the recorder is off"
    assert [logged_in(login) for login in (b"a:secret", b"b:plain", b"c:plain", b"a", b"")] == [401] * 5
    assert [ask(endpoint, path)[0] for path in OPEN] == [200, 200, 200]


def test_a_password_that_takes_long_holds_up_nobody_else(endpoint: Endpoint) -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode().replace("$2b$04$", "$2b$11$")
    endpoint.handler.access = access(address="127.0.0.1:1", users={"a": hashed})
    login = b"Authorization: Basic " + base64.b64encode(b"a:wrong")
    asking = gevent.spawn(ask, endpoint, b"/", login)
    until(lambda: endpoint.handler.connections)
    assert endpoint.get(b"/healthz")[0] == 200
    assert not asking.ready()
    assert asking.get(timeout=30)[0] == 401


def test_what_is_shown_can_do_nothing_elsewhere(endpoint: Endpoint) -> None:
    for path in (*PAGE, *OPEN, b"/nothing"):
        fields = head_of(ask(endpoint, path)[1])
        policy = fields[b"content-security-policy"].split(b"; ")
        assert {b"default-src 'none'", b"frame-ancestors 'none'", b"base-uri 'none'", b"form-action 'none'"} <= {
            *policy
        }
        assert b"unsafe" not in fields[b"content-security-policy"]
        assert fields[b"x-content-type-options"] == b"nosniff"
        assert fields[b"cross-origin-resource-policy"] == b"same-origin"


def test_a_file_of_the_page_is_sent_once(endpoint: Endpoint) -> None:
    plain, coded = ask(endpoint, b"/?x")[1], ask(endpoint, b"/", b"Accept-Encoding: br, gzip")[1]
    index = plain.partition(b"\r\n\r\n")[2]
    assert index.startswith(b"<!doctype html>")
    assert gzip.decompress(coded.partition(b"\r\n\r\n")[2]) == index
    fields, others = head_of(plain), head_of(coded)
    assert fields[b"content-type"] == b"text/html; charset=utf-8" and fields[b"cache-control"] == b"no-cache"
    assert b"content-encoding" not in fields and others[b"content-encoding"] == b"gzip"
    assert fields[b"etag"] != others[b"etag"] and fields[b"vary"] == others[b"vary"] == b"Accept-Encoding"
    for known in (fields[b"etag"], b"W/" + fields[b"etag"], b'"x", ' + fields[b"etag"], b"*"):
        status, answer = ask(endpoint, b"/", b"If-None-Match: " + known)
        assert status == 304 and answer.endswith(b"\r\n\r\n") and head_of(answer)[b"etag"] == fields[b"etag"]
    assert ask(endpoint, b"/", b"If-None-Match: " + others[b"etag"])[0] == 200
    assert {path for path in FILES if not path.endswith((b".js", b".css", b".svg"))} == {b"/"}


def test_an_answer_is_made_once_for_all_who_ask_meanwhile() -> None:
    shared, made = SharedAnswers(), 0

    def make() -> LocalResponse:
        nonlocal made
        made += 1
        gevent.sleep(0.01)
        if made == 1:
            raise KeyError("no")
        return LocalResponse(200, "", b"%d" % made)

    asking = [gevent.spawn(shared.get, "x", make) for _ in range(3)]
    gevent.joinall(asking)
    assert [type(one.exception) for one in asking] == [KeyError] * 3
    assert made == 1
    asking = [gevent.spawn(shared.get, "x", make) for _ in range(5)]
    gevent.joinall(asking, raise_error=True)
    assert {one.value.body for one in asking} == {b"2"}
    for number in range(40):
        shared.get(number, make)
    assert shared.get(39, make).body == b"42" and shared.get(0, make).body == b"43", "few are kept"


def test_a_pause_is_a_turn_of_the_loop() -> None:
    turns: list[None] = []
    watcher = get_hub().loop.check()
    watcher.start(lambda: turns.append(None))

    def work() -> None:
        for _ in range(20):
            pause()

    gevent.spawn(work).join(5)
    watcher.stop()
    watcher.close()
    assert len(turns) >= 20, "sockets and timers are looked at in each"


def test_the_overview_is_compressed_once_for_all_who_take_that(endpoint: Endpoint) -> None:
    made: list[None] = []

    def overview() -> bytes:
        made.append(None)
        return b'{"made": %d}' % len(made)

    endpoint.pages._make_overview = overview
    fields = [b"Accept-Encoding: gzip, deflate, br"]
    asking = [gevent.spawn(ask, endpoint, b"/overview", *fields) for _ in range(5)]
    gevent.joinall(asking, timeout=30, raise_error=True)
    assert {gzip.decompress(one.value[1].partition(b"\r\n\r\n")[2]) for one in asking} == {b'{"made": 1}\n'}
    status, answer = ask(endpoint, b"/overview")
    assert status == 200 and answer.endswith(b'{"made": 2}\n') and head_of(answer)[b"vary"] == b"Accept-Encoding"
