"""`l7 demo`: three servers of its own and the real proxy in front of them; nothing of it outlives it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from l7.commands.demo import PORT, settings
from tests.harness.client import TIMEOUT, Client, get, request
from tests.harness.environment import SERVICE
from tests.harness.l7process import L7Process
from tests.harness.tls import TlsClient, issue


class Demo:
    """A running demo and the servers that it printed."""

    def __init__(self, *options: str, run_as: str | None = "root") -> None:
        self.l7 = L7Process(argv=["demo", *options], inherit=False, run_as=run_as)
        self.l7.wait_for_output("Ctrl-C")
        found = re.findall(r"^server (\w+) +on 127\.0\.0\.1:\d+, pid (\d+)$", "\n".join(self.l7.output), re.MULTILINE)
        self.servers = {name: psutil.Process(int(pid)) for name, pid in found}
        assert len(self.servers) == 3

    def wait_until_gone(self) -> None:
        deadline = time.monotonic() + TIMEOUT
        while left := [name for name, server in self.servers.items() if not ended(server)]:
            assert time.monotonic() < deadline, f"left behind: {left}"
            time.sleep(0.01)
        self.l7.assert_nothing_left()


def ended(process: psutil.Process) -> bool:
    """Whether a process has ended, also when its parent has not noticed yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextlib.contextmanager
def running() -> Iterator[Demo]:
    started = Demo()
    try:
        yield started
    finally:
        started.l7.kill()
    started.wait_until_gone()


@pytest.fixture
def demo() -> Iterator[Demo]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def shared() -> Iterator[Demo]:
    """One for the tests that only ask it."""
    with running() as started:
        yield started


def names(port: int, count: int, host: str = "localhost") -> list[str]:
    answers = [get(port, "/", host=host) for _ in range(count)]
    assert {answer.status for answer in answers} == {200}
    return [answer.body.decode().split("\n")[0].removeprefix("Hello from ").rstrip(".") for answer in answers]


def test_three_servers_take_turns(shared: Demo) -> None:
    assert sorted(names(shared.l7.port, 6)) == ["one", "one", "three", "three", "two", "two"]
    assert set(names(shared.l7.port, 3, host="127.0.0.1")) == {"one", "two", "three"}


def test_answer_shows_the_request(shared: Demo) -> None:
    text = get(shared.l7.port, "/a/path?x=1").body.decode()
    assert "\nGET /a/path?x=1 HTTP/1.1\n" in text
    assert "\nX-Forwarded-For: 127.0.0.1\n" in text


def certificate_of(demo: Demo) -> Path:
    """The file of the certificate that the demo has printed."""
    return Path(demo.l7.wait_for_output(r"curl --cacert (\S+) https://localhost:").group(1))


def test_https_with_a_certificate_of_its_own_and_a_reload_that_keeps_the_servers(demo: Demo) -> None:
    file = certificate_of(demo)
    context = ssl.create_default_context(cafile=str(file))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    start = len(demo.l7.events)
    demo.l7.hup()
    demo.l7.wait_for_event("reload.done", generation=2, start=start)
    assert set(names(demo.l7.port, 6)) == {"one", "two", "three"}
    assert all(server.is_running() for server in demo.servers.values())
    with TlsClient(("127.0.0.1", demo.l7.ports()[1]), context=context) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"\nX-Forwarded-Proto: https\n" in client.read_response().body
    assert file.with_name("localhost.key").stat().st_mode & 0o777 == 0o600
    demo.l7.stop()
    assert not file.parent.exists()


def test_whoever_has_a_certificate_is_told_of_https(tmp_path: Path) -> None:
    file = tmp_path / "own.pem"
    leaf = issue("localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(file))
    with L7Process(argv=["demo", "--tls-cert", str(file)], inherit=False) as proxy:
        proxy.wait_for_output("^    curl -k https://localhost:")
        assert "http://" not in "\n".join(proxy.output)


def test_whoever_has_a_file_gets_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "own.yml"
    file.write_text("via: false\n")
    with L7Process(argv=["demo", "--config", str(file)], inherit=False) as proxy:
        proxy.wait_for_output("Ctrl-C")
        assert "--cacert" not in "\n".join(proxy.output)
        assert len(proxy.ports()) == 1 and names(proxy.port, 1)


def test_bodies(shared: Demo) -> None:
    port = shared.l7.port
    assert len(get(port, "/big?bytes=300000").body) == 300_000
    assert "\n5 bytes of body\n" in request(port, "PUT", "/up", body=b"hello").body.decode()
    with Client(port) as client:
        client.send(b"POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        assert b"\n5 bytes of body\n" in client.read_response(b"POST").body
        client.send(b"HEAD /big?bytes=300000 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_response(b"HEAD").values(b"content-length") == [b"300000"]
        client.send(b"GET /slow?seconds=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read_response().status == 200


def test_stream_passes_at_once(shared: Demo) -> None:
    with Client(shared.l7.port) as client:
        client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        head = client.read_head()
        assert head.values(b"content-type") == [b"text/event-stream"]
        while b"data: 0 from" not in client.unread:
            client.pump(0.05)
            assert not client.end


def test_a_server_that_dies_is_not_missed(demo: Demo) -> None:
    demo.servers["two"].terminate()
    demo.l7.wait_for(lambda: ended(demo.servers["two"]), "the end of a server")
    assert set(names(demo.l7.port, 6)) == {"one", "three"}
    demo.l7.wait_for_ended(demo.servers["two"].pid)  # the master reaps whatever child it has
    demo.l7.stop()


def test_the_port_of_a_service_called_l7_is_not_that_of_the_demo() -> None:
    assert settings(SERVICE) == {**SERVICE, "L7_PORT": PORT}
    assert settings({"L7_PORT": "8081"}) == {"L7_PORT": "8081"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_nothing_outlives_a_stop(demo: Demo, number: int) -> None:
    demo.l7.signal(number)
    assert demo.l7.wait() == 0
    demo.wait_until_gone()
    assert "Traceback" not in demo.l7.transcript()


def test_ctrl_c_reaches_the_whole_terminal_and_leaves_nothing(demo: Demo) -> None:
    os.killpg(demo.l7.pid, signal.SIGINT)
    assert demo.l7.wait() == 0
    demo.wait_until_gone()
    assert "Traceback" not in demo.l7.transcript()


def test_nothing_outlives_kill_9(demo: Demo) -> None:
    file = certificate_of(demo)
    demo.l7.signal(signal.SIGKILL)
    demo.wait_until_gone()
    assert not file.parent.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")
def test_root_is_given_up_by_all() -> None:
    demo = Demo(run_as=None)
    try:
        pids = {*demo.l7.workers(), demo.l7.pid, *(process.pid for process in demo.servers.values())}
        assert len(pids) == 5, "one worker, the master, three servers"
        assert all(psutil.Process(pid).uids().effective for pid in pids)
        assert set(names(demo.l7.port, 3)) == {"one", "two", "three"}
        demo.l7.hup()  # the account of l7 reads the key
        demo.l7.wait_for_event("reload.done", generation=2)
        demo.l7.stop()
        demo.wait_until_gone()
    finally:
        demo.l7.kill()


def test_a_taken_port_is_said_clearly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = L7Process(argv=["demo", "--port", str(port)], inherit=False, ready=None)
        try:
            assert process.wait() == 1
            process.assert_nothing_left()
            (awaited,) = [number for number, line in enumerate(process.events) if "address.awaited" in line]
            assert f"port {port}: " in "\n".join(process.events[awaited + 1 :])
            assert "Traceback" not in process.transcript()
        finally:
            process.kill()


def test_a_bad_option_is_said_clearly() -> None:
    process = L7Process(argv=["demo", "--port", "x"], inherit=False, ready=None)
    try:
        assert process.wait() == 2
        assert "--port" in "\n".join(process.events)
        assert "Traceback" not in process.transcript()
    finally:
        process.kill()
