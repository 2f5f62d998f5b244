"""The pid file: one l7 has it by its lock, what is stale is replaced, what belongs to a successor is left."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from l7.errors import StartError
from l7.master.resources.pidfile import PidFile
from tests.harness.l7process import ROOT


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.mark.parametrize("content", ["", "garbage", "{dead}\n"])
def test_a_stale_pid_file_is_replaced(tmp_path, content):
    path = tmp_path / "l7.pid"
    path.write_text(content.format(dead=dead_pid()))
    one = PidFile.take(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    one.remove()
    assert not path.exists()


def test_a_number_that_another_program_has_by_now_is_no_lock(tmp_path):
    # nginx, HAProxy and Caddy write over whatever number they find.
    path = tmp_path / "l7.pid"
    path.write_text(f"{os.getppid()}\n")
    one = PidFile.take(str(path))
    assert one.stranger == os.getppid()
    assert path.read_text() == f"{os.getpid()}\n"
    one.remove()
    assert PidFile.take(str(path), predecessor=os.getppid()).stranger == 0


def test_of_two_that_start_at_once_one_gets_the_file(tmp_path):
    path = tmp_path / "l7.pid"
    script = (
        "import sys\nfrom l7.master.resources.pidfile import PidFile\nfrom l7.errors import StartError\n"
        "try:\n    one = PidFile.take(sys.argv[1])\nexcept StartError:\n    print('refused', flush=True)\n"
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
        PidFile.take(str(tmp_path / "missing" / "l7.pid"))
    (tmp_path / "link.pid").symlink_to("/dev/stdout")
    with pytest.raises(StartError, match=r"pid-file: .*link.pid is a symbolic link; name the file itself"):
        PidFile.take(str(tmp_path / "link.pid"))


def test_a_file_system_without_locks_is_told_from_an_l7_that_runs(tmp_path, monkeypatch):
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.lockf", no_locks)
    with pytest.raises(StartError, match=r"l7.pid cannot be locked: No locks available"):
        PidFile.take(str(tmp_path / "l7.pid"))


def test_a_pid_file_that_a_successor_has_taken_is_left_to_it(tmp_path):
    path = tmp_path / "l7.pid"
    one = PidFile.take(str(path))
    path.unlink()
    path.write_text("1\n")
    one.remove()
    assert path.read_text() == "1\n"
