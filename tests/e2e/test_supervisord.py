"""The real supervisord runs l7 by the stanza of the documentation: start, restart, HUP, stop, and no orphans."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.harness.checkout import CHECKOUT
from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import ROOT
from tests.harness.origin import Reply

BIN = Path(sys.executable).parent
pytestmark = [
    pytest.mark.skipif(not (BIN / "supervisord").exists(), reason="needs supervisord"),
    pytest.mark.timeout(120),
]


class Supervisor:
    """A supervisord with one program, l7, as ``docs/supervisord.conf`` has it."""

    def __init__(self, directory: Path, config: str) -> None:
        self.directory = directory
        self.socket = str(directory / "l7.sock")
        self.l7_config = directory / "config.yml"
        self.l7_config.write_text(config)
        stanza = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
        stanza.read(CHECKOUT / "docs" / "supervisord.conf")
        program = stanza["program:l7"]
        words = program["command"].split()
        assert words[0].endswith("l7")
        options = [str(self.l7_config) if word.startswith("/etc/") else word for word in words[1:]]
        program["command"] = " ".join([sys.executable, "-m", "l7", *options])
        program["directory"] = str(ROOT)
        program["stdout_logfile"] = str(directory / "access.log")
        program["stderr_logfile"] = str(directory / "events.log")
        program["startsecs"] = "1"
        control = directory / "supervisor.sock"
        stanza["supervisord"] = {
            "logfile": str(directory / "supervisord.log"), "pidfile": str(directory / "supervisord.pid"),
            "childlogdir": str(directory), "nodaemon": "true",
        }  # fmt: skip
        if os.geteuid() == 0:
            stanza["supervisord"]["user"] = "root"
        stanza["unix_http_server"] = {"file": str(control)}
        stanza["supervisorctl"] = {"serverurl": f"unix://{control}"}
        stanza["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        self.file = directory / "supervisord.conf"
        with self.file.open("w") as file:
            stanza.write(file)
        with (directory / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [str(BIN / "supervisord"), "-c", str(self.file)], stdout=output, stderr=output, start_new_session=True
            )

    def control(self, *words: str) -> str:
        done = subprocess.run(
            [str(BIN / "supervisorctl"), "-c", str(self.file), *words],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr

    def pid(self) -> int:
        text = self.control("pid", "l7").strip()
        return int(text) if text.isdigit() else 0

    def answers(self, body: bytes) -> bool:
        try:
            answer = get(self.socket, host="a")
        except (OSError, AssertionError):
            return False
        return answer.status == 200 and answer.body == body

    def family(self) -> set[int]:
        """The master that runs now, and its children."""
        pid = self.pid()
        return {pid, *(child.pid for child in psutil.Process(pid).children())} if pid else set()

    def events(self) -> str:
        path = self.directory / "events.log"
        return path.read_text() if path.exists() else ""

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 2 * TIMEOUT
        while not condition():
            log = (self.directory / "supervisord.log").read_text() if time.monotonic() > deadline else ""
            assert time.monotonic() < deadline, f"{what}\n{self.events()}\n{log}"
            time.sleep(0.05)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)


def gone(pids: set[int]) -> bool:
    return not any(psutil.pid_exists(pid) for pid in pids)


@pytest.fixture
def supervisor() -> Iterator[Callable[[str], Supervisor]]:
    started: list[Supervisor] = []
    # Not pytest's own directory: its name is too long for a socket's path, and nobody may not enter it.
    directory = Path("/tmp") / f"l7-sv-{os.getpid()}"
    directory.mkdir(mode=0o755)
    if os.geteuid() == 0:
        shutil.chown(directory, "nobody")

    def start(config: str) -> Supervisor:
        started.append(Supervisor(directory, config))
        return started[0]

    try:
        yield start
    finally:
        for one in started:
            family = one.family() if one.process.poll() is None else set()
            one.close()
            for pid in family:
                if psutil.pid_exists(pid):
                    os.kill(pid, signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)


def test_start_hup_restart_kill_and_stop(supervisor, origin):
    one, two = origin(lambda _: Reply(body=b"one")), origin(lambda _: Reply(body=b"two"))
    config = "bind: ['unix:/tmp/l7-sv-%d/l7.sock']\nworkers: 2\nbackends: {'*': {servers: ['%s']}}\n"
    sv = supervisor(config % (os.getpid(), one.address))
    sv.wait_for(lambda: "RUNNING" in sv.control("status", "l7"), "running")
    sv.wait_for(lambda: sv.answers(b"one"), "an answer")
    whole = 4 + (os.geteuid() == 0)
    sv.wait_for(lambda: len(sv.family()) == whole, "a master, two workers, the monitor, and the opener of root")
    first = sv.family()

    sv.l7_config.write_text(config % (os.getpid(), two.address))
    sv.control("signal", "HUP", "l7")
    sv.wait_for(lambda: sv.answers(b"two"), "the new configuration")
    assert sv.pid() in first, "a reload keeps the master"
    second = sv.family()

    sv.control("restart", "l7")
    sv.wait_for(lambda: "RUNNING" in sv.control("status", "l7"), "running again")
    sv.wait_for(lambda: sv.answers(b"two"), "an answer after the restart")
    sv.wait_for(lambda: gone(first | second), "the end of those before the restart")

    third = sv.family()
    os.kill(sv.pid(), signal.SIGKILL)
    sv.wait_for(lambda: sv.pid() not in third and "RUNNING" in sv.control("status", "l7"), "another master")
    sv.wait_for(lambda: sv.answers(b"two"), "an answer after the master was killed")
    sv.wait_for(lambda: gone(third), "the end of the orphans")

    fourth = sv.family()
    assert "stopped" in sv.control("stop", "l7")
    told = (sv.directory / "supervisord.log").read_text().rpartition("waiting for l7 to stop")[2]
    assert "stopped: l7 (exit status 0)" in told, "it was not killed: it stops within stopwaitsecs"
    assert "STOPPED" in sv.control("status", "l7")
    sv.wait_for(lambda: gone(fourth), "the end of all")


def test_an_upgrade_serves_on_and_is_lost_to_supervisord(supervisor, origin):
    """What the documentation warns of: supervisord cannot be told of another process."""
    config = (
        "bind: ['unix:/tmp/l7-sv-%d/l7.sock']\nworkers: 1\ncanary-time: 100ms\nbackends: {'*': {servers: ['%s']}}\n"
    )
    if os.geteuid() == 0:
        config += "run-as: root\n"  # nobody may not be allowed to execute the interpreter of this checkout
    sv = supervisor(config % (os.getpid(), origin(lambda _: Reply(body=b"one")).address))
    sv.wait_for(lambda: "RUNNING" in sv.control("status", "l7") and sv.answers(b"one"), "running")
    sv.control("signal", "USR2", "l7")
    sv.wait_for(lambda: "EXITED" in sv.control("status", "l7"), "the old one's end")
    done = re.compile(r"upgrade done: process (\d+) has taken over")
    sv.wait_for(lambda: done.search(sv.events()), "the event, which supervisord writes")
    (successor,) = map(int, done.findall(sv.events()))
    try:
        assert sv.answers(b"one")
    finally:
        os.kill(successor, signal.SIGTERM)
        sv.wait_for(lambda: gone({successor}), "its end")
