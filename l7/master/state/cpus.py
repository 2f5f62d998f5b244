"""How many CPUs this process may use: what ``workers: auto`` means."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SELF = Path("/proc/self/cgroup")

_Quota = Callable[[Path], "float | None"]


def usable_cpus(affinity: int | None = None, root: Path = CGROUPS, membership: Path = SELF) -> int:
    """The CPUs of the affinity mask or, where that is less, of the smallest cgroup quota (rounded up); at least 1."""
    cpus = affinity if affinity is not None else len(os.sched_getaffinity(0))
    quotas = [math.ceil(quota) for quota in cgroup_quotas(root, membership)]
    return max(1, min([cpus, *quotas]))


def cgroup_quotas(root: Path, membership: Path) -> Iterator[float]:
    """The CPU quotas of the cgroups that this process is in and of all above them, in CPUs; version 2 and 1."""
    for line in _read(membership).splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            yield from _climb(root, path, _quota_v2)
        elif "cpu" in controllers.split(","):
            for mount in ("cpu", "cpu,cpuacct"):
                yield from _climb(root / mount, path, _quota_v1)


def _climb(root: Path, path: str, quota_of: _Quota) -> Iterator[float]:
    # In a container the path may be the host's, of which only the root is to be seen here.
    group = root / path.lstrip("/")
    for directory in [group, *group.parents]:
        quota = quota_of(directory)
        if quota:
            yield quota
        if directory == root:
            return


def _quota_v2(directory: Path) -> float | None:
    quota, _, period = _read(directory / "cpu.max").strip().partition(" ")
    return _ratio(quota, period or "100000")


def _quota_v1(directory: Path) -> float | None:
    return _ratio(_read(directory / "cpu.cfs_quota_us").strip(), _read(directory / "cpu.cfs_period_us").strip())


def _ratio(quota: str, period: str) -> float | None:
    if not (quota.isdigit() and period.isdigit() and int(quota) and int(period)):
        return None  # "max", -1 or nothing at all: no quota
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
