"""The programs that the bench needs, from Debian's packages, installed where they are missing."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.bench.processes import BenchError

PACKAGES = {"nginx": "nginx", "haproxy": "haproxy", "wrk": "wrk", "openssl": "openssl", "cc": "gcc libc6-dev"}
"""Command and packages."""
CADDY = "caddy"
"""Command and package of what is measured where it can be had."""

POLICY = Path("/usr/sbin/policy-rc.d")


def missing() -> list[str]:
    """The packages whose commands are not here."""
    path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    return [package for command, package in PACKAGES.items() if not shutil.which(command, path=path)]


def require() -> None:
    """Install what is missing; Caddy alone may stay so.

    :raises BenchError: it is not ours to install, or could not be.
    """
    # Debian keeps servers where only root looks for programs.
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    wanted = missing()
    if not wanted:
        _offer(CADDY)
        return
    words = " ".join(wanted)
    if not shutil.which("apt-get"):
        raise BenchError(f"the bench needs {words}; install what your system calls so")
    if os.geteuid():
        raise BenchError(f"the bench needs {words}; as root: apt-get install {words}")
    print(f"installing {words}", flush=True)
    with _no_services():
        _apt("update")
        _apt("install", "-y", "--no-install-recommends", *words.split())
    if still := missing():
        raise BenchError(f"installed, and still not found: {' '.join(still)}")
    _offer(CADDY)


def _offer(package: str) -> None:
    """Install it where that is possible."""
    if shutil.which(package) or os.geteuid() or not shutil.which("apt-get"):
        return
    with _no_services(), contextlib.suppress(BenchError):
        _apt("update")
        _apt("install", "-y", "--no-install-recommends", package)


def _apt(*words: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["apt-get", "-qq", *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"apt-get {' '.join(words)} failed:\n{done.stdout}{done.stderr}")


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Installed to be measured, not to take port 80: Debian starts no service while this policy stands."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
