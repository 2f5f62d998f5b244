"""What the bench ran on: printed with every result, because figures of different machines do not compare."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import BenchError


@dataclass(frozen=True)
class Cores:
    """Who runs where."""

    proxy: list[int]
    load: list[int]
    pair: list[int]
    """Of two workers: on a machine with two cores the second is shared with the load."""

    @property
    def apart(self) -> bool:
        """Whether two workers have two cores for themselves."""
        return not set(self.pair) & set(self.load)


def divide(available: list[int]) -> Cores:
    """Give the proxy the first core and the load the rest; two workers get the first two.

    :raises BenchError: there is one core only.
    """
    cores = sorted(available)
    if len(cores) < 2:
        raise BenchError("the bench needs two cores: one for the proxy, one for the load")
    return Cores(cores[:1], cores[2:] if len(cores) > 3 else cores[1:], cores[:2])


def cores() -> Cores:
    """The cores that this process may use, divided."""
    return divide(sorted(os.sched_getaffinity(0)))


def processor(cpuinfo: str) -> str:
    """The name of the processor, from a ``/proc/cpuinfo``."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def version(*command: str) -> str:
    """The first line that a program prints about its version."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].split(" - ")[0].replace("nginx version: ", "") if lines else "unknown"


def l7_version(pure: bool) -> str:
    """The first line that ``l7 --version`` says, as the bench would run it."""
    environment = {**os.environ, "L7_PURE_PYTHON": "1"} if pure else dict(os.environ)
    command = [sys.executable, "-m", "l7", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)
    if done.returncode:
        raise BenchError(f"l7 --version failed:\n{done.stderr}")
    return done.stdout.splitlines()[0]


def l7_is_compiled() -> bool:
    """Whether l7 runs with compiled modules when nothing keeps it from it."""
    return "pure" not in l7_version(pure=False).lower()


def description() -> dict[str, str]:
    """The machine and the programs, by the names that a reader would ask for."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": processor(Path("/proc/cpuinfo").read_text("utf-8", "replace")),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "nginx": version("nginx", "-v"),
        "HAProxy": version("haproxy", "-v"),
        **({"Caddy": version("caddy", "version")} if shutil.which("caddy") else {}),
        "OpenSSL": version("openssl", "version"),
        "wrk": version("wrk", "--version"),
        "l7": l7_version(pure=False),
    }
