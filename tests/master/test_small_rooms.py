"""Pid file, privileges, CPUs, signals, channels, census: each alone."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from l7.errors import StartError
from l7.master.census import Census, Entry
from l7.master.cpus import usable_cpus
from l7.master.handles import Handle, describe_end
from l7.master.orphans import reap_orphans
from l7.master.pidfile import PidFile
from l7.master.privileges import identify
from l7.master.processattributes import close_inherited, restore_umask
from l7.master.signals import Mailbox, Wish
from l7.master.startup import make_log_file
from l7.telemetry.output import descriptor_of
from tests.harness.l7process import ROOT

# --- pid file ---------------------------------------------------------------------------------------------------------


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.mark.parametrize("content", ["", "garbage", "{dead}\n"])
def test_a_stale_pid_file_is_replaced(tmp_path, content):
    path = tmp_path / "l7.pid"
    path.write_text(content.format(dead=dead_pid()))
    one = PidFile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    one.remove()
    assert not path.exists()


def test_a_number_that_another_program_has_by_now_is_no_lock(tmp_path):
    # nginx, HAProxy and Caddy write over whatever number they find.
    path = tmp_path / "l7.pid"
    path.write_text(f"{os.getppid()}\n")
    one = PidFile(str(path))
    assert one.stranger == os.getppid()
    assert path.read_text() == f"{os.getpid()}\n"
    one.remove()
    assert PidFile(str(path), predecessor=os.getppid()).stranger == 0


def test_of_two_that_start_at_once_one_gets_the_file(tmp_path):
    path = tmp_path / "l7.pid"
    script = (
        "import sys\nfrom l7.master.pidfile import PidFile\nfrom l7.errors import StartError\n"
        "try:\n    one = PidFile(sys.argv[1])\nexcept StartError:\n    print('refused', flush=True)\n"
        "else:\n    print('got it', flush=True)\nsys.stdin.read()\n"
    )
    words = [sys.executable, "-c", script, str(path)]
    children = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)
    ]
    said = sorted(child.stdout.readline().strip() for child in children)
    for child in children:
        child.communicate()
    assert said == ["got it", "refused", "refused", "refused"]


def test_a_pid_file_that_cannot_be_is_an_error_in_words(tmp_path):
    with pytest.raises(StartError, match=r"pid-file: .*no such file or directory"):
        PidFile(str(tmp_path / "missing" / "l7.pid"))
    (tmp_path / "link.pid").symlink_to("/dev/stdout")
    with pytest.raises(StartError, match=r"pid-file: .*link.pid is a symbolic link; name the file itself"):
        PidFile(str(tmp_path / "link.pid"))


def test_a_file_system_without_locks_is_told_from_an_l7_that_runs(tmp_path, monkeypatch):
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.lockf", no_locks)
    with pytest.raises(StartError, match=r"l7.pid cannot be locked: No locks available"):
        PidFile(str(tmp_path / "l7.pid"))


def test_a_pid_file_that_a_successor_has_taken_is_left_to_it(tmp_path):
    path = tmp_path / "l7.pid"
    one = PidFile(str(path))
    path.unlink()
    path.write_text("1\n")
    one.remove()
    assert path.read_text() == "1\n"


# --- privileges -------------------------------------------------------------------------------------------------------


def test_whom_to_become(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    nobody = identify(None)
    assert nobody is not None
    assert nobody.name == "nobody"
    assert nobody.gid in nobody.groups
    assert identify("4242:4343").groups == (4343,)
    with pytest.raises(StartError, match="name a group too"):
        identify("4242")
    with pytest.raises(StartError, match="no user is called 'xyzzy'"):
        identify("xyzzy")


def test_who_is_not_root_stays_who_it_is(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    monkeypatch.setattr(os, "getegid", lambda: 65534)
    assert identify(None) is None
    assert identify("nobody") is None
    with pytest.raises(StartError, match="only root may become root"):
        identify("root")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_log_file_is_given_away_and_a_link_is_not_followed(tmp_path, monkeypatch):
    nobody = identify(None)
    assert nobody is not None
    log, secret, link = tmp_path / "log", tmp_path / "secret", tmp_path / "link"
    make_log_file(str(log), nobody)
    assert log.stat().st_uid == nobody.uid
    secret.write_text("")
    link.symlink_to(secret)
    make_log_file(str(link), nobody)
    os.link(secret, tmp_path / "hard")
    make_log_file(str(tmp_path / "hard"), nobody)
    assert secret.stat().st_uid == 0
    with pytest.raises(StartError, match=r"access-log: .*is a directory"):
        make_log_file(str(tmp_path), None)


# --- CPUs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/a/b\n", {}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000"}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000"}, 2),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/not/visible/here\n", {"cpu.max": "300000 100000"}, 3),
        ("4:cpu,cpuacct:/x\n", {"cpu,cpuacct/x/cpu.cfs_quota_us": "200", "cpu,cpuacct/x/cpu.cfs_period_us": "100"}, 2),
        ("4:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 8),
        ("nonsense", {}, 8),
    ],
)  # fmt: skip
def test_usable_cpus(tmp_path: Path, membership: str, files: dict[str, str], expected: int):
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (tmp_path / "self").write_text(membership)
    assert usable_cpus(8, tmp_path / "cgroup", tmp_path / "self") == expected


def test_usable_cpus_here():
    assert 1 <= usable_cpus() <= len(os.sched_getaffinity(0))


# --- signals ----------------------------------------------------------------------------------------------------------


def test_signals_are_noted_in_order_and_most_of_them_once():
    mailbox = Mailbox()
    mailbox.open()
    try:
        for number in (signal.SIGHUP, signal.SIGTTIN, signal.SIGHUP, signal.SIGTTIN, signal.SIGTERM):
            signal.raise_signal(number)
        assert mailbox.wants(Wish.TERMINATE)
        assert mailbox.take() == [Wish.RELOAD, Wish.MORE, Wish.MORE, Wish.TERMINATE]
        assert mailbox.take() == []
    finally:
        mailbox.close()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_that_comes_after_the_end_changes_nothing():
    script = (
        "import signal, sys\nfrom l7.master.signals import Mailbox\n"
        "one = Mailbox(); one.open(); one.mute(); signal.raise_signal(signal.SIGTERM)\n"
        "class Late:\n"
        "    def __del__(self, send=signal.raise_signal, number=signal.SIGTERM):\n"
        "        send(number)  # when the interpreter has taken its handlers back\n"
        "late = Late(); sys.exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=30, check=False).returncode == 7


# --- channels and census ----------------------------------------------------------------------------------------------


@pytest.fixture
def channel():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with ours, theirs:
        yield Handle(slot=0, index=0, generation=1, pid=os.getpid(), channel=ours, started=0.0), theirs


def test_a_channel_carries_messages_and_survives_nonsense(channel):
    handle, worker = channel
    for message in (b'{"event": "ready"}', b"\xff{", b"[]", b'{"event": "stacks"}'):
        worker.send(message)
    assert list(handle.hear()) == [({"event": "ready"}, None), ({"event": "stacks"}, None)]
    assert handle.open
    worker.close()
    assert list(handle.hear()) == []
    assert not handle.open
    assert not handle.tell({"do": "stop"})


def test_a_worker_that_does_not_read_is_not_waited_for(channel):
    handle, _ = channel
    assert any(not handle.tell({"do": "dump", "filler": "x" * 1000}) for _ in range(10_000))


def test_a_census_is_over_when_all_have_answered_or_gone(channel):
    handle, _ = channel
    census = Census.ask([handle], 10.0)
    assert not census.over(10.9)
    assert census.over(11.0)
    census.note(handle.pid, {"digest": "abc123", "age": 1.25, "in-flight": 2, "connections": 3})
    assert census.over(10.0)
    (entry,) = census.entries({0: "ready"})
    assert str(entry) == (
        f"worker 1: pid {os.getpid()}, generation 1, digest abc123, age 1.2 s,"
        " requests in flight 2, connections 3, ready"
    )
    census.forget(handle.pid)
    assert census.over(10.0)
    assert census.entries({}) == []


def test_an_answer_is_not_believed_to_be_harmless():
    entry = Entry(0, 5, 1, "ready", {"digest": "x\n...\nport: 1", "age": "old", "in-flight": None})
    assert "\n" not in str(entry)
    assert "digest unknown, age 0.0 s" in str(entry)


@pytest.mark.parametrize(
    ("status", "why", "words"),
    [(0, "", "exit status 0"), (3 << 8, "no", "exit status 3 (no)"), (9, "", "killed by SIGKILL")],
)
def test_ends_in_words(status, why, words):
    assert describe_end(status, why) == words


# --- what is inherited over exec --------------------------------------------------------------------------------------


def test_descriptors_that_nobody_named_are_closed_and_others_are_not(tmp_path):
    forgotten, named, ours = (os.open(tmp_path, os.O_RDONLY) for _ in range(3))
    os.set_inheritable(forgotten, True)
    os.set_inheritable(named, True)
    closed = close_inherited({named})
    assert forgotten in closed
    assert not {0, 1, 2, named, ours} & set(closed)
    os.close(named)
    os.close(ours)


@pytest.mark.parametrize(("inherited", "becomes"), [(0o777, 0o077), (0, 0o022), (0o027, 0o027), (0o002, 0o022)])
def test_the_umask_keeps_others_out_and_ourselves_in(inherited, becomes):
    before = os.umask(inherited)
    try:
        restore_umask()
        assert os.umask(0o022) == becomes
    finally:
        os.umask(before)


def test_only_children_of_others_are_reaped():
    ours, stranger = (subprocess.Popen(["true"]) for _ in range(2))
    os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)
    os.waitid(os.P_PID, ours.pid, os.WEXITED | os.WNOWAIT)
    reap_orphans({ours.pid})  # it may be hidden behind ours
    assert ours.wait() == 0
    reap_orphans(())
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOHANG)
    stranger.returncode = 0  # it cannot be waited for any more


# --- paths of descriptors ---------------------------------------------------------------------------------------------


def test_a_path_that_is_a_descriptor(tmp_path):
    link, chain, loop = tmp_path / "access.log", tmp_path / "chain", tmp_path / "loop"
    link.symlink_to("/dev/stdout")
    chain.symlink_to("access.log")
    loop.symlink_to("loop")
    for path, number in {
        "/dev/stdout": 1, "/dev/stderr": 2, "/dev/fd/7": 7, "/proc/self/fd/1": 1, f"/proc/{os.getpid()}/fd/2": 2,
        link: 1, chain: 1, loop: None, "/dev/null": None, "-": None, tmp_path / "missing": None, "/dev/fd/x": None,
        f"/proc/{os.getppid()}/fd/1": None,
    }.items():  # fmt: skip
        assert descriptor_of(str(path)) == number, path
