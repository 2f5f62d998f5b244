"""CPU time and memory of a process and all that it started, as the kernel counts them.

The sum comes from ``/proc/PID/task/*/schedstat`` in nanoseconds. How it divides into user and system is known by
sampling at the timer's ticks only (``utime``, ``stime``), so the split is good to a few percent over some seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Times:
    """CPU seconds of one process so far."""

    exact: float
    """Of its living threads, by the scheduler's clock."""
    user: float
    """In ticks of 10 ms, of the threads that have ended too."""
    system: float


@dataclass(frozen=True)
class Spent:
    """CPU seconds between two readings, and the time that passed meanwhile."""

    cpu: float
    user: float
    system: float
    wall: float
    foreign: float
    """What other processes took of the same cores."""


def parse_stat(text: str) -> tuple[int, int, int]:
    """Parent, ``utime`` and ``stime`` (ticks) of a ``/proc/PID/stat``, whose name may hold spaces and parentheses."""
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), int(fields[11]), int(fields[12])


def tree(root: int) -> list[int]:
    """The process and all that descend from it, now."""
    children: dict[int, list[int]] = {}
    for pid, text in _stats():
        children.setdefault(parse_stat(text)[0], []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _stats() -> Iterator[tuple[int, str]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "stat").read_text("utf-8", "replace")
            except OSError:
                continue  # it has ended


def times(pid: int) -> Times:
    """What a process has spent so far.

    :raises OSError: it has ended.
    """
    exact = 0
    for task in (PROC / str(pid) / "task").iterdir():
        try:
            exact += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue  # a thread that has just ended: the ticks still know it
    _, user, system = parse_stat((PROC / str(pid) / "stat").read_text("utf-8", "replace"))
    return Times(exact / 1e9, user * TICK, system * TICK)


def reaped(pid: int) -> float:
    """CPU seconds of those children of a process that have ended, in ticks of 10 ms.

    :raises OSError: it has ended itself.
    """
    text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    return sum(map(int, text[text.rindex(")") + 2 :].split()[13:15])) * TICK


class Stopwatch:
    """Measures a tree of processes from now on; processes that start later are not seen."""

    def __init__(self, root: int, cores: list[int]) -> None:
        self.pids = tree(root)
        self.cores = cores
        self.started = time.monotonic()
        self.busy = busy(cores)
        self.before = {pid: times(pid) for pid in self.pids}

    def read(self) -> Spent:
        """What has been spent since.

        :raises OSError: one of the processes has ended.
        """
        after = {pid: times(pid) for pid in self.pids}
        wall = time.monotonic() - self.started
        everybody = busy(self.cores) - self.busy
        pairs = [(self.before[pid], after[pid]) for pid in self.pids]
        user = sum(b.user - a.user for a, b in pairs)
        system = sum(b.system - a.system for a, b in pairs)
        cpu = sum(_total(a, b) for a, b in pairs)
        share = user / (user + system) if user + system else 0.5
        return Spent(cpu, cpu * share, cpu * (1 - share), wall, max(0.0, everybody - cpu))


def _total(before: Times, after: Times) -> float:
    exact = after.exact - before.exact
    ticks = (after.user + after.system) - (before.user + before.system)
    # A thread that ended in between took its exact count along; the ticks have it.
    return exact if exact > ticks - 3 * TICK else ticks


def parse_busy(text: str, cores: list[int]) -> float:
    """Seconds that these cores were not idle, from a ``/proc/stat``."""
    ticks = 0
    for line in text.splitlines():
        name, *fields = line.split()
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in cores:
            numbers = [int(field) for field in fields[:8]]
            ticks += sum(numbers) - numbers[3] - numbers[4]  # idle, iowait
    return ticks * TICK


def busy(cores: list[int]) -> float:
    """Seconds that these cores were not idle so far."""
    return parse_busy((PROC / "stat").read_text(), cores)


@dataclass(frozen=True)
class Memory:
    """Bytes: resident, and resident with what is shared divided by those who share it."""

    rss: int
    pss: int


def parse_rollup(text: str) -> Memory:
    """The sums of a ``/proc/PID/smaps_rollup``."""
    values = {}
    for line in text.splitlines()[1:]:
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) * 1024
    return Memory(values["Rss"], values["Pss"])


def memory_of(pid: int) -> Memory:
    """What one process holds now.

    :raises OSError: it has ended.
    """
    return parse_rollup((PROC / str(pid) / "smaps_rollup").read_text())


def memory(root: int) -> Memory:
    """What a process and its descendants hold now.

    :raises OSError: one of them has ended.
    """
    each = [memory_of(pid) for pid in tree(root)]
    return Memory(sum(one.rss for one in each), sum(one.pss for one in each))
