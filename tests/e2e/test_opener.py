"""The privileged opener: what only root may open is opened at a reload, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from l7.master.resources.privileged_opener import LARGE
from tests.harness.accounts import (
    NOBODY,
    free_privileged_port,
    privileged_ports,
    root_only,
)
from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import OPENER, ROOT, STATUS, L7Process

pytestmark = root_only

CONFIG = "backends: {a: {servers: []}}\ncanary-time: 0s\n"


@pytest.fixture
def own(public: Path) -> Iterator[Path]:
    """A directory of root's that nobody else may enter."""
    path = public / "own"
    path.mkdir(mode=0o700)
    yield path
    shutil.rmtree(path)


def secret(own: Path, text: str, name: str = "l7.yml") -> Path:
    """Put a file in its place as a deploy tool does."""
    path = own / "new"
    path.write_text(text)
    path.chmod(0o600)
    return path.rename(own / name)


def opener(proxy: L7Process) -> int:
    (found,) = proxy.titled(OPENER)
    return found


def running(path: Path, public: Path, *, inherit: bool = True) -> L7Process:
    words = ["--config", str(path), "--control", STATUS]
    return L7Process(argv=words, inherit=inherit, run_as=None, directory=public)


def reloads(proxy: L7Process) -> None:
    before = len(proxy.events)
    proxy.hup()
    proxy.wait_for_event("reload.done", start=before)


def refused(proxy: L7Process, why: str) -> None:
    before = len(proxy.events)
    proxy.hup()
    proxy.wait_for_event(why, start=before)
    proxy.wait_for_event("reload.refused", start=before)


def command(proxy: L7Process, *words: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "l7", *words, "--control", str(proxy.directory / STATUS))
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, cwd=ROOT, check=False)


def dry_run(proxy: L7Process) -> subprocess.CompletedProcess[str]:
    return command(proxy, "reload", "--dry-run")


def test_what_only_root_may_read_and_write_is_opened_at_a_reload(own, public):
    log, other = own / "access.log", own / "other.log"
    config = f"{CONFIG}access-log: {log}\n"
    with running(secret(own, config), public) as proxy:
        pid = opener(proxy)
        assert psutil.Process(pid).uids() == (0, 0, 0)
        assert psutil.Process(proxy.pid).uids() == (NOBODY.pw_uid,) * 3
        assert proxy.status()["opener"] == {"pid": pid, "state": "running"}
        secret(own, config.replace("a:", "b:", 1).replace(str(log), str(other)))
        assert dry_run(proxy).returncode == 0
        assert not other.exists()
        secret(own, config.replace("a:", "b:", 1))
        log.rename(own / "access.log.1")
        log.touch(mode=0o640)
        os.chown(log, 0, 4)  # logrotate's `create 640 root adm`
        reloads(proxy)
        assert get(proxy.address, "/anew", host="b").status == 503
        proxy.wait_for(lambda: "/anew" in log.read_text(), "a line in the new file")
        assert log.stat().st_uid == NOBODY.pw_uid
        assert sum(f"opened {log}" in line for line in proxy.events) == 1


def test_it_does_the_same_where_it_was_forked_before_a_large_configuration_was_loaded(own, public):
    """One process, which has nothing of the configuration in its memory."""
    many = "".join(f"h{number}: {{servers: []}}, " for number in range(LARGE))
    config = CONFIG.replace("{a:", f"{{{many}a:")
    with running(secret(own, config), public) as proxy:
        process = psutil.Process(opener(proxy))
        assert process.uids() == (0, 0, 0)
        secret(own, config.replace("a:", "b:", 1))
        reloads(proxy)
        assert get(proxy.address, "/", host="b").status == 503
        assert proxy.status()["opener"] == {"pid": process.pid, "state": "running"}


@pytest.mark.parametrize("given", ["privileged-opener: off\n", "run-as: root\n"])
def test_there_is_none_where_it_is_not_wanted(given, own, public):
    with running(secret(own, CONFIG + given), public) as proxy:
        assert not proxy.titled(OPENER)
        assert proxy.status()["opener"] is None


@privileged_ports
def test_a_privileged_port_is_bound_at_a_reload(own, public):
    host, port = free_privileged_port()
    text = f"{CONFIG}bind: ['{host}']\n"
    with running(secret(own, f"{text}port: {port}\n"), public, inherit=False) as proxy:
        secret(own, f"{text}port: {port - 1}\n")
        assert dry_run(proxy).returncode == 0
        with pytest.raises(ConnectionRefusedError):
            get((host, port - 1))
        reloads(proxy)
        assert get((host, port - 1), host="a").status == 503


def test_what_another_account_could_change_is_refused_with_the_part(own, public):
    path = secret(own, f"{CONFIG}access-log: {own}/access.log\n")
    with running(path, public) as proxy:
        os.chown(own, 1, 1)
        refused(proxy, f"cannot be read: .*{own} belongs to account 1, who could change")
        assert proxy.status()["configuration"]["on-disk"] == "invalid"
        assert sum("opener.refused" in line for line in proxy.events) == 1
        # Where l7 itself may read it, it names nothing to the opener.
        own.chmod(0o701)
        path.chmod(0o644)
        path.write_text(f"{CONFIG}access-log: {own}/other.log\n")
        words = f"access-log: {own}/other.log: permission denied"
        refused(proxy, f"{words}; {own} belongs to account 1")
        done = dry_run(proxy)
        assert done.returncode == 1
        assert f"access-log: {own}/other.log: {own} belongs to account 1" in done.stdout + done.stderr
        assert not (own / "other.log").exists()


def test_its_end_is_told_and_what_it_would_have_opened_is_refused(own, public):
    with running(secret(own, CONFIG), public) as proxy:
        pid = opener(proxy)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            os.kill(pid, number)
        before = len(proxy.events)
        reloads(proxy)
        assert not any("opener.gone" in line for line in proxy.events[before:])
        os.kill(pid, signal.SIGKILL)
        proxy.wait_for_event(rf"warning l7\[{proxy.pid}\] opener.gone .*pid={pid}")
        assert f"privileged opener: pid {pid}, gone" in command(proxy, "status").stdout
        assert proxy.status()["opener"] == {"pid": pid, "state": "gone"}
        refused(proxy, "cannot be read: .*the privileged opener has ended; only a restart brings it back")


@pytest.mark.parametrize("ctrl_c", [True, False])
def test_it_ends_with_the_master(own, public, ctrl_c):
    proxy = running(secret(own, CONFIG), public)
    pid = opener(proxy)
    if ctrl_c:
        os.killpg(proxy.pid, signal.SIGINT)
    else:
        proxy.signal(signal.SIGKILL)
    proxy.wait()
    proxy.wait_for_ended(pid)
    proxy.assert_nothing_left()


def test_it_is_off_where_that_is_wanted(own, public):
    with running(secret(own, f"{CONFIG}privileged-opener: off\n"), public) as proxy:
        proxy.wait_for_event("warning .*reloads will be refused: .*nobody may not read it")
        assert not any("opener" in title for title in proxy.titles())
        assert proxy.status()["opener"] is None
        refused(proxy, "cannot be read: Permission denied")
        own.chmod(0o701)
        (own / "l7.yml").chmod(0o644)
        secret(own, CONFIG).chmod(0o644)
        refused(proxy, "privileged-opener: .*off.* -> .*on.*: needs a restart")
