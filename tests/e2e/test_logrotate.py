"""The real logrotate with the snippet of the documentation: no line is lost, and l7 finds the new file."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.harness.checkout import CHECKOUT
from tests.harness.client import get
from tests.harness.l7process import PROGRAM, L7Process

LOGROTATE = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [
    pytest.mark.skipif(LOGROTATE is None, reason="needs logrotate"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def machine() -> Iterator[Path]:
    """A directory that everybody may enter, for the log, the pid file and what logrotate remembers."""
    path = Path("/tmp") / f"l7-rotate-{os.getpid()}-{random.randrange(10**9)}"
    path.mkdir(mode=0o755)
    (path / "log").mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


def rotate(machine: Path) -> None:
    """Run the documentation's snippet, on this machine's paths."""
    text = (CHECKOUT / "docs" / "logrotate.conf").read_text("utf-8")
    snippet = machine / "logrotate.conf"
    snippet.write_text(text.replace("/var/log/l7/", f"{machine}/log/"))
    snippet.chmod(0o644)
    command = [str(LOGROTATE), "--force", "--state", str(machine / "state"), str(snippet)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# Everything is imported before: the account may not be able to read the interpreter.
AS_NOBODY = (
    "import encodings.utf_8_sig, importlib.metadata, os, sys, l7.commands.dispatch, l7.master.build\n"
    "from l7.cli import command_line, main\n"
    f"os.setgroups([]); os.setgid({NOBODY.pw_gid}); os.setuid({NOBODY.pw_uid})\n"
    "sys.exit(main(command_line(sys.argv[1:])))"
)
"""l7 started by its own account, which never was root."""


@pytest.mark.parametrize(
    "program", [PROGRAM, (sys.executable, "-c", AS_NOBODY)], ids=["started as root", "its own account"]
)
def test_lines_go_on_in_the_new_file(origin, machine, program):
    log, pid_file = machine / "log" / "access.log", machine / "l7.pid"
    if program is not PROGRAM:  # whose log somebody has made, for the directory is root's
        for path in (log, pid_file):
            path.touch(mode=0o640)
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    config = (
        f"access-log: {log}\npid-file: {pid_file}\ncanary-time: 100ms\n"
        f"backends: {{'*': {{servers: ['{origin().address}']}}}}\n"
    )
    with L7Process(config, directory=machine, run_as=None, workers=2, program=program) as proxy:
        for number in range(3):
            assert get(proxy.port, f"/{number}").status == 200
            proxy.wait_for(lambda number=number: f"GET /{number} " in log.read_text(), "its line")
            start = len(proxy.events)
            rotate(machine)
            proxy.wait_for_event("log.reopened", start=start, log=log)
        assert get(proxy.port, "/last").status == 200
        proxy.wait_for(lambda: "GET /last " in log.read_text(), "a line in the new file")
        assert not [line for line in proxy.events if " reload." in line]
        assert {psutil.Process(pid).uids().real for pid in (proxy.pid, *proxy.workers())} == {NOBODY.pw_uid}
        openers = [title for title in proxy.titles() if "opener" in title]
        assert len(openers) == (program is PROGRAM)
    assert log.stat().st_uid == NOBODY.pw_uid
    assert sorted(path.name for path in log.parent.iterdir()) == [
        "access.log", "access.log.1", "access.log.2.gz", "access.log.3.gz",
    ]  # fmt: skip
    assert log.read_text().count("GET ") == 1


def test_a_log_of_an_l7_that_does_not_run_is_rotated(machine):
    (machine / "log" / "access.log").write_text("a line\n")
    rotate(machine)
    assert (machine / "log" / "access.log.1").read_text() == "a line\n"
