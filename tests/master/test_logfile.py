"""The access log's file as the master holds it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from l7.errors import StartError
from l7.master.resources.logfile import AccessLogFile, LogOpenResult, open_log_file
from l7.master.resources.pidfile import PidFile
from l7.master.resources.privileges import identify
from tests.harness.l7process import ROOT


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_log_file_is_given_away_and_a_link_is_not_followed(tmp_path, monkeypatch):
    nobody = identify(None)
    assert nobody is not None
    log, secret, link = tmp_path / "log", tmp_path / "secret", tmp_path / "link"
    open_log_file(str(log), nobody)
    assert log.stat().st_uid == nobody.uid
    secret.write_text("")
    link.symlink_to(secret)
    open_log_file(str(link), nobody)
    os.link(secret, tmp_path / "hard")
    open_log_file(str(tmp_path / "hard"), nobody)
    assert secret.stat().st_uid == 0
    with pytest.raises(StartError, match=r"access-log: .*is a directory"):
        open_log_file(str(tmp_path), None)


def test_the_standard_output_of_another_process_that_is_ours_too(tmp_path):
    # `ln -s /proc/1/fd/1 access.log` where a shell is process 1.
    reader, writer = os.pipe()
    path = tmp_path / "access.log"
    path.symlink_to(f"/proc/{os.getpid()}/fd/{writer}")
    script = (
        "import sys; from l7.master.resources.logfile import open_log_file as o; "
        "print(o(sys.argv[1], None)[1], flush=True)"
    )
    with os.fdopen(reader) as output:
        subprocess.run([sys.executable, "-c", script, str(path)], stdout=writer, cwd=ROOT, check=True, timeout=60)
        os.close(writer)
        assert output.read() == "1\n"


def test_whether_a_log_was_opened_anew_is_told_by_device_and_inode(tmp_path):
    path = tmp_path / "access.log"
    log = AccessLogFile()
    assert log.open(str(path)) == LogOpenResult()
    assert log.open(str(path)) == LogOpenResult()
    path.rename(tmp_path / "access.log.1")
    assert log.open(str(path)) == LogOpenResult(anew=True)
    assert log.held is not None
    assert os.path.samestat(os.fstat(log.held[1]), path.stat())
    os.close(log.held[1])


def test_a_log_that_cannot_be_opened_anew_is_told_and_goes_on(tmp_path, monkeypatch):
    path, renamed = tmp_path / "access.log", tmp_path / "access.log.1"
    log = AccessLogFile()
    log.open(str(path))
    refuse_to_open(monkeypatch, path)
    assert log.open(str(path)) == LogOpenResult()  # it is the same file, whoever may open it
    path.rename(renamed)
    assert f"lines go on into {renamed}; let logrotate `create 640 " in log.open(str(path)).trouble  # none
    path.touch()
    assert f"(permission denied): lines go on into {renamed};" in log.open(str(path)).trouble  # another one
    renamed.unlink()
    for _ in range(2):
        assert "a file that was removed, where nobody can read them" in log.open(str(path)).trouble
    refuse_to_open(monkeypatch, tmp_path / "other.log")
    with pytest.raises(StartError, match=r"other.log: permission denied"):
        log.open(str(tmp_path / "other.log"))
    assert log.held is not None
    os.close(log.held[1])


def refuse_to_open(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    really = os.open

    def refuse(name, *args, **options):
        if name == str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return really(name, *args, **options)

    monkeypatch.setattr(os, "open", refuse)


def test_anothers_file_in_tmp_is_opened_without_making_it(tmp_path, monkeypatch):
    # fs.protected_regular: EACCES for O_CREAT, even root's, on a file of another account in a sticky directory.
    really = os.open

    def protected(name, flags, *args, **options):
        if flags & os.O_CREAT and os.path.exists(name):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return really(name, flags, *args, **options)

    monkeypatch.setattr(os, "open", protected)
    for make in (lambda path: AccessLogFile().open(path), lambda path: PidFile.take(path)):
        path = tmp_path / "file"
        path.touch()
        make(str(path))
        path.unlink()
        make(str(path))
        path.unlink()
