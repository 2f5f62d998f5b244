"""A rotated access log is opened anew without a reload, by itself or at once by `l7 logs reopen`: no line is lost."""

from __future__ import annotations

import os
import select
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.harness.accounts import NOBODY, root_only
from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import ROOT, L7Process
from tests.harness.load import Load

CONFIG = "backends: {{a: {{servers: [{}]}}}}\naccess-log: {}\naccess-log-format: combined\ncontrol: {}\n"


def reopen(control: Path) -> subprocess.CompletedProcess[str]:
    """`l7 logs reopen`, to its end."""
    words = [sys.executable, "-m", "l7", "logs", "reopen", "--control", str(control)]
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, cwd=ROOT, check=False)


def holders(proxy: L7Process, file: os.stat_result) -> list[str]:
    """The processes of l7 that have a file open."""
    found = []
    for pid in (proxy.pid, *proxy.titled("")):
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
        except FileNotFoundError:
            continue  # it has ended
        for number in numbers:
            try:
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/{number}"), file):
                    found.append(f"{pid} {proxy.title(pid)}")
            except OSError:
                continue
    return found


def test_rotations_under_load_lose_no_line_and_restart_no_worker(origin, tmp_path):
    log, control = tmp_path / "access.log", tmp_path / "l7.control"
    with L7Process(CONFIG.format(origin().address, log, control), workers=2) as proxy:
        workers = proxy.workers()

        def opened_anew(start: int, old: os.stat_result) -> None:
            proxy.wait_for_event("log.reopened", start=start, log=log)
            proxy.wait_for(lambda: not holders(proxy, old), "no process that has the old file open")
            load.more()

        with Load(proxy) as load:
            load.more()
            for number in (1, 2):  # no file in its place, then another one
                start, old = len(proxy.events), log.stat()
                log.rename(tmp_path / f"access.log.{number}")
                if number == 2:
                    log.touch(mode=0o600)
                opened_anew(start, old)
            start, old = len(proxy.events), log.stat()
            os.link(log, tmp_path / "access.log.3")  # to count its lines
            log.unlink()
            opened_anew(start, old)
            start, old = len(proxy.events), log.stat()
            log.rename(tmp_path / "access.log.4")
            done = reopen(control)
            assert (done.returncode, done.stderr) == (0, "")
            assert not holders(proxy, old)
            load.more()
            by_itself = f"access-log: {log}: not rotated; all workers write to it: 2\n"  # l7 was faster
            assert done.stdout in (f"access-log: {log}: opened anew; workers: 2\n", by_itself)
        assert load.bad == []
        assert proxy.workers() == workers
        assert not [line for line in proxy.events if " reload." in line or "log.not-reopened" in line]

        done = reopen(control)
        assert (done.returncode, done.stdout, done.stderr) == (0, by_itself, "")

        def lines() -> int:
            return sum(path.read_text().count("\n") for path in tmp_path.glob("access.log*"))

        proxy.wait_for(lambda: lines() >= load.good, "all lines")
        assert lines() == load.good
        log.write_bytes(b"")  # copytruncate
        assert get(proxy.address, "/after", host="a").status == 200
        proxy.wait_for(lambda: "GET /after" in log.read_text(), "a line at the beginning of the file")
        assert log.read_text().count("\n") == 1


def test_one_that_cannot_be_opened_is_warned_of_once_and_tried_again(origin, tmp_path):
    folder, control = tmp_path / "log", tmp_path / "l7.control"
    folder.mkdir()
    log = folder / "access.log"
    with L7Process(CONFIG.format(origin().address, log, control)) as proxy:
        assert get(proxy.address, "/first", host="a").status == 200
        folder.rename(tmp_path / "moved")
        folder.touch()  # no directory
        proxy.wait_for_event("log.not-reopened", log=log)
        done = reopen(control)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"access-log: {log} cannot be opened anew" in done.stderr
        assert f"lines go on into {tmp_path}/moved/access.log" in done.stderr
        assert get(proxy.address, "/second", host="a").status == 200
        proxy.wait_for(lambda: "/second" in (tmp_path / "moved" / "access.log").read_text(), "a line in the old file")
        folder.unlink()
        folder.mkdir()
        proxy.wait_for_event("log.reopened", log=log)
        assert get(proxy.address, "/third", host="a").status == 200
        proxy.wait_for(lambda: "/third" in log.read_text(), "a line in the new file")
        assert len([line for line in proxy.events if "log.not-reopened" in line]) == 1


def test_what_is_no_file_is_left_alone(origin, tmp_path):
    fifo, control = tmp_path / "fifo", tmp_path / "l7.control"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with L7Process(CONFIG.format(origin().address, fifo, control)) as proxy:
            fifo.unlink()
            fifo.touch()
            done = reopen(control)
            said = f"access-log: {fifo}: no file that could be rotated; nothing to do\n"
            assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
            assert get(proxy.address, "/a", host="a").status == 200
            assert select.select([reader], [], [], TIMEOUT)[0]
            assert b"GET /a" in os.read(reader, 4096)
    finally:
        os.close(reader)
    with L7Process(CONFIG.format(origin().address, "/dev/stdout", control)) as proxy:
        done = reopen(control)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "access-log: /dev/stdout: no file that could be rotated; nothing to do\n"
    with L7Process(CONFIG.format(origin().address, "'-'", control)):
        done = reopen(control)
        assert (done.returncode, done.stdout) == (0, "access-log: no file that could be rotated; nothing to do\n")


@root_only
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_in_a_directory_of_root_the_opener_opens_it(origin, public, mode):
    folder = public / "log"
    folder.mkdir(mode=mode)  # 0700: not even to be looked at by the workers
    log, control = folder / "access.log", public / "l7.control"
    try:
        with L7Process(CONFIG.format(origin().address, log, control), run_as=None, directory=public) as proxy:
            for number in range(2):
                assert get(proxy.address, f"/{number}", host="a").status == 200
                start = len(proxy.events)
                log.rename(folder / f"access.log.{number}")
                if number:
                    log.touch(mode=0o640)  # `create 640 root adm`
                proxy.wait_for_event("log.reopened", start=start, log=log)
            assert get(proxy.address, "/last", host="a").status == 200
            proxy.wait_for(lambda: "/last" in log.read_text(), "a line in the new file")
            assert {psutil.Process(pid).uids().real for pid in proxy.workers()} == {NOBODY.pw_uid}
            assert stat.S_IMODE(log.stat().st_mode) == 0o640
            assert sum(path.read_text().count("GET /") for path in folder.iterdir()) == 3
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


@pytest.mark.parametrize("words", [["logs"], ["logs", "rotate"], ["logs", "reopen", "now"]])
def test_other_words_are_refused(words):
    command = [sys.executable, "-m", "l7", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "logs: write `l7 logs reopen`\n"
