"""What a proxy takes before it has traffic: memory, process by process for l7, and what its start and a reload cost."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from pathlib import Path

from tests.bench import meter
from tests.bench.processes import BenchError, running, tail, wait_for

STAYS = 1.0
"""Seconds for which the processes must be the same: what only starts or reloads has ended by then."""
RELOAD_TIME = 60.0
MIB = 2**20
_TITLE = re.compile(rb"^l7: ([a-z]+)")


def measure(pid: int, answered_after: float, directory: Path, reloads: bool) -> dict[str, float]:
    """The figures of a proxy that was just started and has answered once.

    :param answered_after: the seconds that passed between its start and that answer.
    :param reloads: whether to reload it: it is l7, with its file in *directory*.
    :raises BenchError: it did not come to rest, or its reload failed.
    """
    stay = settled(pid)
    taken = [(title(one), meter.memory_of(one).pss / MIB) for one in stay]
    figures = {"start_s": answered_after, "start_cpu_s": cpu_of_start(pid), "pss_mib": sum(size for _, size in taken)}
    for name in ("master", "opener", "worker", "monitor"):
        if sizes := [size for called, size in taken if called == name]:
            figures[f"{name}_mib"] = sum(sizes) / len(sizes)
    return figures | (reload(pid, directory) if reloads else {})


def settled(pid: int) -> list[int]:
    """The processes of a proxy, once they stay.

    :raises BenchError: there are always others.
    """
    last, since = meter.tree(pid), time.monotonic()

    def stays() -> bool:
        nonlocal last, since
        if (now := meter.tree(pid)) != last:
            last, since = now, time.monotonic()
        return time.monotonic() > since + STAYS

    wait_for(stays, "no process that ends or begins", RELOAD_TIME)
    return last


def title(pid: int) -> str:
    """What a process of l7 calls itself, in one word; empty for others."""
    found = _TITLE.match((meter.PROC / str(pid) / "cmdline").read_bytes())
    return found.group(1).decode() if found else ""


def cpu_of_start(pid: int) -> float:
    """CPU seconds of a proxy so far, with those of its first process's children that have ended."""
    return sum(spent(pid).values()) + meter.reaped(pid)


def spent(pid: int) -> dict[int, float]:
    """CPU seconds of each process of a proxy so far."""
    found = {}
    for one in meter.tree(pid):
        with contextlib.suppress(OSError):  # it has just ended
            found[one] = meter.times(one).exact
    return found


def reload(pid: int, directory: Path) -> dict[str, float]:
    """Change the file, and reload. What ends meanwhile is looked at every hundredth of a second until it does.

    :raises BenchError: it failed.
    """
    file, log = directory / "l7.yml", directory / "reload.log"
    with file.open("a") as config:
        config.write("limits: {headers: 101}\n")
    command = [sys.executable, "-m", "l7", "reload", "--config", str(file)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("L7_")}
    before = spent(pid)
    last = dict(before)
    begun = time.monotonic()
    with running(command, sorted(os.sched_getaffinity(0)), log, environment=environment) as child:
        while child.poll() is None:
            last |= spent(pid)
            if time.monotonic() > begun + RELOAD_TIME:
                raise BenchError(f"l7 reload did not end:\n{tail(log)}")
            time.sleep(0.01)
        if child.returncode:
            raise BenchError(f"l7 reload failed:\n{tail(log)}")
    seconds = time.monotonic() - begun
    settled(pid)
    last |= spent(pid)
    return {"reload_s": seconds, "reload_cpu_s": sum(last.values()) - sum(before.values())}
