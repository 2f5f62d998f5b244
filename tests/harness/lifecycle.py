"""What is done to a running l7, and awaited: a reload, a canary, an upgrade, the monitor process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.harness import TIMEOUT
from tests.harness.l7process import WORKER, L7Process


def reload(proxy: L7Process, config: str | None = None) -> list[int]:
    """Reload, with another configuration where one is given, and wait until it is done; returns the old workers."""
    start, old = len(proxy.events), proxy.workers()
    if config is not None:
        proxy.write_config(config)
    proxy.hup()
    proxy.wait_for_event("reload.done", start=start)
    return old


def canary(proxy: L7Process) -> psutil.Process:
    """The new worker that is being watched."""
    proxy.wait_for_event("reload.watched")
    found = []
    for child in psutil.Process(proxy.pid).children():
        with suppress(psutil.NoSuchProcess):  # the monitor process of the old generation ends meanwhile
            if child.cmdline()[:1] == ["l7: worker 1 (generation 2)"]:
                found.append(child)
    (one,) = found
    return one


def upgrade(proxy: L7Process, pid: int | None = None) -> int:
    """Ask for an upgrade, wait until it is done, and return the pid of the new master."""
    start = len(proxy.events)
    os.kill(proxy.pid if pid is None else pid, signal.SIGUSR2)
    found = proxy.wait_for_event(r"upgrade\.done .*pid=(\d+):", start=start)
    return int(found.group(1))


SLICE = 0.002
"""Seconds for which a process that is followed goes on at a time."""


def _workers(master: psutil.Process) -> list[psutil.Process]:
    """The workers of a master; it has another child while its configuration is read."""
    found = []
    for child in master.children():
        with suppress(psutil.NoSuchProcess):
            found += [child] if child.cmdline()[:1] and child.cmdline()[0].startswith(WORKER) else []
    return found


@contextmanager
def suspended_successor(proxy: L7Process) -> Iterator[psutil.Process]:
    """Ask for an upgrade, and stop the next master while its first worker boots; it goes on at the end.

    Its worker may serve meanwhile, and its master does not know.
    """
    master = psutil.Process(proxy.pid)
    before = {child.pid for child in master.children()}
    proxy.signal(signal.SIGUSR2)
    until = time.monotonic() + TIMEOUT
    while not (born := [child for child in master.children() if child.pid not in before]):
        assert time.monotonic() < until, "no next l7"
    (successor,) = born
    successor.suspend()
    if os.geteuid() == 0:
        successor.nice(10)  # or on a busy machine it does all of it in one slice, before it is suspended again
    while not _workers(successor):  # looked for while it stands still: a worker boots in less time than looking takes
        assert time.monotonic() < until, "no worker of the next l7"
        successor.resume()
        time.sleep(SLICE)
        successor.suspend()
    if os.geteuid() == 0:
        for one in (successor, *successor.children()):
            one.nice(0)
    try:
        yield successor
    finally:
        with suppress(psutil.NoSuchProcess):
            successor.resume()


def stop_successor(proxy: L7Process, pid: int) -> None:
    """Stop a master that is not the test's own child, and see that nothing is left."""
    os.kill(pid, signal.SIGTERM)
    proxy.wait()
    proxy.assert_nothing_left(TIMEOUT)


def wait_for_control(proxy: L7Process, generation: int, without: int | None = None) -> int:
    """Wait until there is one monitor process, of this generation, and another one than ``without``."""

    def found() -> bool:
        pid = proxy.control()
        return pid not in (None, without) and proxy.title(pid or 0) == f"l7: monitor (generation {generation})"

    proxy.wait_for(found, f"the monitor process of generation {generation}")
    pid = proxy.control()
    assert pid is not None
    return pid
