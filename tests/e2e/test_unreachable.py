"""Servers that cannot be reached: whose fault that is, who is told why, and that a full queue is waited for.

Peers: nginx and HAProxy write the system's words into their error log and status, and answer 502 or 503 without them;
Caddy has them in its log. All three take EADDRNOTAVAIL for a failure of the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.harness import TIMEOUT
from tests.harness.client import Client, get
from tests.harness.l7process import STATUS, L7Process
from tests.harness.network import alone
from tests.harness.origin import Origin, Reply, Request

L7 = Callable[..., L7Process]
Origins = Callable[..., Origin]

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def config(*servers: str, more: str = "", top: str = "") -> str:
    listed = ", ".join(f"'{one}'" for one in servers)
    return f"log-level: debug\n{top}\nbackends: {{'*': {{servers: [{listed}], {more}}}}}"


# ------------------------------------------------------------------------------------------------ why


@pytest.fixture
def directory() -> Iterator[Path]:
    """One that every account can come to."""
    with tempfile.TemporaryDirectory(prefix="l7-") as path:
        os.chmod(path, 0o755)
        yield Path(path)


@contextlib.contextmanager
def no_file(directory: Path) -> Iterator[str]:
    yield f"unix:{directory}/none.sock"


@contextlib.contextmanager
def forbidden(directory: Path) -> Iterator[str]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(directory / "app.sock"))
        sock.listen()
        (directory / "app.sock").chmod(0)
        yield f"unix:{directory}/app.sock"


@contextlib.contextmanager
def datagrams(directory: Path) -> Iterator[str]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(directory / "datagrams.sock"))
        (directory / "datagrams.sock").chmod(0o666)
        yield f"unix:{directory}/datagrams.sock"


@contextlib.contextmanager
def nobody_there(directory: Path) -> Iterator[str]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def no_way(directory: Path) -> Iterator[str]:
    yield "224.0.0.1:80"  # a connection is with one, and this is many


REASONS = [
    (no_file, "connect: no such file or directory"),
    (forbidden, "connect: permission denied"),
    (datagrams, "connect: protocol wrong type for socket"),
    (nobody_there, "connect refused"),
    (no_way, "connect: network is unreachable"),
]


def test_why_a_server_cannot_be_reached_is_told_to_who_runs_l7(l7: L7, directory: Path) -> None:
    """In the log, the status and the events; the client hears what kind of failure it is, and of no path."""
    with contextlib.ExitStack() as stack:
        addresses = {there.__name__: stack.enter_context(there(directory)) for there, _ in REASONS}
        backends = ", ".join(f"{name}: {{servers: ['{address}']}}" for name, address in addresses.items())
        text = f"log-level: debug\naccess-log-format: json\ndefaults: {{retry-for: 0s}}\nbackends: {{{backends}}}"
        proxy = l7(text, run_as="nobody", argv=["--control", STATUS])
        for (name, address), (_, why) in zip(addresses.items(), REASONS, strict=True):
            start = len(proxy.output)
            answer = get(proxy.port, host=name)
            assert answer.status == 502 and answer.body.splitlines()[1] == b"reason: connection refused"
            assert b".sock" not in answer.body
            line = json.loads(proxy.wait_for_output('"status": 502', start=start).string)
            assert (line["reason"], line["termination"]) == (why, "SC")
            proxy.wait_for_event(rf"debug .*: {name}: server {address}: {why}$")
            (server,) = [one for one in proxy.status()["servers"] if one["backend"] == name]
            assert server["last-error"]["what"] == why and 0 <= server["last-error"]["ago"] < TIMEOUT
            assert server["state"] == "up"  # the only one is not ejected


def test_the_event_of_an_ejection_and_the_checks_say_why(l7: L7, origin: Origins, tmp_path: Path) -> None:
    app = origin()
    proxy = l7(config(app.address, f"unix:{tmp_path}/none.sock"))
    for _ in range(8):
        assert get(proxy.port).status == 200
    proxy.wait_for_event("none.sock is ejected .*: connect: no such file or directory ×3$")
    checked = l7(config(f"unix:{tmp_path}/none.sock", more="health: {interval: 50ms}"))
    checked.wait_for_event("none.sock is down: connect: no such file or directory$")


def test_a_reset_connection_is_told_apart_from_one_that_was_closed(l7: L7, origin: Origins) -> None:
    def script(request: Request) -> None:
        if request.target == b"/reset":
            request.connection.reset()
        else:
            request.connection.close()

    proxy = l7(config(origin(script).address), argv=["--control", STATUS])
    assert get(proxy.port, "/closed").status == 502
    proxy.wait_for_output(r'"GET /closed .* "closed before the response head: closed without an answer" SH$')
    assert get(proxy.port, "/reset").status == 502
    proxy.wait_for_output(r'"GET /reset .* "closed before the response head: connection reset by peer" SH$')
    assert proxy.status()["servers"][0]["last-error"]["what"] == "connection lost: connection reset by peer"


def test_a_name_that_cannot_be_resolved_is_told_like_what_the_system_says(l7: L7) -> None:
    proxy = l7(config("no-such-host.invalid:80", top="access-log-format: json"), argv=["--control", STATUS])
    assert get(proxy.port).body.splitlines()[1] == b"reason: connection refused"
    line = json.loads(proxy.wait_for_output('"status": 502').string)
    assert line["reason"].startswith("the name cannot be resolved: ")
    (server,) = proxy.status()["servers"]
    assert server["last-error"]["what"] == "the name cannot be resolved"


def test_combined_stays_nginx_and_a_good_line_has_a_dash(l7: L7, origin: Origins, tmp_path: Path) -> None:
    proxy = l7(config(origin().address, more="retries: 0"))
    assert get(proxy.port).status == 200
    proxy.wait_for_output(r'" 200 .* 1 0 "-" --$')
    other = l7(config(f"unix:{tmp_path}/none.sock", top="access-log-format: combined"))
    assert get(other.port, "/x").status == 502
    other.wait_for_output(r'^127\.0\.0\.1 - - \[.*\] "GET /x HTTP/1\.1" 502 \d+ "-" "[^"]*"$')


# ------------------------------------------------------------------------------------------------ our own lack


NARROW = {"ipv4/ip_local_port_range": "40000 40009"}


@contextlib.contextmanager
def exhausting(address: str, app: Origin) -> Iterator[tuple[list[Client], threading.Event]]:
    """Requests that a server has and answers only at the event, as many as there are local ports for."""
    done = threading.Event()

    def script(request: Request) -> Reply:
        done.wait(TIMEOUT)
        return Reply(200)

    app.handler = script
    with contextlib.ExitStack() as stack:
        clients: list[Client] = []
        stack.callback(done.set)
        for count in range(1, 8):  # some ports are those of servers, or of health checks
            clients.append(stack.enter_context(Client(address)))
            clients[-1].send(GET)
            app.wait_for(count)
        for _ in range(5):
            clients.append(stack.enter_context(Client(address)))
            clients[-1].send(GET)
        yield clients, done


def test_no_local_port_is_our_own_lack_and_nobody_is_blamed(l7: L7, origin: Origins, tmp_path: Path) -> None:
    def test() -> None:
        app = origin()
        listening = f"{tmp_path}/l7.sock"
        text = config(app.address, more="health: {interval: 200ms}")
        proxy = l7(text, argv=["--control", STATUS, "--bind", f"unix:{listening}"], inherit=False)
        with exhausting(listening, app) as (clients, done), Client(listening) as late:
            for _ in range(5):  # more than it takes to be ejected
                late.send(GET)
                answer = late.read_response()
                assert answer.status == 503 and answer.header(b"retry-after")
                assert answer.body.splitlines()[1] == b"reason: out of resources: no local port left"
            proxy.wait_for_output(r'" 503 .* "out of resources: no local port left" RC$')
            proxy.wait_for_event("health checks are left out: no descriptors, ports or memory")
            (server,) = proxy.status()["servers"]
            assert (server["state"], server["why"]) == ("up", "")
            assert server["last-error"]["what"] == "out of resources: no local port left"
            done.set()
            assert {client.read_response().status for client in clients} <= {200, 503}
            late.send(GET)
            assert late.read_response().status == 200
        assert not any("ejected" in line or "is down" in line for line in proxy.events)
        proxy.stop()
        app.close()

    alone(test, NARROW)


def test_without_a_port_for_one_server_another_one_is_asked(l7: L7, origin: Origins, tmp_path: Path) -> None:
    """Ports run out for one address at a time."""

    def test() -> None:
        app, other = origin(), origin(host="127.0.0.2")
        listening = f"{tmp_path}/l7.sock"
        text = config(app.address, other.address, more="balance: first")
        proxy = l7(text, argv=["--bind", f"unix:{listening}"], inherit=False)
        with exhausting(listening, app) as (clients, done), Client(listening) as late:
            for _ in range(5):
                late.send(GET)
                assert late.read_response().status == 200
            assert len(other.requests) >= 5
            done.set()
            assert {client.read_response().status for client in clients} == {200}
        assert not any("ejected" in line for line in proxy.events)
        proxy.stop()
        app.close()
        other.close()

    alone(test, NARROW)


def test_an_address_that_no_local_one_can_reach_is_no_lack_of_ours(l7: L7, origin: Origins) -> None:
    """The system says the same: ``::1`` where IPv6 is off, as in many a container whose ``localhost`` has both."""

    def test() -> None:
        app = origin()
        proxy = l7(config("[::1]:9", app.address))
        for _ in range(8):
            assert get(proxy.port).status == 200
        proxy.wait_for_event(r"server \[::1\]:9 is ejected .*: connect: cannot assign requested address ×3$")
        proxy.stop()
        app.close()

    alone(test, {"ipv6/conf/all/disable_ipv6": "1"})


# ------------------------------------------------------------------------------------------------ a full queue


@contextlib.contextmanager
def full(path: Path) -> Iterator[socket.socket]:
    """A unix server whose queue is full, until somebody accepts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(path))
        yield listener


def test_a_unix_server_whose_queue_is_full_is_waited_for(l7: L7, tmp_path: Path) -> None:
    """As it is with TCP, where the kernel does the waiting; without a loop that spins."""
    with full(tmp_path / "app.sock") as listener:
        proxy = l7(config(f"unix:{tmp_path}/app.sock", more="retries: 0"))
        worker = psutil.Process(proxy.workers()[0])
        with Client(proxy.port) as client:
            begun = sum(worker.cpu_times()[:2])
            client.send(GET)
            client.pump(1.0)
            assert not client.unread and sum(worker.cpu_times()[:2]) - begun < 0.3
            with answering(listener):
                assert client.read_response().status == 200


@contextlib.contextmanager
def answering(listener: socket.socket) -> Iterator[None]:
    """Somebody accepts, and answers everything that is asked."""

    def accept() -> None:
        while not done.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                sock, _ = listener.accept()
                threads.append(threading.Thread(target=answer, args=(sock,)))
                threads[-1].start()

    def answer(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.settimeout(0.5)
            if sock.recv(65536):
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    done = threading.Event()
    listener.settimeout(0.1)
    threads = [threading.Thread(target=accept)]
    threads[0].start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_queue_that_stays_full_is_a_connect_that_timed_out(l7: L7, tmp_path: Path) -> None:
    with full(tmp_path / "app.sock"):
        text = config(f"unix:{tmp_path}/app.sock", more="timeouts: {connect: 300ms}")
        proxy = l7(text, argv=["--control", STATUS])
        begun = time.monotonic()
        answer = get(proxy.port)
        assert answer.status == 504 and time.monotonic() - begun >= 0.3
        assert answer.body.splitlines()[1] == b"reason: connect timed out"
        proxy.wait_for_output(r'" 504 .* "connect timed out: its queue was full for 0\.3 s" sC$')
        assert proxy.status()["servers"][0]["last-error"]["what"] == "connect timed out: its queue is full"


def test_checks_wait_for_a_full_queue_as_requests_do(l7: L7, tmp_path: Path) -> None:
    with full(tmp_path / "app.sock") as listener:
        path = tmp_path / "app.sock"
        proxy = l7(config(f"unix:{path}", more="health: {interval: 50ms, timeout: 500ms, path: /}"))
        proxy.wait_for_event("app.sock is down: connect: its queue is full$")
        with answering(listener):
            proxy.wait_for_event("app.sock is up: checks passed")
