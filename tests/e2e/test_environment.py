"""What a parent process hands down to l7, whoever that is: a container, a pod, a shell, a supervisor."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.harness.client import TIMEOUT, get
from tests.harness.environment import SERVICE
from tests.harness.l7process import ROOT, Lines

CONFIG = "port: {}\nbackends: {{'*': {{servers: ['{}']}}}}\n"


def test_a_pod_with_a_service_of_our_name(l7, origin):
    proxy = l7(CONFIG.format(0, origin().address), inherit=False, env=SERVICE)
    assert get(proxy.address).status == 200
    proxy.hup()
    proxy.wait_for_event("reload.done")
    said = [line for line in proxy.events if "L7_" in line and "master.uncompiled" not in line]
    assert len(said) == 1, proxy.transcript()
    assert "warning" in said[0]
    assert "L7_PORT, L7_PORT_80_TCP and 6 more: set by Kubernetes or Docker" in said[0]


# --- signals, umask, descriptors --------------------------------------------------------------------------------------

BLOCKED = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())"
IGNORED = "import signal\nfor one in signal.valid_signals() - {9, 19}: signal.signal(one, signal.SIG_IGN)"


@pytest.mark.parametrize("before", [BLOCKED, IGNORED, f"{IGNORED}\n{BLOCKED}"], ids=["blocked", "ignored", "both"])
def test_signals_are_heard_whatever_the_parent_did_with_them(l7, origin, before):
    # nginx and HAProxy let all signals through and hear HUP under nohup; so does Caddy.
    proxy = l7(CONFIG.format(0, origin().address), before=before, workers=2)
    for pid in [proxy.pid, *proxy.workers()]:
        assert masks(pid)["SigBlk"] == 0
        # Beside what Python ignores itself, a worker ignores what a terminal sends to all.
        assert not masks(pid)["SigIgn"] & (mask(signal.SIGTERM) | mask(signal.SIGCHLD) | mask(signal.SIGABRT))
    proxy.hup()
    proxy.wait_for_event("reload.done")
    proxy.usr1()
    proxy.wait_for_output(r"^\.\.\.$")
    proxy.wait_for(lambda: len(proxy.workers()) == 2, "the old workers' end")
    victim = proxy.workers()[0]
    os.kill(victim, signal.SIGKILL)
    proxy.wait_for_event("worker.exited", reason="killed by SIGKILL")
    proxy.wait_for(lambda: len(proxy.workers()) == 2 and victim not in proxy.workers(), "another worker")
    assert get(proxy.address).status == 200
    proxy.stop()


def masks(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line[:6]: int(line.split()[1], 16) for line in lines if line.startswith("Sig") and line[3] in "BIC"}


def mask(number: int) -> int:
    return 1 << (number - 1)


def test_a_hangup_reloads_under_nohup(l7, origin):
    proxy = l7(CONFIG.format(0, origin().address), before="import signal; signal.signal(1, signal.SIG_IGN)")
    proxy.hup()
    proxy.wait_for_event("reload.done")


@pytest.mark.parametrize(("inherited", "log_mode", "pid_mode"), [(0o777, 0o600, 0o600), (0, 0o640, 0o644)])
def test_an_odd_umask_neither_opens_nor_closes_what_it_makes(l7, origin, inherited, log_mode, pid_mode):
    # nginx as a daemon has umask 0 and gives each file its mode; in the foreground it makes files of mode 0.
    proxy = l7(
        CONFIG.format(0, origin().address) + "access-log: access.log\npid-file: l7.pid\n",
        before=f"import os; os.umask({inherited})",
    )
    assert get(proxy.address).status == 200
    proxy.hup()
    proxy.wait_for_event("reload.done")
    modes = {name: stat.S_IMODE((proxy.directory / name).stat().st_mode) for name in ("access.log", "l7.pid")}
    assert modes == {"access.log": log_mode, "l7.pid": pid_mode}


OPENED = """
import os, socket
kept = []
for number in range(20):
    kept.append(os.open("/etc/hostname", os.O_RDONLY))
    os.set_inheritable(kept[-1], True)
peer = socket.create_server(("127.0.0.1", 0))
os.set_inheritable(peer.detach(), True)
"""


def test_descriptors_that_nobody_named_are_closed(l7, origin):
    # nginx and HAProxy keep them, in every worker.
    server = origin()
    bare = l7(CONFIG.format(0, server.address))
    proxy = l7(CONFIG.format(0, server.address), before=OPENED)
    # The listening socket that was handed over is among them. A master that has just said that it is ready may not be
    # done with a file yet.
    proxy.wait_for(lambda: proxy.descriptors() == bare.descriptors(), "the same descriptors")
    for pid in [proxy.pid, *proxy.workers()]:
        assert not [name for name in targets(pid) if name == "/etc/hostname"]
    assert get(proxy.address).status == 200


def test_descriptors_that_are_named_stay(l7, origin, tmp_path):
    (tmp_path / "named.yml").write_text(CONFIG.format(0, origin().address))
    proxy = l7(
        argv=["-c", "/dev/fd/10", "--access-log", "/dev/fd/11"],
        before=f"import os\nos.dup2(os.open({str(tmp_path / 'named.yml')!r}, 0), 10)\n"
        f"os.dup2(os.open({str(tmp_path / 'access.log')!r}, os.O_WRONLY | os.O_CREAT), 11)",
    )
    assert get(proxy.address).status == 200
    proxy.wait_for(lambda: (tmp_path / "access.log").read_text(), "the first line")
    proxy.hup()
    proxy.wait_for_event("reload.done")
    assert get(proxy.address).status == 200
    proxy.wait_for(lambda: (tmp_path / "access.log").read_text().count("\n") == 2, "the second line")


def targets(pid: int) -> list[str]:
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except FileNotFoundError:
            continue
    return found


def test_an_upgrade_keeps_what_it_is_left_and_nothing_else(l7, origin):
    proxy = l7(CONFIG.format(0, origin().address) + "pid-file: l7.pid\ncanary-time: 0s\n", before=OPENED + BLOCKED)
    proxy.signal(signal.SIGUSR2)
    proxy.wait_for_event("has taken over")
    proxy.wait_for(lambda: proxy.process.poll() is not None, "the old one's end")
    successor = int((proxy.directory / "l7.pid").read_text())
    assert successor != proxy.pid
    assert get(proxy.address).status == 200
    assert masks(successor)["SigBlk"] == 0
    assert "/etc/hostname" not in targets(successor)
    os.kill(successor, signal.SIGTERM)
    proxy.assert_nothing_left()


# --- the pid file -----------------------------------------------------------------------------------------------------


def test_a_pid_file_whose_number_another_program_has_by_now(l7, origin, tmp_path):
    # What a volume holds after a container's crash: its processes get the same small numbers again.
    path = tmp_path / "l7.pid"
    path.write_text(f"{os.getpid()}\n")
    config = CONFIG.format(0, origin().address) + f"pid-file: {path}\n"
    proxy = l7(config)
    proxy.wait_for_event(f"warning .*l7.pid was left behind: process {os.getpid()} is another program by now")
    assert path.read_text() == f"{proxy.pid}\n"
    second = l7(config, ready=None)
    assert second.wait() == 1
    assert f"l7 is already running as process {proxy.pid}" in second.transcript()


# --- process 1 and other people's children ----------------------------------------------------------------------------


def zombies(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children() if child.status() == psutil.STATUS_ZOMBIE]


def may_unshare() -> bool:
    words = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    try:
        return subprocess.run(words, capture_output=True, timeout=TIMEOUT, check=False).returncode == 0
    except FileNotFoundError:
        return False


def await_that(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_children_that_it_was_given_with_its_process_are_reaped(l7, origin):
    # As of `sh -c 'job & exec l7'`.
    children = "import subprocess\nfor _ in range(5): subprocess.Popen(['sleep', '600'])"
    proxy = l7(CONFIG.format(0, origin().address) + "canary-time: 0s\npid-file: l7.pid\n", before=children)
    jobs = [one for one in psutil.Process(proxy.pid).children() if one.name() == "sleep"]
    assert len(jobs) == 5
    for job in jobs:
        job.kill()
    for job in jobs:
        proxy.wait_for_ended(job.pid)
    assert get(proxy.address).status == 200
    proxy.signal(signal.SIGUSR2)
    proxy.wait_for_event("has taken over")
    proxy.wait_for(lambda: proxy.process.poll() is not None, "the old one's end")
    os.kill(int((proxy.directory / "l7.pid").read_text()), signal.SIGTERM)
    proxy.assert_nothing_left()


def names_of(processes):
    names = set()
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            names.add(one.name())
    return names


@pytest.mark.skipif(not may_unshare(), reason="no namespace of processes may be made here")
def test_process_1_of_a_container_reaps_strangers(origin, tmp_path):
    # nginx leaves none: its master waits for any child. HAProxy's does, too.
    config = tmp_path / "config.yml"
    config.write_text(CONFIG.format(0, origin().address) + "bind: 127.0.0.1\nworkers: 2\naccess-log: off\n")
    run_as = ["--run-as", "root"] if os.geteuid() == 0 else []
    unshare = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-m", "l7", "-c", str(config), *run_as],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert unshare.stderr is not None
    events = Lines(unshare.stderr, "stderr")
    try:
        found = events.wait(r"ready: listening on (\S+:\d+)", TIMEOUT)
        assert found, events.lines
        address = ("127.0.0.1", int(found[1].rstrip(";").rpartition(":")[2]))
        (master,) = psutil.Process(unshare.pid).children()
        for _ in range(30):
            enter = ["nsenter", "-t", str(master.pid), "-p", "-m", "sh", "-c", "(sleep 0.05 &)"]
            subprocess.run(enter, check=True, timeout=TIMEOUT)
        await_that(lambda: "sleep" not in names_of(master.children()), "the strangers' end")
        await_that(lambda: not zombies(master.pid), "zombies are left")
        worker = next(one for one in master.children() if "worker 1" in " ".join(one.cmdline()))
        worker.kill()
        assert events.wait(r"worker 1 .*killed by SIGKILL", TIMEOUT), events.lines
        await_that(
            lambda: not zombies(master.pid) and any("l7: worker" in name for name in names_of(master.children())),
            "another worker",
        )
        assert get(address).status == 200
        master.terminate()
        assert unshare.wait(TIMEOUT) == 0
        assert not any(re.search("Traceback|bug", line) for line in events.lines), events.lines
    finally:
        for one in psutil.Process(unshare.pid).children() if unshare.poll() is None else []:
            one.kill()  # with process 1 goes everybody in its namespace
        unshare.wait(TIMEOUT)
