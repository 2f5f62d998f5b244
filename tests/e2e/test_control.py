"""``l7 reload``, ``l7 reload --dry-run`` and ``l7 status`` against the real l7, and the socket that they talk over."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from l7 import __version__
from tests.harness.accounts import NOBODY, root_only
from tests.harness.client import TIMEOUT, Client, get
from tests.harness.l7process import CONFIG, ROOT, L7Process
from tests.harness.lifecycle import canary
from tests.harness.load import Gate, in_flight

QUICK = "canary-time: 100ms\n"
PURE = "L7_PURE_PYTHON"
"""The one variable of the suite's own that its commands keep: without the compiled modules."""


@pytest.fixture
def near() -> Iterator[Path]:
    """A directory with a name that is short enough for sockets, and that everybody may enter."""
    path = Path("/tmp") / f"l7c-{os.getpid()}-{random.randrange(10**6)}"
    path.mkdir(mode=0o755)
    yield path
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def run(*words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run the command line to its end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("L7_") or name == PURE}
    done = subprocess.run(
        [sys.executable, "-m", "l7", *words], capture_output=True, text=True, cwd=ROOT, timeout=3 * TIMEOUT,
        env={**clean, **(env or {})}, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def by_file(proxy: L7Process) -> list[str]:
    return ["--config", str(proxy.config_path)]


# --- reload -----------------------------------------------------------------------------------------------------------


def test_a_reload_is_waited_for_and_summed_up(l7, origin):
    one, two = origin(), origin()
    proxy = l7(CONFIG.format(one.address) + QUICK, workers=2)
    with Client(proxy.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_response()
        proxy.write_config(CONFIG.format(two.address) + QUICK)
        code, out, err = run("reload", *by_file(proxy))
        assert (code, err) == (0, "")
        first, *changes = out.splitlines()
        assert re.fullmatch(r"reload done: generation 2, \d+\.\d\d s", first)
        assert f"  backends.*: server {two.address} added" in changes
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().status == 200
    assert len(two.requests) == 1


def test_a_refused_reload_is_1_with_the_reasons(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + QUICK)
    proxy.write_config(CONFIG.format("127.0.0.1:9") + "wrokers: 2\n")
    code, out, err = run("reload", *by_file(proxy))
    assert (code, out) == (1, "")
    assert "reload failed, generation 1 serves on" in err
    assert "config.yml:3: wrokers: unknown key; did you mean 'workers'?" in err
    proxy.write_config(CONFIG.format("127.0.0.1:9") + QUICK)
    unreachable = "backends.*: none of its servers can be reached: 127.0.0.1:9: connect refused"
    code, out, err = run("reload", *by_file(proxy))
    assert (code, out) == (1, "")
    assert err == f"reload failed, generation 1 serves on\n  reload refused: {unreachable}; the present ones can\n"
    code, out, err = run("reload", "--force", *by_file(proxy))
    assert (code, err) == (0, f"  warning: {unreachable}\n")
    assert "  backends.*: server 127.0.0.1:9 added" in out.splitlines()


def test_the_socket_is_found_also_when_the_file_is_no_yaml_any_more(l7, origin, near):
    proxy = l7(CONFIG.format(origin().address) + f"control: {near}/c\n" + QUICK)
    proxy.write_config(f"control: '{near}/c'  # here\nbackends: [\n")
    code, _, err = run("reload", *by_file(proxy))
    assert code == 1
    assert "not valid YAML" in err


def test_a_reload_whose_canary_fails_is_1_with_the_reason(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "canary-time: 20s\n", workers=2, leaks=False)
    before = proxy.workers()
    killer = threading.Thread(target=lambda: canary(proxy).kill())
    killer.start()
    code, _, err = run("reload", *by_file(proxy))
    killer.join()
    assert code == 1
    assert "generation 1 serves on" in err
    assert re.search(r"reload failed: (the canary died|worker 1 died young): killed by SIGKILL", err)
    assert proxy.workers() == before


def test_two_who_ask_at_once_are_both_told(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + QUICK)
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(run("reload", *by_file(proxy))[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0, 0, 0]


def test_a_dry_run_tells_and_changes_nothing(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + QUICK)
    assert run("reload", "--dry-run", *by_file(proxy)) == (0, "nothing changed\n", "")
    proxy.write_config(CONFIG.format(origin().address) + QUICK + "graceful-timeout: 3s\n")
    code, out, err = run("reload", "--dry-run", *by_file(proxy))
    assert (code, err) == (0, "")
    assert "graceful-timeout: 8s -> 3s" in out.splitlines()
    proxy.write_config(CONFIG.format(origin().address) + QUICK + "control: /nowhere/c\n")
    code, out, err = run("reload", "--dry-run", "--control", socket_of(proxy))
    assert code == 1
    assert "needs a restart" in err
    assert not any("generation 2" in line for line in proxy.events)


def test_a_dry_run_tries_what_a_reload_would_open_and_bind(l7, origin, near):
    config = CONFIG.format(origin().address) + "bind: 127.0.0.1\n"
    proxy = l7(config + "port: 0\n", inherit=False)
    with socket.socket() as other, socket.socket(socket.AF_UNIX) as live:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        live.bind(f"{near}/live")
        live.listen()
        proxy.write_config(
            config.replace("bind: 127.0.0.1", f"bind: [127.0.0.1, 192.0.2.1, 'unix:{near}/live', 'unix:{near}/no/x']")
            + f"port: {taken}\naccess-log: {near}/nowhere/log\nadmin: 127.0.0.1:{taken}\n"
        )
        code, out, err = run("reload", "--dry-run", *by_file(proxy))
    assert code == 1
    assert "bind: " in out
    in_use = f"port {taken}: address 127.0.0.1 is in use by another program; stop that, or choose another port"
    assert err.splitlines() == [
        f"refused: {in_use}",
        "refused: bind: 192.0.2.1 is not an address of this machine",
        f"refused: bind: unix:{near}/live: in use",
        f"refused: bind: unix:{near}/no/x: no such file or directory",
        f"refused: admin: {in_use}",
        f"refused: access-log: {near}/nowhere/log: no such file or directory",
    ]
    assert get(proxy.address, host="a").status == 200


def test_a_dry_run_leaves_no_trace(l7, origin, near):
    config = CONFIG.format(origin().address) + "port: 0\n"
    proxy = l7(config + "bind: 127.0.0.1\n", inherit=False)
    # An address of its own: on the one that all use, a port that is free may be somebody's the next moment.
    host = ".".join(["127", *(str(random.randrange(1, 255)) for _ in range(3))])
    with socket.socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    more = f"port: {port}\nbind: [{host}, 'unix:{near}/s']\naccess-log: {near}/log"
    proxy.write_config(config.replace("port: 0", more))
    code, _, err = run("reload", "--dry-run", *by_file(proxy))
    assert (code, err) == (0, "")
    assert not list(near.iterdir())
    with socket.socket() as client:
        assert client.connect_ex((host, port)) != 0
    assert run("reload", *by_file(proxy))[0] == 0
    assert get(str(near / "s"), host="a").status == 200
    proxy.stop()


def test_term_ends_the_waiting(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "canary-time: 60s\n")
    stopper = threading.Thread(target=lambda: (proxy.wait_for_event("reload.watched"), proxy.term()))
    stopper.start()
    code, _, err = run("reload", *by_file(proxy))
    stopper.join()
    assert code == 1
    assert "l7 has stopped" in err
    assert proxy.wait() == 0


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_shows_every_worker(l7, origin):
    gate = Gate()
    proxy = l7(CONFIG.format(origin(gate).address), workers=2)
    report: dict[str, Any] = {}

    def counted() -> bool:
        code, out, err = run("status", "--json", *by_file(proxy))
        assert (code, err) == (0, "")
        report.update(json.loads(out))
        return sum(worker["in-flight"] for worker in report["workers"]) == 1

    with in_flight(proxy, gate):
        proxy.wait_for(counted, "the request in flight")
    assert report["pid"] == proxy.pid
    assert report["state"] == "serving"
    configuration = report["configuration"]
    assert configuration["generation"] == 1
    assert configuration["file"] == str(proxy.config_path)
    assert configuration["on-disk"] == "same"
    assert re.fullmatch(r"[0-9a-f]{12}", configuration["digest"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", configuration["loaded"])
    assert report["last-reload"] is None
    workers = report["workers"]
    assert sorted(worker["pid"] for worker in workers) == proxy.workers()
    assert sum(worker["connections"] for worker in workers) == 1
    for worker in workers:
        assert worker["state"] == "ready"
        assert worker["generation"] == 1
        assert 0 < worker["age"] < 60
        assert 0 <= worker["lag"] < TIMEOUT
        assert 10**6 < worker["memory"] < 10**9


def test_status_waits_for_nobody_and_shows_a_worker_that_hangs(l7, origin):
    proxy = l7(CONFIG.format(origin().address), workers=2)
    path, times = socket_of(proxy), []
    victim = proxy.workers()[0]
    os.kill(victim, signal.SIGSTOP)

    def hangs() -> bool:
        report = json.loads(run("status", "--json", *by_file(proxy))[1])
        (hung,) = [worker for worker in report["workers"] if worker["pid"] == victim]
        return hung["lag"] > 1

    try:
        for _ in range(10):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(TIMEOUT)
                begin = time.monotonic()
                client.connect(path)
                client.sendall(b'{"do": "status"}\n')
                answer = b"".join(iter(lambda: client.recv(65536), b""))
                times.append(time.monotonic() - begin)
        proxy.wait_for(hangs, "a worker that hangs for a second")
    finally:
        os.kill(victim, signal.SIGCONT)
    assert len(json.loads(answer)["workers"]) == 2
    assert min(times) < 0.2, "a slow machine may be late, but not each time"


def test_who_asks_loads_no_proxy():
    """Nor YAML and ssl, where no file is named and no certificate is read."""
    script = (
        "import sys; from l7 import cli; cli.command_line(['status']); import l7.commands.status\n"
        "print({'gevent', 'asyncio', 'l7.workers', 'yaml', 'ssl'} & sys.modules.keys())"
    )
    assert subprocess.check_output([sys.executable, "-c", script], cwd=ROOT, text=True) == "set()\n"


def test_status_counts_requests_a_second(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "access-log: off\n")
    done = threading.Event()

    def load() -> None:
        with Client(proxy.address) as client:
            while not done.wait(0.005):
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                client.read_response()

    def rate() -> float:
        (worker,) = json.loads(run("status", "--json", *by_file(proxy))[1])["workers"]
        return float(worker["requests-per-second"])

    thread = threading.Thread(target=load)
    thread.start()
    try:
        proxy.wait_for(lambda: 5 < rate() < 50_000, "a rate")
    finally:
        done.set()
        thread.join()


def test_the_table_is_for_people(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + QUICK, workers=2)
    code, out, _ = run("status", *by_file(proxy))
    assert code == 0
    lines = [line for line in out.splitlines() if not line.startswith("not compiled: ")]
    assert f"pid {proxy.pid}, serving, listening on 127.0.0.1:{proxy.port}" in lines[0]
    assert "generation 1, digest " in lines[1]
    head, *rows = lines[lines.index("") + 1 :][:3]
    assert head.split()[:3] == ["worker", "pid", "generation"]
    assert sorted(int(row.split()[1]) for row in rows) == proxy.workers()
    proxy.write_config(CONFIG.format(origin().address) + QUICK + "log-level: warning\n")
    assert "log-level: info -> warning" in run("status", *by_file(proxy))[1]
    proxy.write_config("backends: [")
    assert "what a reload would load is invalid" in run("status", *by_file(proxy))[1]


def test_status_tells_how_the_last_reload_went(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + QUICK)
    proxy.write_config(CONFIG.format(origin().address) + QUICK + "drain-timeout: 7s\n")
    proxy.hup()
    proxy.wait_for_event("reload.done")
    out = run("status", *by_file(proxy))[1]
    assert "last reload: done" in out and "\n  drain-timeout: 5m -> 7s\n" in out
    proxy.write_config("nonsense: 1\n")
    proxy.hup()
    proxy.wait_for_event("reload.refused")
    out = run("status", *by_file(proxy))[1]
    assert "last reload: failed, generation 2 served on" in out


# --- found by its file ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["control: {near}/c\n", "pid-file: {near}/l7.pid\n", ""])
def test_it_is_found_by_its_file_whatever_that_says_by_now(l7, origin, near, where):
    proxy = l7(CONFIG.format(origin().address) + where.format(near=near))
    for broken in ("backends: [\n",) if where else ("", "backends: [\n", "control: /nowhere/c\n", "control: off\n"):
        proxy.write_config(broken)
        code, out, err = run("status", "--json", *by_file(proxy))
        assert (code, err) == (0, ""), broken
        assert json.loads(out)["pid"] == proxy.pid
    proxy.stop()
    code, _, err = run("status", *by_file(proxy))
    assert code == 1, "the pointer is gone"
    assert not list(near.iterdir())


def test_it_is_found_by_every_name_of_its_file_and_by_what_else_it_was_started_with(l7, origin, near):
    config = CONFIG.format(origin().address) + f"control: {near}/c\npid-file: {near}/l7.pid\n"
    proxy = l7(config, argv=["--port", "8080"])
    (near / "link.yml").symlink_to(proxy.config_path)
    proxy.write_config("")
    for words in (
        [*by_file(proxy), "--port", "8080"],
        ["-c", f"{near}/link.yml"],
        ["--pid-file", f"{near}/l7.pid"],
    ):
        assert json.loads(run("status", "--json", *words)[1])["pid"] == proxy.pid
    code, _, err = run("status", *by_file(proxy), "--port", "8081")
    assert (code, "no l7 runs with these settings (looked in " in err) == (1, True), "another port was meant"
    code, _, err = run("status", *by_file(proxy), "--control", f"{near}/other")
    assert (code, "looked for" in err) == (1, True), "who names a socket means that one"
    proxy.stop()


def test_a_pointer_of_an_l7_that_was_killed_misleads_nobody(l7, origin, near):
    config = CONFIG.format(origin().address) + f"control: {near}/c\n"
    first = l7(config, leaks=False)
    path = first.config_path
    first.signal(signal.SIGKILL)
    first.wait()
    assert run("status", "-c", str(path))[0] == 1
    second = l7(argv=["-c", str(path)])
    assert json.loads(run("status", "--json", "-c", str(path))[1])["pid"] == second.pid
    second.stop()


def test_two_with_one_file_are_both_seen(l7, origin, near):
    first = l7(CONFIG.format(origin().address) + f"control: {near}/c\n")
    second = l7(argv=["-c", str(first.config_path), "--control", f"{near}/d"])
    first.write_config("")
    code, _, err = run("status", *by_file(first))
    assert (code, "several l7 run here" in err) == (1, True)
    first.stop()
    assert json.loads(run("status", "--json", *by_file(first))[1])["pid"] == second.pid
    second.stop()


# --- the socket -------------------------------------------------------------------------------------------------------


def socket_of(proxy: L7Process) -> str:
    """The path of its control socket, as the kernel knows it."""
    paths = [c.laddr for c in psutil.Process(proxy.pid).net_connections("unix") if str(c.laddr).find(".control") > 0]
    assert len(set(paths)) == 1, paths
    return str(paths[0])


def test_it_is_for_the_account_and_root_only_and_goes_with_l7(l7, origin):
    proxy = l7(CONFIG.format(origin().address))
    path = Path(socket_of(proxy))
    there = path.stat()
    assert stat.S_IMODE(there.st_mode) == 0o600
    assert there.st_uid == os.geteuid()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    proxy.stop()
    assert not path.exists()


@root_only
def test_it_belongs_to_whom_l7_runs_as(l7, origin, near):
    proxy = l7(CONFIG.format(origin().address) + f"control: {near}/c\nrun-as: nobody\n", inherit=False)
    there = (near / "c").stat()
    assert stat.S_IMODE(there.st_mode) == 0o600
    assert (there.st_uid, there.st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert run("status", "--control", f"{near}/c")[0] == 0
    proxy.stop()


@root_only
def test_in_the_runtime_directory_it_is_removed_by_whom_l7_runs_as(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "run-as: nobody\nport: 0\n", inherit=False)
    path = Path(socket_of(proxy))
    assert path.parent == Path(f"/run/l7/{NOBODY.pw_uid}")
    assert run("status", *by_file(proxy))[0] == 0
    proxy.stop()
    assert not path.exists()


def test_beside_the_pid_file(l7, origin, near):
    proxy = l7(CONFIG.format(origin().address) + f"pid-file: {near}/l7.pid\n")
    assert (near / "l7.control").is_socket()
    assert run("status", "--pid-file", f"{near}/l7.pid")[0] == 0
    assert run("status", env={"L7_PID_FILE": f"{near}/l7.pid"})[0] == 0
    assert run("status", *by_file(proxy))[0] == 0


def test_a_stale_socket_is_replaced(l7, origin, near):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{near}/c")
    l7(CONFIG.format(origin().address) + f"control: {near}/c\n")
    assert run("status", "--control", f"{near}/c")[0] == 0


def test_a_socket_that_somebody_else_answers_on_is_not_taken(l7, origin, near):
    first = l7(CONFIG.format(origin().address) + f"control: {near}/c\n")
    code, _, err = run("--port", "0", "--control", f"{near}/c", "a=127.0.0.1:9")
    assert code == 1
    assert f"l7: control: {near}/c: another l7 answers there" in err
    assert json.loads(run("status", "--json", "--control", f"{near}/c")[1])["pid"] == first.pid


def test_beside_a_pid_file_where_it_cannot_be_it_is_warned_of(l7, origin, near):
    (near / "l7.control").mkdir()
    try:
        proxy = l7(CONFIG.format(origin().address) + f"pid-file: {near}/l7.pid\n")
        proxy.wait_for_event("warning .*control: .*cannot reach this l7")
        assert get(proxy.address, host="a").status == 200
        proxy.stop()
    finally:
        (near / "l7.control").rmdir()


def test_a_path_that_is_too_long_is_said(l7):
    code, _, err = run("--control", "/" + "x" * 120, "a=127.0.0.1:9")
    assert code == 2
    assert "--control: the path of a socket may have at most 107 bytes" in err


def test_off(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + "control: off\n")
    code, _, err = run("status", *by_file(proxy))
    assert code == 1
    assert "control is off" in err
    assert not any("control" in str(c.laddr) for c in psutil.Process(proxy.pid).net_connections("unix"))


def test_nobody_there(near):
    code, _, err = run("reload", "--control", f"{near}/c")
    assert code == 1
    assert f"no l7 runs with these settings (looked for {near}/c)" in err


def test_nonsense_and_visitors_who_never_ask_harm_nobody(l7, origin, near):
    proxy = l7(CONFIG.format(origin().address) + f"control: {near}/c\n")
    for question in (b"", b"\n", b"nonsense\n", b"[1]\n", b'{"do": "dance"}\n', b"x" * 10_000, b"[" * 60_000 + b"\n"):
        with visitor(near) as client:
            client.sendall(question)
            client.shutdown(socket.SHUT_WR)
            try:
                answer = b"".join(iter(lambda: client.recv(4096), b""))
            except ConnectionResetError:
                answer = b""
        if answer:
            found = json.loads(answer)
            assert not found["ok"], question[:20]
            assert found["reasons"][0].startswith("unknown request: ")
            assert found["reasons"][0].endswith(f"this is l7 {__version__}")
    with visitor(near) as client:  # one that cannot be answered
        client.sendall(b'{"do": "explain", "url": "http://a/\\ud800"}\n')
        found = json.loads(b"".join(iter(lambda: client.recv(4096), b"")))
    assert not found["ok"]
    assert "UnicodeEncodeError" in found["reasons"][0]
    idle = [visitor(near) for _ in range(40)]
    assert idle[0].recv(1) == b"", "who never asks is sent away"
    for client in idle:
        client.close()
    assert run("status", "--control", f"{near}/c")[0] == 0
    assert get(proxy.address, host="a").status == 200


def visitor(near: Path) -> socket.socket:
    """One who has come to the socket."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(TIMEOUT)
    client.connect(f"{near}/c")
    return client


def test_a_file_that_has_become_a_pipe_is_not_waited_for(l7, origin, near):
    proxy = l7(CONFIG.format(origin().address) + f"control: {near}/c\n" + QUICK)
    proxy.config_path.unlink()
    os.mkfifo(proxy.config_path)
    code, _, err = run("reload", "--control", f"{near}/c")
    assert code == 1
    assert "generation 1 serves on" in err
    assert run("status", "--control", f"{near}/c")[0] == 0
