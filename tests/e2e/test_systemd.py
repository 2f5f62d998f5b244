"""What systemd is told over ``NOTIFY_SOCKET``, by a socket that listens in its place."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.harness.client import TIMEOUT
from tests.harness.l7process import CONFIG

QUICK = "canary-time: 100ms\n"


class Manager:
    """The far end of ``NOTIFY_SOCKET``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(TIMEOUT)

    def hear(self, *, alive: bool = False) -> dict[str, str]:
        """The next words; those for the watchdog only when they are asked for."""
        while True:
            lines = self.socket.recv(4096).decode().split("\n")
            words = dict(line.split("=", 1) for line in lines)
            if alive or "WATCHDOG" not in words:
                return words


@pytest.fixture
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    """At a path, or where the test wants it so at an abstract address."""
    name = f"l7-notify-{os.getpid()}-{random.randrange(10**6)}"
    address = f"@{name}" if getattr(request, "param", "path") == "abstract" else f"/tmp/{name}"
    one = Manager(address)
    yield one
    one.socket.close()
    Path(f"/tmp/{name}").unlink(missing_ok=True)


@pytest.mark.parametrize("manager", ["path", "abstract"], indirect=True)
def test_ready_reloading_refused_and_stopping(l7, origin, manager):
    config = CONFIG.format(origin().address) + QUICK
    proxy = l7(config, env={"NOTIFY_SOCKET": manager.address})
    assert manager.hear()["READY"] == "1"

    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    proxy.hup()
    words = manager.hear()
    assert words["RELOADING"] == "1"
    assert before <= int(words["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    words = manager.hear()
    assert words == {"READY": "1", "STATUS": "generation 2"}

    proxy.write_config("nonsense: 1\n")
    proxy.hup()
    assert manager.hear()["RELOADING"] == "1"
    assert manager.hear() == {"READY": "1", "STATUS": "reload refused, generation 2 stays"}

    proxy.term()
    assert manager.hear()["STOPPING"] == "1"
    assert proxy.wait() == 0


def test_a_failed_canary_is_ready_again(l7, origin, manager):
    proxy = l7(
        CONFIG.format(origin().address) + "canary-time: 20s\n", env={"NOTIFY_SOCKET": manager.address}, leaks=False
    )
    manager.hear()
    before = proxy.workers()
    proxy.hup()
    proxy.wait_for_event("reload.watched")
    (victim,) = set(proxy.workers()) - set(before)
    os.kill(victim, signal.SIGKILL)
    assert manager.hear()["RELOADING"] == "1"
    assert manager.hear() == {"READY": "1", "STATUS": "generation 1"}


def test_the_watchdog_hears_of_it_twice_in_its_time(l7, origin, manager):
    proxy = l7(CONFIG.format(origin().address), env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "4000000"})
    assert manager.hear(alive=True).keys() & {"READY", "WATCHDOG"}
    times = []
    while len(times) < 3:
        if "WATCHDOG" in manager.hear(alive=True):
            times.append(time.monotonic())
    assert max(b - a for a, b in itertools.pairwise(times)) < 4
    os.kill(proxy.pid, signal.SIGSTOP)
    try:
        proxy.wait_for(lambda: psutil.Process(proxy.pid).status() == psutil.STATUS_STOPPED, "its standstill")
        manager.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                manager.socket.recv(4096)
        manager.socket.settimeout(3)
        with pytest.raises(TimeoutError):
            manager.socket.recv(4096)
    finally:
        os.kill(proxy.pid, signal.SIGCONT)


def test_a_watchdog_for_another_process_is_left_alone(l7, origin, manager):
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    proxy = l7(CONFIG.format(origin().address), env=env)
    assert "READY" in manager.hear(alive=True)
    proxy.term()
    assert "STOPPING" in manager.hear(alive=True)
    assert proxy.wait() == 0


def test_an_upgrade_names_the_new_main_process(l7, origin, manager):
    env = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "300000"}
    proxy = l7(CONFIG.format(origin().address) + QUICK, env=env)
    manager.hear()
    proxy.signal(signal.SIGUSR2)
    words = manager.hear()
    pid = int(words["MAINPID"])
    assert words["READY"] == "1"
    assert pid != proxy.pid
    assert proxy.wait() == 0
    while "WATCHDOG" not in manager.hear(alive=True):
        pass
    os.kill(pid, signal.SIGHUP)
    assert manager.hear()["RELOADING"] == "1"
    assert manager.hear() == {"READY": "1", "STATUS": "generation 3"}
    os.kill(pid, signal.SIGTERM)
    assert manager.hear()["STOPPING"] == "1"
    proxy.assert_nothing_left(TIMEOUT)


def test_a_manager_that_is_not_there_harms_nobody(l7, origin):
    proxy = l7(CONFIG.format(origin().address) + QUICK, env={"NOTIFY_SOCKET": "/nowhere/notify"})
    proxy.hup()
    proxy.wait_for_event("reload.done")
