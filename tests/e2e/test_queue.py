"""Limits and the queue behind them: over all workers, in order, with an end."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import SimpleQueue
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.harness.client import Client, Response, get, request
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Reply, Request

QUEUED = re.compile(rb'^l7_requests_queued\{host="x"\} (\d+)', re.MULTILINE)


class Gate:
    """An origin that answers a request only when it is let through; knows how many it had at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.order: list[str] = []
        self._lock = threading.Lock()
        self._tickets: SimpleQueue[None] = SimpleQueue()

    def __call__(self, request: Request) -> Reply | None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.order.append(request.target.decode())
        self._tickets.get(timeout=30)
        with self._lock:
            self.now -= 1
        return Reply(body=request.target)

    def let(self, count: int = 1) -> None:
        for _ in range(count):
            self._tickets.put(None)


class Play:
    def __init__(self, stack: ExitStack, settings: str, workers: int) -> None:
        self.stack = stack
        self.gate = Gate()
        self.origin = stack.enter_context(Origin(self.gate))
        servers = f"servers: [{{address: '{self.origin.address}', max-connections: 1}}]"
        self.admin = f"{stack.enter_context(TemporaryDirectory(prefix='l7-admin-'))}/admin"
        backends = settings.replace("SERVERS", servers).replace("$a", self.origin.address)
        config = f"admin: 'unix:{self.admin}'\nbackends: {{x: {{{backends}}}}}"
        self.proxy = stack.enter_context(L7Process(config, workers=workers))
        self.proxy.wait_for(lambda: os.path.exists(self.admin), "the admin endpoint")
        stack.callback(self.gate.let, 1000)

    def ask(self, target: str) -> Client:
        client = self.stack.enter_context(Client(self.proxy.address))
        client.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return client

    def get(self, target: str) -> Response:
        return get(self.proxy.address, target, host="x")

    def queued(self) -> int:
        return int(QUEUED.search(get(self.admin, "/metrics").body)[1])

    def settle(self, served: int, queued: int = 0) -> None:
        """Wait until so many requests have come through and all others, ``queued`` of them, wait for a place."""
        self.proxy.wait_for(lambda: self.queued() == queued, f"{queued} in the queue")
        self.proxy.wait_for(lambda: len(self.gate.order) >= served, f"{served} at the server")
        assert len(self.gate.order) == served

    def turn(self) -> None:
        """Return when the worker, the only one, has seen whatever was sent before: it answers this by itself."""
        assert get(self.proxy.address, host="unknown").status == 404


@pytest.fixture
def play() -> Iterator[Callable[..., Play]]:
    with ExitStack() as stack:
        yield lambda settings, workers=1: Play(stack, settings, workers)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_server_never_has_more_than_it_may(play: Callable[..., Play], workers: int) -> None:
    scene = play("SERVERS", workers)
    clients = [scene.ask(f"/{number}") for number in range(6)]
    scene.settle(1, 5)
    scene.gate.let(6)
    assert {client.read_response().body for client in clients} == {b"/%d" % number for number in range(6)}
    assert scene.gate.most == 1


def test_first_come_first_served_over_all_workers(play: Callable[..., Play]) -> None:
    scene = play("SERVERS", 3)
    clients = []
    for number in range(8):
        clients.append(scene.ask(f"/{number}"))
        scene.settle(1, number)  # so that it is clear who came first, whichever worker took it
    for number, client in enumerate(clients):
        scene.gate.let()
        assert client.read_response().body == b"/%d" % number
    assert scene.gate.order == [f"/{number}" for number in range(8)]


def test_a_full_queue_is_503_with_retry_after(play: Callable[..., Play]) -> None:
    scene = play("queue: {size: 1}, SERVERS")
    first = scene.ask("/1")
    scene.settle(1)
    second = scene.ask("/2")
    scene.settle(1, 1)
    answer = scene.get("/3")
    assert (answer.status, answer.header(b"retry-after")) == (503, b"1")
    assert b"too many requests for this backend" in answer.body
    scene.proxy.wait_for_output(r'"GET /3 HTTP/1\.1" 503 .* PQ$')
    scene.gate.let(2)
    assert [client.read_response().status for client in (first, second)] == [200, 200]


def test_no_queue_at_all(play: Callable[..., Play]) -> None:
    scene = play("queue: {size: 0}, SERVERS")
    first = scene.ask("/1")
    scene.settle(1)
    assert scene.get("/2").status == 503
    scene.gate.let()
    assert first.read_response().status == 200


def test_waiting_too_long_is_503_and_in_the_log(play: Callable[..., Play]) -> None:
    scene = play("queue: {timeout: 300ms}, SERVERS")
    first = scene.ask("/1")
    scene.settle(1)
    answer = scene.get("/2")
    assert (answer.status, answer.header(b"retry-after")) == (503, b"1")
    found = scene.proxy.wait_for_output(r'"GET /2 HTTP/1\.1" 503 .* (\d+)/-1/-1/\d+ 0 0 ".*" sQ$')
    assert 250 <= int(found[1]) < 5000
    scene.gate.let()
    assert first.read_response().status == 200


def test_the_time_in_the_queue_is_in_the_log(play: Callable[..., Play]) -> None:
    scene = play("SERVERS")
    first = scene.ask("/1")
    scene.settle(1)
    asked = time.monotonic()
    second = scene.ask("/2")
    scene.settle(1, 1)
    queued = time.monotonic()
    time.sleep(0.2)
    least = time.monotonic() - queued
    scene.gate.let(2)
    first.read_response()
    second.read_response()
    most = time.monotonic() - asked
    found = scene.proxy.wait_for_output(r'"GET /2 HTTP/1\.1" 200 .* (\d+)/\d+/\d+/\d+ 1 0 "-" --$')
    assert int(least * 1000) <= int(found[1]) <= int(most * 1000) + 1


def test_who_leaves_gives_up_its_place(play: Callable[..., Play]) -> None:
    scene = play("queue: {timeout: 100s}, SERVERS")
    first = scene.ask("/1")
    scene.settle(1)
    second, third = scene.ask("/2"), scene.ask("/3")
    scene.settle(1, 2)
    second.close()
    scene.proxy.wait_for_output(r'"GET /2 HTTP/1\.1" 499 .* CQ$')
    scene.gate.let(2)
    assert first.read_response().body == b"/1"
    assert third.read_response().body == b"/3"
    assert scene.gate.order == ["/1", "/3"]


def test_requests_in_one_connection_wait_in_order(play: Callable[..., Play]) -> None:
    scene = play("SERVERS")
    first = scene.ask("/1")
    scene.settle(1)
    client = scene.stack.enter_context(Client(scene.proxy.address))
    client.send(b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
    scene.settle(1, 1)
    client.send(b"GET /3 HTTP/1.1\r\nHost: x\r\n\r\n")  # while the one before it waits
    scene.turn()
    scene.settle(1, 1)
    scene.gate.let(3)
    assert first.read_response().body == b"/1"
    assert [client.read_response().body for _ in range(2)] == [b"/2", b"/3"]


def test_a_body_that_comes_while_its_request_waits_is_forwarded(play: Callable[..., Play]) -> None:
    scene = play("SERVERS, buffer: off")
    first = scene.ask("/1")
    scene.settle(1)
    client = scene.stack.enter_context(Client(scene.proxy.address))
    client.send(b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
    scene.settle(1, 1)
    client.send(b"67890")
    scene.turn()
    scene.settle(1, 1)
    scene.gate.let(2)
    assert first.read_response().body == b"/1"
    assert client.read_response().body == b"/2"
    assert scene.origin.requests[-1].body == b"1234567890"


def test_a_backend_has_a_limit_over_all_its_servers(play: Callable[..., Play]) -> None:
    scene = play("max-connections: 2, servers: [$a]", 2)
    clients = [scene.ask(f"/{number}") for number in range(5)]
    scene.settle(2, 3)
    scene.gate.let(5)
    assert len({client.read_response().body for client in clients}) == 5
    assert scene.gate.most == 2


def test_a_worker_that_is_killed_gives_its_places_back(play: Callable[..., Play]) -> None:
    scene = play("max-connections: 1, servers: [$a]", 2)
    scene.ask("/1")
    scene.settle(1)
    held = [pid for pid in scene.proxy.workers() if scene.origin.connections and _talks(pid, scene.origin)]
    assert len(held) == 1
    os.kill(held[0], signal.SIGKILL)
    scene.proxy.wait_for_event("worker.exited", reason="killed by SIGKILL")
    scene.gate.let(2)
    assert scene.get("/2").status == 200


def _talks(pid: int, origin: Origin) -> bool:
    port = int(origin.address.rpartition(":")[2])
    return any(one.raddr and one.raddr.port == port for one in psutil.Process(pid).net_connections())


def test_a_full_server_is_passed_by(play: Callable[..., Play]) -> None:
    with Origin(lambda request: Reply(body=b"other")) as other:
        scene = play(f"balance: first, servers: [{{address: $a, max-connections: 1}}, '{other.address}']")
        first = scene.ask("/1")
        scene.settle(1)
        assert [scene.get("/").body for _ in range(5)] == [b"other"] * 5
        scene.gate.let()
        assert first.read_response().body == b"/1"


def test_who_sticks_to_a_full_server_that_nobody_else_is_sent_to_waits_for_it(play: Callable[..., Play]) -> None:
    scene = play("sticky: {}, servers: [{address: $a, max-connections: 1}]")
    scene.gate.let()
    cookie = (scene.get("/0").header(b"set-cookie") or b"").partition(b";")[0].decode()
    text = scene.proxy.config_path.read_text()
    seen = len(scene.proxy.events)
    scene.proxy.write_config(text.replace("max-connections: 1", "max-connections: 1, weight: 0"))
    scene.proxy.hup()
    scene.proxy.wait_for_event("reload.done", start=seen)
    clients = []
    for number in (1, 2):
        client = scene.stack.enter_context(Client(scene.proxy.address))
        client.send(f"GET /{number} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
        clients.append(client)
        scene.settle(2, number - 1)
    assert scene.get("/3").status == 503
    scene.gate.let(2)
    assert [client.read_response().body for client in clients] == [b"/1", b"/2"]


@pytest.mark.parametrize("workers", [1, 3])
def test_who_can_only_use_a_server_that_is_full_holds_nobody_up(play: Callable[..., Play], workers: int) -> None:
    """It has tried the other one, which has room for those that come after it."""

    def fail_some(request: Request) -> Reply | None:
        if request.target != b"/fails":
            return Reply(body=b"other")
        request.connection.close()
        return None

    with Origin(fail_some) as other:
        scene = play(
            "balance: first, ejection: off, queue: {timeout: 100s}, servers: [{address: $a, max-connections: 1},"
            f" {{address: '{other.address}', max-connections: 1}}]",
            workers,
        )
        first = scene.ask("/1")
        scene.settle(1)
        retried = scene.ask("/fails")
        scene.settle(1, 1)
        assert [scene.get("/").body for _ in range(5)] == [b"other"] * 5
        scene.gate.let(2)
        assert first.read_response().body == b"/1"
        assert retried.read_response().body == b"/fails"


# ---------------------------------------------------------------------------------------------------- total time


def test_a_request_that_takes_too_long_in_total_is_504(play: Callable[..., Play]) -> None:
    scene = play("timeouts: {total: 2s}, servers: [$a]")
    began = time.monotonic()
    answer = scene.get("/slow")
    assert answer.status == 504
    assert 1.9 < time.monotonic() - began < 15
    scene.proxy.wait_for_output(r'"GET /slow HTTP/1\.1" 504 .* sH$')
    scene.gate.let(2)
    assert scene.get("/quick").body == b"/quick"


def test_a_response_that_takes_too_long_in_total_is_cut() -> None:
    stop = threading.Event()

    def trickle(request: Request) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not stop.wait(0.05):
            try:
                request.connection.send(b"x")
            except OSError:
                return

    with Origin(trickle) as origin:
        config = f"backends: {{'*': {{servers: ['{origin.address}'], timeouts: {{total: 2s}}}}}}"
        with L7Process(config) as proxy:
            began = time.monotonic()
            answer = get(proxy.address, "/cut")
            stop.set()
            assert (answer.status, answer.complete) == (200, False)
            assert 1.9 < time.monotonic() - began < 15
            proxy.wait_for_output(r'"GET /cut HTTP/1\.1" 200 .* sD$')


def test_a_slow_client_is_no_fault_of_the_servers() -> None:
    with Origin() as origin, Origin() as other, ExitStack() as stack:
        servers = f"servers: ['{origin.address}', '{other.address}'], timeouts: {{total: 2s}}"
        proxy = stack.enter_context(L7Process(f"backends: {{'*': {{{servers}, ejection: {{failures: 1}}}}}}"))
        clients = [stack.enter_context(Client(proxy.address)) for _ in range(4)]
        for number, client in enumerate(clients):
            client.send(b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx" % number)
        assert {client.read_response().status for client in clients} == {408}
        proxy.wait_for_output(r'"POST /3 HTTP/1\.1" 408 .* cD$')
        assert get(proxy.address, "/").status == 200
        proxy.stop()
        assert not any("is ejected" in line for line in proxy.events)


def test_a_client_that_reads_slowly_is_no_fault_of_the_servers() -> None:
    with Origin(lambda request: Reply(body=bytes(50_000_000))) as origin, Origin() as other, ExitStack() as stack:
        servers = f"servers: ['{origin.address}', '{other.address}'], balance: first, timeouts: {{total: 2s}}"
        proxy = stack.enter_context(L7Process(f"backends: {{'*': {{{servers}, ejection: {{failures: 1}}}}}}"))
        client = stack.enter_context(Client(proxy.address))
        client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        proxy.wait_for_output(r'"GET /slow HTTP/1\.1" 200 .* cD$')
        proxy.stop()
        assert not any("is ejected" in line for line in proxy.events)


def test_a_server_that_was_given_the_rest_of_the_time_is_not_to_blame(play: Callable[..., Play]) -> None:
    scene = play(
        "timeouts: {total: 8s}, queue: {timeout: 20s}, ejection: {failures: 1},"
        " servers: [{address: $a, max-connections: 1}, {address: 127.0.0.1:9, backup: true}]"
    )
    first = scene.ask("/1")
    scene.settle(1)
    late = scene.ask("/2")
    begun = time.monotonic()
    time.sleep(begun + 4.5 - time.monotonic())  # more than half of its time
    scene.settle(1, 1)
    scene.gate.let()
    assert first.read_response().status == 200
    assert late.read_response().status == 504
    scene.proxy.wait_for_output(r'"GET /2 HTTP/1\.1" 504 .* sH$')
    scene.proxy.stop()  # an ejection would have been told by now
    assert not any("is ejected" in line for line in scene.proxy.events)


def test_the_total_holds_for_the_queue(play: Callable[..., Play]) -> None:
    scene = play("timeouts: {total: 500ms}, queue: {timeout: 20s}, SERVERS")
    scene.ask("/1")
    scene.settle(1)
    began = time.monotonic()
    assert scene.get("/2").status in (503, 504)
    assert time.monotonic() - began < 15


# -------------------------------------------------------------------------------------------------------- retries


def test_retries_stay_within_their_budget() -> None:
    def reset(request: Request) -> None:
        request.connection.reset()

    with Origin(reset) as bad, Origin(reset) as worse:
        servers = f"servers: ['{bad.address}', '{worse.address}']"
        config = f"access-log-format: json\nbackends: {{'*': {{ejection: off, {servers}}}}}"
        with L7Process(config) as proxy:
            for _ in range(150):
                assert get(proxy.address).status == 502
            proxy.wait_for(lambda: len(proxy.output) >= 150, "the log")
            attempts = [json.loads(line)["attempts"] for line in proxy.output]
    assert sum(attempts) - 150 <= 100 + 150 * 0.2
    assert attempts[0] == 2
    assert attempts[-1] == 1


def test_what_a_server_may_have_got_is_retried_only_if_that_does_no_harm() -> None:
    def reset(request: Request) -> None:
        request.connection.reset()

    with Origin(reset) as one, Origin(reset) as two:
        backend = f"servers: ['{one.address}', '{two.address}'], retries: 5, ejection: off"
        with L7Process(f"backends: {{'*': {{{backend}}}}}") as proxy:
            for method, tries in (("GET", 2), ("PUT", 2), ("POST", 1), ("PATCH", 1)):
                before = len(one.requests) + len(two.requests)
                assert request(proxy.address, method, body=b"x").status == 502
                assert len(one.requests) + len(two.requests) == before + tries, method
            assert not re.search("Traceback", "\n".join(proxy.events))


def test_a_post_that_was_refused_goes_to_another_server() -> None:
    with Origin() as gone, Origin(lambda request: Reply(body=b"here")) as here:
        address = gone.address
        gone.close()
        config = f"backends: {{'*': {{servers: ['{address}', '{here.address}'], ejection: off}}}}"
        with L7Process(config) as proxy:
            assert [request(proxy.address, "POST", body=b"x").body for _ in range(6)] == [b"here"] * 6
