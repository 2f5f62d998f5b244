"""What all processes of l7 take together, and what ten thousand hosts cost, with room (``docs/performance.rst``)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.meter import times, tree
from tests.harness.accounts import root_only
from tests.harness.l7process import ROOT, L7Process

HOSTS = 10_000
SMALL = "backends: {'*': {servers: ['127.0.0.1:9']}}\naccess-log: off\ncanary-time: 200ms\npreflight: 0s\n"
READING = ("pydantic_core", "yaml/_yaml")
"""Parts of the paths of what reads a configuration, and is of no use to those that serve."""


def many(more: str = "") -> str:
    """A configuration of ten thousand hosts, each with a server of its own."""
    hosts = [f"  h{n}.example.com:\n    servers: [127.0.0.1:{10_000 + n}]\n" for n in range(HOSTS)]
    return "access-log: off\ncanary-time: 200ms\npreflight: 0s\nbackends:\n" + "".join(hosts) + more


def pss(pid: int) -> int:
    """The proportional set size of a process in KiB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def settled(proxy: L7Process, processes: int) -> list[int]:
    """The processes that stay, once those that end with a start or a reload have ended."""
    proxy.wait_for(lambda: len(tree(proxy.pid)) == processes, f"{processes} processes to stay")
    return tree(proxy.pid)


def megabytes(proxy: L7Process, processes: int) -> float:
    """PSS of all processes, in MB of 2^20 bytes."""
    return sum(map(pss, settled(proxy, processes))) / 1024


def seconds(proxy: L7Process) -> float:
    """CPU of the master and of its children that have ended."""
    fields = Path(f"/proc/{proxy.pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@root_only
def test_processes_take_little_memory_together(public):
    """Started as root, so that the opener is among them, and what reads certificates where Python is hidden (9 MB)."""
    taken = []
    for workers in (1, 2):
        with L7Process(SMALL, inherit=False, run_as="nobody", directory=public, workers=workers) as proxy:
            proxy.wait_for(proxy.control, "the monitor process")
            taken.append(megabytes(proxy, 3 + workers))
    assert taken[0] < 70
    assert taken[1] - taken[0] < 12


def test_nobody_who_serves_has_what_reads_configurations(l7):
    proxy = l7(SMALL, inherit=False)
    proxy.wait_for(proxy.control, "the monitor process")
    proxy.write_config(SMALL.replace(":9", ":10"))
    proxy.hup()
    proxy.wait_for_event("reload.done", generation=2)
    for pid in settled(proxy, 3):
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert not [name for name in READING if name in mapped], Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.timeout(180)
def test_ten_thousand_hosts_start_and_reload_in_seconds_of_cpu(l7):
    proxy = l7(many(), inherit=False, workers=2, timeout=120)
    proxy.wait_for(proxy.control, "the monitor process")
    started = seconds(proxy) + sum(times(pid).exact for pid in settled(proxy, 4)[1:])
    assert started < 6
    assert megabytes(proxy, 4) < 200
    proxy.write_config(many("  other.example.com: {servers: ['127.0.0.1:9']}\n"))
    before = seconds(proxy)
    proxy.hup()
    proxy.wait_for_event("reload.done", generation=2, timeout=120)
    assert seconds(proxy) - before < 8


def test_whoever_only_reads_still_validates():
    """The same schema in a process that serves, and in one that reads."""
    script = (
        "from l7 import validation\n"
        "validation.leave_to_others()\n"
        "from l7.config.schema import Config, Limits\n"
        "import sys\n"
        "assert 'pydantic' not in sys.modules\n"
        "assert Limits.model_construct().headers == 100\n"
        "validation.bring_back()\n"
        "from l7.config.schema import Config\n"
        "print(Config.model_validate({'port': '8080'}).port)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "8080\n"
