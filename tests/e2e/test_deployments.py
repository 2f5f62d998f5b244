"""An application is deployed, and no visitor notices: servers that stop, boot and come back under traffic."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest

from tests.harness import TIMEOUT
from tests.harness.client import Client, Response, get, request
from tests.harness.l7process import ROOT, L7Process
from tests.harness.origin import Origin, Reply, Request

WAITED = re.compile(rb'^l7_requests_retrying\{host="\*"\} (\d+)', re.MULTILINE)


class App:
    """A server on a port that stays its own, and that can stop and come back."""

    def __init__(self, received: str, *, up: bool = True) -> None:
        self.received = received
        self.seen: list[str] = []
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))
        self.port = self._place.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._origin: Origin | None = None
        if up:
            self.start()

    def handle(self, request: Request) -> Reply | None:
        self.seen.append(request.target.decode())
        return Reply(body=self.received.encode())

    def start(self) -> None:
        self._origin = Origin(self.handle, port=self.port)

    def stop(self) -> None:
        if self._origin is not None:
            self._origin.close()
            self._origin = None

    def close(self) -> None:
        self.stop()
        self._place.close()


class Play:
    """Apps and an l7 in front of them."""

    def __init__(self, stack: contextlib.ExitStack, up: str, settings: str, workers: int) -> None:
        letters = dict(zip("abcdef", up, strict=False))
        self.apps = {name: stack.enter_context(contextlib.closing(App(name, up=is_up == "+")))
                     for name, is_up in letters.items()}  # fmt: skip
        text = settings
        for name, app in self.apps.items():
            text = re.sub(rf"\${name}\b", f"'{app.address}'", text)
        directory = stack.enter_context(TemporaryDirectory(prefix="l7-admin-"))
        self.admin = f"{directory}/admin"
        self.proxy = stack.enter_context(
            L7Process(f"admin: 'unix:{self.admin}'\nbackends: {{'*': {{{text}}}}}", workers=workers)
        )
        self.proxy.wait_for(lambda: os.path.exists(self.admin), "the admin endpoint")
        self._stack = stack

    def __getattr__(self, name: str) -> App:
        return self.apps[name]

    def ask(self, target: str = "/", method: str = "GET") -> Response:
        return request(self.proxy.address, method, target, body=b"x" if method == "POST" else b"")

    def begin(self, target: str, method: str = "GET") -> Client:
        client = self._stack.enter_context(Client(self.proxy.address))
        body = b"Content-Length: 3\r\n\r\nabc" if method == "POST" else b"\r\n"
        client.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n".encode() + body)
        return client

    def waiting(self) -> int:
        return int(WAITED.search(get(self.admin, "/metrics").body)[1])  # type: ignore[index]

    def wait_for_waiting(self, count: int) -> None:
        self.proxy.wait_for(lambda: self.waiting() == count, f"{count} that wait")

    def figure(self, text: str) -> int:
        found = re.search(re.escape(text.encode()) + rb" (\d+)", get(self.admin, "/metrics").body)
        assert found, text
        return int(found[1])


@contextlib.contextmanager
def play(up: str, settings: str, workers: int = 1) -> Iterator[Play]:
    with contextlib.ExitStack() as stack:
        yield Play(stack, up, settings, workers)


class Visitors:
    """Clients that ask all the time, with kept and with new connections, and note what they get."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._over = threading.Event()
        self.outcomes: list[tuple[int, float]] = []
        self._threads = [threading.Thread(target=self._live, args=(kept,)) for kept in (True, False) * 3]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _live(self, kept: bool) -> None:
        turn = 0
        client: Client | None = None
        while not self._over.is_set():
            turn += 1
            if client is None:
                client = Client(self._address)
            began = time.monotonic()
            method = b"GET" if turn % 3 else b"POST"
            length = b"Content-Length: 1\r\n\r\nx" if method == b"POST" else b"\r\n"
            client.send(method + b" / HTTP/1.1\r\nHost: x\r\n" + length)
            status = client.read_response().status
            self.outcomes.append((status, time.monotonic() - began))
            if not kept:
                client.close()
                client = None
            self._over.wait(0.01)
        if client is not None:
            client.close()


# ------------------------------------------------------------------------------------------------- the last resort


def test_every_server_is_tried_before_a_request_fails() -> None:
    """None of them is picked by the policy, and only the last one is there."""
    settings = (
        "panic: 0%, retries: 0, retry-for: 0s, health: {start: down, interval: 1h, rise: 1}, "
        "servers: [$a, $b, {address: $c, backup: true}]"
    )
    with play("--+", settings) as scene:
        scene.a.start()
        scene.proxy.wait_for(lambda: scene.ask().status == 200, "an answer")


def test_the_last_resort_is_ejected_ones_then_backups() -> None:
    settings = "ejection: {time: 1h, max-time: 1h}, retry-for: 0s, servers: [$a, $b, {address: $c, backup: true}]"
    with play("+++", settings) as scene:
        failing = True

        def handle(request: Request) -> Reply | None:
            scene.a.seen.append(request.target.decode())
            if failing:
                request.connection.reset()
                return None
            return Reply(body=b"a")

        scene.a._origin.handler = handle  # type: ignore[union-attr]
        for _ in range(12):
            assert scene.ask().status == 200
        scene.proxy.wait_for_event("is ejected for 1h: connection lost")
        failing = False
        scene.b.stop()
        assert scene.ask().body == b"a", "that is its trial"
        scene.a.stop()
        assert scene.ask().body == b"c"
        scene.c.stop()
        assert scene.ask().status == 502


@pytest.mark.parametrize("order", ["maint", "drain"])
def test_whom_an_administrator_took_out_is_no_last_resort(order: str) -> None:
    with play("+-", "retry-for: 0s, servers: [$a, $b]") as scene:
        words = ["server", "*", scene.a.address, order, "--config", str(scene.proxy.config_path)]
        subprocess.run([sys.executable, "-m", "l7", *words], cwd=ROOT, check=True, capture_output=True)
        scene.proxy.wait_for(lambda: scene.ask().status == 502, "the order")
        scene.a.seen.clear()
        assert scene.ask().status == 502
        assert not scene.a.seen


def test_a_refused_connection_costs_no_retry_and_no_budget() -> None:
    settings = "retries: 0, retry-budget: 0%, ejection: off, balance: first, servers: [$a, $b, $c, $d, $e]"
    with play("----+", settings) as scene:
        for number in range(150):
            assert scene.ask(method="POST" if number % 2 else "GET").body == b"e"
        assert scene.figure('l7_retries_denied_total{host="*"}') == 0
        assert scene.figure('l7_retries_total{host="*"}') == 600


# ------------------------------------------------------------------------------------------------------- knocking


def test_a_server_that_refused_is_used_as_soon_as_it_is_there() -> None:
    """However long that takes: it was left alone for 2, 4, 8 seconds and more."""
    with play("-+", "ejection: {time: 1h, max-time: 1h}, servers: [$a, $b]") as scene:
        for _ in range(12):
            assert scene.ask().body == b"b"
        scene.proxy.wait_for_event("is ejected until it takes connections: connect refused ×3")
        connects = scene.figure(f'l7_server_connects_total{{host="*",server="{scene.a.address}"}}')
        requests = scene.figure(f'l7_server_requests_total{{host="*",server="{scene.a.address}"}}')
        scene.a.start()
        scene.proxy.wait_for_event(rf"server {scene.a.address} takes connections again, after \d+\.\d s")
        assert scene.figure(f'l7_server_connects_total{{host="*",server="{scene.a.address}"}}') == connects == 0
        assert scene.figure(f'l7_server_requests_total{{host="*",server="{scene.a.address}"}}') == requests
        scene.proxy.wait_for(lambda: scene.ask().body == b"a", "a request at it")
        assert Counter(scene.ask().body for _ in range(20)) == {b"a": 10, b"b": 10}


def test_a_unix_socket_is_knocked_at_too() -> None:
    """By the monitor, or by the request itself where the monitor does not run yet."""
    with (
        TemporaryDirectory(prefix="l7-unix-") as directory,
        play("", f"servers: ['unix:{directory}/app.sock'], retry-for: 60s") as scene,
    ):
        client = scene.begin("/")
        scene.wait_for_waiting(1)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{directory}/app.sock")
            listener.listen()
            listener.settimeout(TIMEOUT)
            received = b""
            while not received:  # a knock says nothing
                connection, _ = listener.accept()
                with connection, contextlib.suppress(ConnectionResetError):
                    received = connection.recv(65536)
                    if received:
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nu")
        assert client.read_response().body == b"u"


def test_without_a_monitor_a_request_knocks() -> None:
    """The monitor is stopped, not dead: nobody puts another one into its place so soon."""
    with play("-", "retry-for: 60s, servers: [$a]") as scene:
        pid = scene.proxy.control()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            client = scene.begin("/")
            scene.a.start()
            assert client.read_response().status == 200
        finally:
            os.kill(pid, signal.SIGCONT)


# -------------------------------------------------------------------------------------------------------- waiting


@pytest.mark.parametrize("settings", ["", "health: {}, ", "ejection: off, "])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_rolling_restart_loses_nothing(settings: str, workers: int) -> None:
    with play("++", settings + "servers: [$a, $b]", workers) as scene, Visitors(scene.proxy.address) as visitors:
        seen = 0
        for app, other in ((scene.a, scene.b), (scene.b, scene.a)):
            scene.proxy.wait_for(lambda: len(visitors.outcomes) > seen + 100, "traffic")  # noqa: B023
            app.stop()
            seen = len(other.seen)
            scene.proxy.wait_for(lambda: len(other.seen) > seen + 100, "traffic at the other one")  # noqa: B023
            app.start()
            before = len(app.seen)
            scene.proxy.wait_for(lambda: len(app.seen) > before, "it is used again")  # noqa: B023
            seen = len(visitors.outcomes)
    # What a server was at as it was stopped, without a word, is lost where it may not be sent again: at most one each.
    assert sum(status != 200 for status, _ in visitors.outcomes) <= 6
    assert max(took for _, took in visitors.outcomes) < 10


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_not_sent_waits_for_the_server_to_come_back(method: str) -> None:
    with play("-", "retry-for: 30s, servers: [$a]") as scene:
        client = scene.begin("/", method)
        scene.wait_for_waiting(1)
        scene.a.start()
        answer = client.read_response()
        assert (answer.status, answer.body) == (200, b"a")
        found = scene.proxy.wait_for_output(r'"\w+ / HTTP/1\.1" 200 1 .* (\d+)/\d+/\d+/(\d+) \d+ [03] "-" --$')
        assert 0 < int(found[1]) <= int(found[2]), "the time it waited is time in the queue"
        assert scene.figure('l7_retry_waits_total{host="*"}') == 1
        assert scene.a.seen == ["/"]


def test_after_its_time_it_is_what_it_was() -> None:
    with play("-", "retry-for: 300ms, servers: [$a]") as scene:
        began = time.monotonic()
        assert scene.ask().status == 502
        assert 0.25 <= time.monotonic() - began < 10
        scene.proxy.wait_for_output(r'" 502 .* SC$')
        assert scene.waiting() == 0


def test_where_nothing_can_be_used_the_answer_says_when_to_come_back() -> None:
    with play("+", "retry-for: 200ms, servers: [{address: $a, weight: 0}]") as scene:
        answer = scene.ask()
        assert (answer.status, answer.header(b"retry-after")) == (503, b"1")


def test_it_can_be_off() -> None:
    with play("-", "retry-for: 0s, servers: [$a]") as scene:
        for _ in range(5):
            assert scene.ask().status == 502
        assert scene.figure('l7_retry_waits_total{host="*"}') == 0


def test_the_total_holds_for_it() -> None:
    with play("-", "retry-for: 1h, timeouts: {total: 300ms}, servers: [$a]") as scene:
        assert scene.ask().status in (502, 504)


def test_first_come_first_served() -> None:
    with play("-", "retry-for: 60s, servers: [$a]") as scene:
        clients = []
        for number in range(12):
            clients.append(scene.begin(f"/{number}"))
            scene.wait_for_waiting(number + 1)
        scene.a.start()
        assert [client.read_response().status for client in clients] == [200] * 12
        order = [int(target[1:]) for target in scene.a.seen]
        # Several are on their way at a time: who is next is exact, who arrives first is not.
        assert order[0] == 0
        assert all(abs(place - number) <= 8 for place, number in enumerate(order))


def test_a_client_that_leaves_costs_the_server_nothing() -> None:
    with play("-", "retry-for: 60s, servers: [$a]") as scene:
        first, second = scene.begin("/first"), scene.begin("/second")
        scene.wait_for_waiting(2)
        first.close()
        scene.wait_for_waiting(1)
        scene.proxy.wait_for_output(r'"GET /first HTTP/1\.1" 499 .* CQ$')
        scene.a.start()
        assert second.read_response().status == 200
        assert scene.a.seen == ["/second"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thousand_wait_and_all_are_served(workers: int) -> None:
    with play("--", "retry-for: 100s, servers: [$a, $b]", workers) as scene, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(scene.proxy.address)) for _ in range(250)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        scene.wait_for_waiting(250)
        attempts = scene.figure(f'l7_upstream_errors_total{{host="*",server="{scene.a.address}",reason="connect"}}')
        assert attempts <= 400, "each tries once, and now and then one does for all"
        scene.a.start()
        assert [client.read_response().status for client in clients] == [200] * 250
        assert scene.waiting() == 0


def test_a_connection_that_dies_at_once_again_and_again() -> None:
    """It took what it was sent, so only what does no harm is sent elsewhere: nothing waits, nothing hangs."""
    with play("++", "retry-for: 30s, servers: [$a, $b]") as scene:

        def die(request: Request) -> None:
            request.connection.reset()

        scene.a._origin.handler = die  # type: ignore[union-attr]
        assert [scene.ask().body for _ in range(20)] == [b"b"] * 20
        scene.proxy.wait_for_event("is ejected for 2s: connection lost")
        scene.b.stop()
        began = time.monotonic()
        assert scene.ask(method="POST").status == 502
        assert time.monotonic() - began < 20


def test_what_waits_is_seen() -> None:
    with play("-", "retry-for: 60s, servers: [$a]") as scene:
        client = scene.begin("/")
        scene.wait_for_waiting(1)
        status = get(scene.admin, "/status").json
        assert [server["why"] for server in status["servers"]] == ["takes no connections; knocked at every 100ms"]
        scene.a.start()
        assert client.read_response().status == 200
