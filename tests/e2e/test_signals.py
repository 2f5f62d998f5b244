"""What each signal to the master does, seen from outside."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from tests.harness.client import TIMEOUT, Client, get
from tests.harness.l7process import CONFIG, ROOT, WORKER, L7Process
from tests.harness.load import Gate, in_flight, load_without_loss
from tests.harness.origin import Origin, routes


def refused(proxy: L7Process) -> bool:
    """Whether nobody listens any more."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(proxy.address) == errno.ECONNREFUSED


def dumps(proxy: L7Process) -> list[list[str]]:
    """The dumps so far, each as its lines without the markers."""
    found: list[list[str]] = []
    inside = False
    for line in list(proxy.output):
        if line == "---":
            assert not inside, "a dump within a dump"
            found.append([])
            inside = True
        elif line == "...":
            inside = False
        elif inside:
            found[-1].append(line)
    return found[:-1] if inside else found


def one_dump(proxy: L7Process) -> list[str]:
    start = len(dumps(proxy))
    proxy.usr1()
    proxy.wait_for(lambda: len(dumps(proxy)) > start, "the dump")
    return dumps(proxy)[start]


# --- USR1 -------------------------------------------------------------------------------------------------------------


def test_usr1_prints_what_is_in_use_and_every_worker(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    lines = one_dump(proxy)
    workers = [line for line in lines if line.startswith("# worker")]
    assert len(workers) == 2
    for pid in proxy.workers():
        (line,) = [line for line in workers if f"pid {pid}," in line]
        assert "generation 1" in line
        assert "requests in flight 0" in line
        assert "digest " in line
        assert "age " in line
    loaded = yaml.safe_load("\n".join(lines))
    assert loaded["workers"] == 2
    assert any(line.startswith("workers: 2  # --workers") for line in lines)
    assert any("# config.yml:" in line or f"# {proxy.config_path}:" in line for line in lines)


def test_usr1_shows_no_password_and_loads_back(l7, origin):
    proxy = l7(f"backends: {{'*': {{servers: ['{origin().address}']}}}}\nusers: {{admin: seCret77}}\n")
    lines = one_dump(proxy)
    assert not any("seCret77" in line for line in [*lines, *proxy.events])
    proxy.write_config("\n".join(lines))
    proxy.hup()
    proxy.wait_for_event("reload.done")


def test_usr1_counts_requests_in_flight_and_tells_of_a_worker_that_hangs(l7, origin):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address))

    def shown(words: str) -> bool:
        return any(f"pid {worker}," in line and words in line for line in one_dump(proxy))

    with in_flight(proxy, gate):
        (worker,) = proxy.workers()
        proxy.wait_for(lambda: shown("requests in flight 1, connections 1, ready"), "its count")
        os.kill(worker, signal.SIGSTOP)
        try:
            proxy.wait_for(lambda: shown("no heartbeat for"), "what is to be said of one that hangs")
        finally:
            os.kill(worker, signal.SIGCONT)


def test_dumps_are_whole_while_the_access_log_writes_between_them(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    done = threading.Event()

    def load() -> None:
        with Client(proxy.address) as client:
            while not done.is_set():
                client.send(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 500) * 20)
                client.read_responses([b"GET"] * 20)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            loaded = yaml.safe_load("\n".join(one_dump(proxy)))
            assert loaded["backends"]["*"]["servers"]
    finally:
        done.set()
        for thread in threads:
            thread.join(TIMEOUT)
    assert all("GET /x" not in line for dump in dumps(proxy) for line in dump)


def test_dumps_between_the_lines_of_a_busy_access_log(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    with load_without_loss(proxy) as load:
        for _ in range(8):
            start = len(proxy.output)
            proxy.usr1()
            proxy.wait_for_output(r"^\.\.\.$", start=start)
            load.more(20)
    proxy.stop()
    text = "\n".join(proxy.output) + "\n"
    dumps = re.findall(r"^---\n(.*?)^\.\.\.\n", text, re.DOTALL | re.MULTILINE)
    assert len(dumps) == 8
    for dump in dumps:
        assert yaml.safe_load(dump) == yaml.safe_load(dumps[0])
        assert len(re.findall(r"^# worker \d+: pid \d+, generation 1, ", dump, re.MULTILINE)) == 2
    rest = re.sub(r"^---\n.*?^\.\.\.\n", "", text, flags=re.DOTALL | re.MULTILINE).splitlines()
    assert all(re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "GET / HTTP/1\.1" 200 .* --', line) for line in rest)
    assert len(rest) == load.good


# --- TERM, INT, QUIT --------------------------------------------------------------------------------------------------


def test_term_finishes_the_request_in_flight_and_refuses_new_connections(l7, origin):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address), workers=2)
    with in_flight(proxy, gate) as client:
        proxy.term()
        proxy.wait_for(lambda: refused(proxy), "the listener's end")
        assert proxy.process.poll() is None
        gate.opened.set()
        answer = client.read_response()
        assert (answer.status, answer.body) == (200, b"late")
    assert proxy.wait() == 0
    proxy.assert_nothing_left()


def test_term_closes_idle_connections_at_once(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "graceful-timeout: 10m\n")
    with Client(proxy.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().status == 200
        proxy.term()
        assert proxy.wait() == 0
        assert client.read_until_closed() == b""


def test_a_request_that_is_on_its_way_when_l7_stops_is_served(l7, origin):
    proxy = l7(CONFIG.format(origin().address), leaks=False)

    def is_served() -> bool:
        proxy.wait_for(lambda: len(proxy.workers()) == 1, "one worker")
        (worker,) = proxy.workers()
        with Client(proxy.address) as client:
            proxy.wait_for(lambda: len(psutil.Process(worker).net_connections("tcp")) > 1, "its acceptance")
            os.kill(worker, signal.SIGTERM)
            time.sleep(0.02)  # it has heard of it; the request comes a moment later
            try:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                answer = client.read_response()
            except (OSError, AssertionError):
                return False
            finally:
                proxy.wait_for(lambda: worker not in proxy.workers(), "its end")
        return answer.status == 200 and answer.closes

    assert any(is_served() for _ in range(20)), "a slow machine may be too late, but not each time"


def test_term_waits_no_longer_than_the_graceful_timeout(l7, origin):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address) + "graceful-timeout: 500ms\n")
    with in_flight(proxy, gate):
        begin = time.monotonic()
        proxy.term()
        assert proxy.wait() == 0
        assert 0.3 < time.monotonic() - begin < 8, "not the 8 s of the default"
    proxy.assert_nothing_left()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_second_signal_makes_a_graceful_stop_quick(l7, origin, second):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address) + "graceful-timeout: 10m\n")
    with in_flight(proxy, gate):
        proxy.term()
        proxy.wait_for(lambda: refused(proxy), "the listener's end")
        time.sleep(0.25)  # what comes sooner is taken for the first signal's echo
        proxy.signal(second)
        assert proxy.wait() == 0
    proxy.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_stop_at_once(l7, origin, number):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address) + "graceful-timeout: 10m\n", workers=2)
    with in_flight(proxy, gate):
        proxy.signal(number)
        assert proxy.wait() == 0
    proxy.assert_nothing_left()


def test_a_signal_to_the_whole_group_is_the_masters_business(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    before = proxy.workers()
    for number in (signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU):
        os.killpg(proxy.pid, number)
    proxy.wait_for(lambda: dumps(proxy), "the dump")
    proxy.wait_for(lambda: set(before) <= set(proxy.workers()), "the same workers")
    os.killpg(proxy.pid, signal.SIGINT)
    assert proxy.wait() == 0


# --- TTIN, TTOU -------------------------------------------------------------------------------------------------------


def test_ttin_and_ttou_change_the_number_of_workers_which_never_is_zero(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=1)
    proxy.signal(signal.SIGTTIN)
    proxy.wait_for(lambda: len(proxy.workers()) == 2, "two workers")
    proxy.hup()
    proxy.wait_for_event("reload.done")
    proxy.wait_for(lambda: len(proxy.workers()) == 2, "two workers after a reload")
    proxy.signal(signal.SIGTTOU)
    proxy.wait_for(lambda: len(proxy.workers()) == 1, "one worker")
    proxy.signal(signal.SIGTTOU)
    proxy.wait_for_event("the last worker stays")
    assert len(proxy.workers()) == 1
    assert get(proxy.address).status == 200


def test_process_titles(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    assert psutil.Process(proxy.pid).cmdline()[0] == f"l7: master ({proxy.config_path})"
    titles = sorted(psutil.Process(pid).cmdline()[0] for pid in proxy.workers())
    assert titles == ["l7: worker 1 (generation 1)", "l7: worker 2 (generation 1)"]


# --- outputs that nobody reads ----------------------------------------------------------------------------------------


@pytest.fixture
def deaf(tmp_path: Path, origin: Callable[..., Origin]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start l7 on ``tmp_path/l7.sock`` with given descriptors as its outputs."""
    started: list[subprocess.Popen[bytes]] = []
    path = tmp_path / "l7.sock"

    def start(stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        words = [
            sys.executable,
            "-m",
            "l7",
            "--bind",
            f"unix:{path}",
            "--workers",
            "1",
            f"localhost={origin(routes).address}",
        ]
        if os.geteuid() == 0:
            words += ["--run-as", "root"]
        started.append(
            subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=ROOT, start_new_session=True
            )
        )
        wait_until(lambda: path.exists() and worker_pids(started[0]))
        return started[0]

    yield start
    for process in started:
        for member in psutil.Process(process.pid).children() if process.poll() is None else []:
            member.kill()
        process.kill()
        process.wait()


def worker_pids(process: subprocess.Popen[bytes], title: str = WORKER) -> list[int]:
    """The workers of a master; it has other children, too, of which one ends when the configuration is read."""
    found = []
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.NoSuchProcess):
            found += [child.pid] if "".join(child.cmdline()[:1]).startswith(title) else []
    return found


def wait_until(condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_closed_outputs_do_not_end_it(deaf, tmp_path):
    read, write = os.pipe()
    os.close(read)
    process = deaf(write, write)
    os.close(write)
    (first,) = worker_pids(process)
    os.kill(process.pid, signal.SIGUSR1)
    os.kill(process.pid, signal.SIGHUP)
    wait_until(lambda: first not in worker_pids(process))
    assert get(str(tmp_path / "l7.sock")).status == 200
    process.terminate()
    assert process.wait(TIMEOUT) == 0


def test_a_stalled_output_does_not_hold_it_up(deaf, tmp_path):
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)
    process = deaf(write, write)
    os.close(write)
    os.kill(process.pid, signal.SIGUSR1)
    wait_until(lambda: worker_pids(process, "l7: dump"))
    assert get(str(tmp_path / "l7.sock")).status == 200
    (first,) = worker_pids(process)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: worker_pids(process) not in ([first], []))
    assert worker_pids(process, "l7: dump"), "who waits for a reader is another process than who starts workers"
    begin = time.monotonic()
    process.terminate()
    assert process.wait(TIMEOUT) == 0
    assert time.monotonic() - begin < 7, "a dump that nobody reads holds up nobody who stops"
    os.close(read)
