"""How many CPUs this process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from l7.master.state.cpus import usable_cpus


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/a/b\n", {}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000"}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000"}, 2),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/not/visible/here\n", {"cpu.max": "300000 100000"}, 3),
        ("4:cpu,cpuacct:/x\n", {"cpu,cpuacct/x/cpu.cfs_quota_us": "200", "cpu,cpuacct/x/cpu.cfs_period_us": "100"}, 2),
        ("4:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 8),
        ("nonsense", {}, 8),
    ],
)  # fmt: skip
def test_usable_cpus(tmp_path: Path, membership: str, files: dict[str, str], expected: int):
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (tmp_path / "self").write_text(membership)
    assert usable_cpus(8, tmp_path / "cgroup", tmp_path / "self") == expected


def test_usable_cpus_here():
    assert 1 <= usable_cpus() <= len(os.sched_getaffinity(0))
