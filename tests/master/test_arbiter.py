"""The master's loop with real processes and toy workers: what no healthy worker would show."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.harness.events import event_pattern
from tests.harness.l7process import ROOT, Lines

LIMIT = 30.0


class SmallMaster:
    """A running ``tests.master.smallmaster``."""

    def __init__(self, directory: Path, hosts: str, *options: str) -> None:
        self.config = directory / "config.yml"
        self.options = "".join(f"{option}\n" for option in options)
        self.write(hosts)
        words = [sys.executable, "-m", "tests.master.smallmaster", "--config", str(self.config)]
        if os.geteuid() == 0:
            words += ["--run-as", "root"]
        self.process = subprocess.Popen(
            words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdout, self.stderr = Lines(self.process.stdout, "stdout"), Lines(self.process.stderr, "stderr")

    def write(self, hosts: str) -> None:
        backends = ", ".join(f"{host}: {{servers: []}}" for host in hosts.split())
        self.config.write_text(f"port: 0\nbind: 127.0.0.1\n{self.options}control: off\nbackends: {{{backends}}}\n")

    def event(self, event: str, **facts: object) -> re.Match[str]:
        pattern = event_pattern(event, facts)
        found = self.stderr.wait(pattern, LIMIT)
        assert found is not None, f"no {pattern!r} in\n" + "\n".join(self.stderr.lines)
        return found

    def workers(self) -> list[int]:
        children = psutil.Process(self.process.pid).children()
        return [child.pid for child in children if child.status() != psutil.STATUS_ZOMBIE]

    def ask(self) -> tuple[int, int]:
        """The pid and the generation of the worker that answers."""
        port = int(self.event(r"listening on 127\.0\.0\.1:(\d+)").group(1))
        with socket.create_connection(("127.0.0.1", port), LIMIT) as client, client.makefile() as file:
            pid, generation = file.readline().split()
        return int(pid), int(generation)

    def wait(self) -> int:
        code = self.process.wait(LIMIT)
        assert self.stdout.join(5)
        assert self.stderr.join(5)
        return code

    def stop(self) -> None:
        self.process.terminate()
        assert self.wait() == 0, "\n".join(self.stderr.lines)

    def kill(self) -> None:
        # All at once: a toy that spins would not notice that its master is gone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Callable[..., SmallMaster]]:
    started: list[SmallMaster] = []

    def start(hosts: str = "a", *options: str) -> SmallMaster:
        started.append(SmallMaster(tmp_path, hosts, *options))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def test_it_serves_reloads_and_stops(master):
    one = master("a", "workers: 2")
    one.event("master.ready")
    assert one.ask()[1] == 1
    one.process.send_signal(signal.SIGHUP)
    one.event("reload.done", generation=2)
    assert one.ask()[1] == 2
    one.stop()


def test_none_can_boot(master):
    one = master("unbootable", "workers: 2")
    assert one.wait() == 3
    one.event(r"worker 1 died.*exit status 3 \(it is told not to\)")
    one.event("no worker can boot")


def test_an_exception_in_a_worker_is_one_line(master):
    one = master("raises", "workers: 1")
    assert one.wait() == 3
    one.event("worker failed: RuntimeError: out of order at ")
    assert not any("Traceback" in line for line in one.stderr.lines)


def test_the_traceback_is_there_for_who_debugs(master):
    one = master("raises", "workers: 1", "log-level: debug")
    assert one.wait() == 3
    one.event("debug .*Traceback")


def test_some_boot(master):
    one = master("one-unbootable", "workers: 2")
    one.event(r"ready: listening on .*workers: 1 of 2")
    one.event("started again in 1 s")
    assert one.ask()[1] == 1
    one.stop()


def test_a_reload_whose_workers_do_not_boot_is_rolled_back(master):
    one = master("a", "workers: 2")
    one.event("master.ready")
    before = sorted(one.workers())
    one.write("unbootable")
    one.process.send_signal(signal.SIGHUP)
    one.event(r"reload failed: worker 1 did not boot: exit status 3 \(it is told not to\); generation 2 is given up")
    one.event("reload.undone", generation=1)
    assert sorted(one.workers()) == before
    assert one.ask()[1] == 1
    one.write("a")
    one.process.send_signal(signal.SIGHUP)
    one.event("reload.done", generation=3)
    assert one.ask()[1] == 3
    one.stop()


def test_a_worker_that_never_reports_ready_is_a_failed_boot_and_shows_where(master):
    one = master("never-ready", "workers: 1", "worker-timeout: 1s")
    one.event("not ready after 1.0 s")
    one.event(r'smallmaster.py", line \d+ in toy')
    assert one.wait() == 3


def test_a_worker_deaf_to_signals_is_killed(master):
    one = master("a", "workers: 1", "worker-timeout: 3s")
    one.event("master.ready")
    before = one.workers()
    one.write("deaf")
    one.process.send_signal(signal.SIGHUP)
    one.event("no heartbeat for 3 s")
    one.event("reload failed: worker 1 hangs")
    one.event("reload.undone", generation=1)
    one.event("killed by SIGKILL")
    assert one.workers() == before


def test_a_spinning_worker_shows_its_stack_before_it_dies(master):
    one = master("a", "workers: 1", "worker-timeout: 1s")
    one.event("master.ready")
    one.write("spins")
    one.process.send_signal(signal.SIGHUP)
    one.event("no heartbeat for 1 s")
    one.event(r'smallmaster.py", line \d+ in toy')
    one.event("killed by SIGABRT")


def test_a_child_has_none_of_the_masters_signal_handlers(master):
    one = master("a", "workers: 1")
    one.event("master.ready")
    (first,) = one.workers()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU):
        os.kill(first, number)
    assert one.ask()[0] == first, "these are the master's business"
    os.kill(first, signal.SIGTERM)
    one.event("worker.exited", worker=1, reason="killed by SIGTERM")
    assert one.ask()[0] != first
    one.stop()


def test_the_dump_names_every_worker(master):
    one = master("a", "workers: 2")
    one.event("master.ready")
    one.process.send_signal(signal.SIGUSR1)
    assert one.stdout.wait(r"^\.\.\.$", LIMIT)
    lines = one.stdout.lines
    assert lines[0] == "---"
    assert len([line for line in lines if line.startswith("# worker")]) == 2
    one.stop()


def test_no_zombie_and_no_descriptor_is_left_by_many_deaths(master):
    one = master("a", "workers: 2")
    one.event("master.ready")
    me = psutil.Process(one.process.pid)
    before = me.num_fds()
    for _ in range(6):
        victim, _ = one.ask()
        time.sleep(0.3)  # or its successor would be made to wait
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + LIMIT
        while victim in [child.pid for child in me.children()] or len(me.children()) < 2 or me.num_fds() > before:
            assert time.monotonic() < deadline, f"{before} descriptors before, {me.num_fds()} now"
            time.sleep(0.02)
    one.stop()


def test_an_invalid_configuration_at_the_start_is_2(master):
    one = master("a", "workers: none")
    assert one.wait() == 2
    one.event("config.yml:3: workers")


def test_a_reload_is_done_when_the_old_worker_accepts_no_more_whatever_else_it_says(master):
    one = master("hesitates", "workers: 1", "canary-time: 200ms")
    one.event("master.ready")
    (old,) = one.workers()
    os.kill(old, signal.SIGSTOP)
    one.process.send_signal(signal.SIGUSR1)
    one.write("a")
    one.process.send_signal(signal.SIGHUP)
    one.event("reload.proven")
    os.kill(old, signal.SIGCONT)
    one.event("reload.done", generation=2)
    said = list(one.stderr.lines)
    stopped = next((at for at, line in enumerate(said) if "generation 1 accepts no more" in line), len(said))
    assert stopped < next(at for at, line in enumerate(said) if "reload done" in line)
    one.stop()
