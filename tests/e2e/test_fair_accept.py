"""No worker holds much more than its share of the connections."""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.harness import over_tls
from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import CONFIG, L7Process

WORKERS = 4
MOST = 1.3
"""The largest share of one worker, as a multiple of the mean."""


@pytest.fixture(scope="module", autouse=True)
def _descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 8192:
        pytest.skip(f"needs 8192 descriptors, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def clients() -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    yield opened
    for client in opened:
        client.close()


@pytest.fixture
def proxy(l7, origin) -> L7Process:
    config = CONFIG.format(origin().address) + "canary-time: 0\naccess-log: off\nlog-level: debug\n"
    return l7(config, workers=WORKERS, ready="ready: listening")


def sockets(pid: int) -> int:
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
        except OSError:
            continue
    return count


def held(proxy: L7Process, before: int, count: int) -> list[int]:
    """How many connections each worker holds, once all of them are accepted."""

    def counted() -> list[int]:
        return sorted(sockets(pid) - before for pid in proxy.workers())

    proxy.wait_for(lambda: len(proxy.workers()) == WORKERS and sum(counted()) == count, f"{count} connections")
    return counted()


def connect(proxy: L7Process, clients: list[socket.socket], count: int) -> None:
    for _ in range(count):
        clients.append(over_tls.connection(proxy.address, TIMEOUT))


def fair(shares: list[int]) -> bool:
    return max(shares) <= MOST * sum(shares) / len(shares)


def test_two_thousand_connections(proxy, clients):
    before = min(sockets(pid) for pid in proxy.workers())
    connect(proxy, clients, 2000)
    shares = held(proxy, before, 2000)
    assert fair(shares), shares


def test_connections_that_come_one_by_one(proxy, clients):
    """Each is asked something first, so that the next one comes when all workers sleep: the worst case for fairness."""
    before = min(sockets(pid) for pid in proxy.workers())
    for _ in range(300):
        client = over_tls.connection(proxy.address, TIMEOUT)
        clients.append(client)
        client.sendall(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    shares = held(proxy, before, 300)
    assert fair(shares), shares


def test_a_new_worker_catches_up(proxy, clients):
    before = min(sockets(pid) for pid in proxy.workers())
    connect(proxy, clients, 400)
    held(proxy, before, 400)
    victim = proxy.workers()[0]
    lost = sockets(victim) - before
    start = len(proxy.events)
    os.kill(victim, signal.SIGKILL)
    proxy.wait_for_event(r"ready after", start=start)
    connect(proxy, clients, 400)
    shares = held(proxy, before, 800 - lost)
    assert fair(shares), shares


def test_a_reload_hands_over_fairly(proxy, clients):
    before = min(sockets(pid) for pid in proxy.workers())
    connect(proxy, clients, 800)
    held(proxy, before, 800)
    old = proxy.workers()
    start = len(proxy.events)
    proxy.hup()
    proxy.wait_for_event("reload.done", start=start)
    proxy.wait_for(lambda: not set(old) & set(proxy.workers()), "the old workers' end")
    shares = held(proxy, before, 800)
    assert fair(shares), shares


def test_a_worker_that_stands_still_does_not_keep_others_from_accepting(proxy, clients):
    """It holds fewer than the others, and takes none: they take what it leaves."""
    stopped = proxy.workers()[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        connect(proxy, clients, 200)
        for _ in range(20):
            assert get(proxy.address, host="a").status == 200
    finally:
        os.kill(stopped, signal.SIGCONT)
