"""What is done to a running l7, and awaited: a reload, a canary, an upgrade, the monitor process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.harness import TIMEOUT
from tests.harness.l7process import L7Process


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


SUSPENDING = """
import os
if 'L7_UPGRADE_FDS' in os.environ:
    import signal
    from l7.workers import process
    run = process.run

    def stop_master(spec):
        if spec.generation.number == 2 and os.path.exists(__file__):
            os.kill(os.getppid(), signal.SIGSTOP)
        return run(spec)

    process.run = stop_master
"""
"""A module that each Python imports first: the first worker of an l7 that an upgrade has started stops its master."""


def suspending(directory: Path) -> dict[str, str]:
    """The environment of an l7 for `suspended_successor`."""
    (directory / "sitecustomize.py").write_text(SUSPENDING)
    return {"PYTHONPATH": str(directory)}


@contextmanager
def suspended_successor(proxy: L7Process) -> Iterator[psutil.Process]:
    """Ask for an upgrade; the next master stands still while its first worker boots, and goes on at the end.

    Its worker may serve meanwhile, and its master does not know. l7 was started with the environment of `suspending`.
    """
    master = psutil.Process(proxy.pid)
    before = {child.pid for child in master.children()}
    proxy.signal(signal.SIGUSR2)
    until = time.monotonic() + TIMEOUT
    while not (stopped := [one for one in _others(master, before) if one.status() == psutil.STATUS_STOPPED]):
        assert time.monotonic() < until, "no next l7 whose first worker boots"
        time.sleep(0.005)
    (successor,) = stopped
    try:
        yield successor
    finally:
        with suppress(psutil.NoSuchProcess):
            successor.resume()


def _others(master: psutil.Process, known: set[int]) -> list[psutil.Process]:
    """The children of a master that have come since."""
    return [child for child in master.children() if child.pid not in known]


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
