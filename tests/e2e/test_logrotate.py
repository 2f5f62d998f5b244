"""The real logrotate with the snippet of the documentation: no line is lost, and l7 writes to the new file."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.checkout import CHECKOUT
from tests.harness.client import get
from tests.harness.l7process import L7Process

PROGRAM = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="needs logrotate"),
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
    snippet.write_text(text.replace("/var/log/l7/", f"{machine}/log/").replace("/run/l7.pid", f"{machine}/l7.pid"))
    snippet.chmod(0o644)
    command = [str(PROGRAM), "--force", "--state", str(machine / "state"), str(snippet)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


class OwnAccount(L7Process):
    """l7 started by its own account, which never was root."""

    def _command(self, *arguments):
        words = super()._command(*arguments)
        # Everything is imported before: the account may not be able to read the interpreter.
        script = (
            "import encodings.utf_8_sig, os, sys, l7.master.build\nfrom l7.cli import main\n"
            f"os.setgroups([]); os.setgid({NOBODY.pw_gid}); os.setuid({NOBODY.pw_uid})\nsys.exit(main(sys.argv[1:]))"
        )
        return [sys.executable, "-c", script, *words[3:]]


@pytest.mark.parametrize("start", [L7Process, OwnAccount], ids=["started as root", "its own account"])
def test_lines_go_on_in_the_new_file(origin, machine, start):
    log, pid_file = machine / "log" / "access.log", machine / "l7.pid"
    if start is OwnAccount:  # whose log somebody has made, for the directory is root's
        for path in (log, pid_file):
            path.touch(mode=0o640)
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    config = (
        f"access-log: {log}\npid-file: {pid_file}\ncanary-time: 100ms\n"
        f"backends: {{'*': {{servers: ['{origin().address}']}}}}\n"
    )
    with start(config, directory=machine, run_as=None, workers=2) as proxy:
        for number in range(3):
            assert get(proxy.port, f"/{number}").status == 200
            proxy.wait_for(lambda number=number: f"GET /{number} " in log.read_text(), "its line")
            rotate(machine)
            proxy.wait_for_event(f"reload done: generation {number + 2}")
        assert get(proxy.port, "/last").status == 200
        proxy.wait_for(lambda: "GET /last " in log.read_text(), "a line in the new file")
    assert log.stat().st_uid == NOBODY.pw_uid
    assert sorted(path.name for path in log.parent.iterdir()) == [
        "access.log", "access.log.1", "access.log.2.gz", "access.log.3.gz",
    ]  # fmt: skip
    assert log.read_text().count("GET ") == 1


def test_a_log_of_an_l7_that_does_not_run_is_rotated(machine):
    (machine / "log" / "access.log").write_text("a line\n")
    rotate(machine)
    assert (machine / "log" / "access.log.1").read_text() == "a line\n"
