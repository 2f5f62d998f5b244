"""A network of its own for a test, where what is scarce on a real one can be made scarce without harm to anybody.

A network namespace belongs to a thread: what the thread opens and whom it starts is in it, the rest of the suite not.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import TIMEOUT

_CLONE_NEWNET = 0x40000000


def alone(test: Callable[[], None], settings: dict[str, str] | None = None) -> None:
    """Run ``test`` in a network namespace that has a loopback interface; skip it where none can be made.

    :param settings: what is set below ``net.`` there, as in ``{"ipv4/ip_local_port_range": "40000 40009"}``.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            _enter(settings or {})
            test()
        except BaseException as failure:  # it is the test's own: raised again below
            failures.append(failure)

    thread = threading.Thread(target=run, name="network", daemon=True)
    thread.start()
    thread.join(4 * TIMEOUT)
    assert not thread.is_alive(), "the test did not end"
    if failures:
        raise failures[0]


def _enter(settings: dict[str, str]) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        pytest.skip(f"no network namespace can be made: {os.strerror(ctypes.get_errno())}")
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, capture_output=True)
        for name, value in settings.items():
            Path("/proc/sys/net", name).write_text(value, encoding="ascii")
    except (OSError, subprocess.CalledProcessError) as failure:
        pytest.skip(f"the network namespace cannot be set up: {failure}")
