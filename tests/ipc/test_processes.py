"""Whether another process is there, also one that has ended and that nobody has asked how."""

from __future__ import annotations

import os

from l7.ipc.processes import runs
from tests.harness.children import forked


def test_a_process_runs_until_it_has_ended() -> None:
    assert runs(os.getpid()) and runs(os.getppid())
    assert not runs(0) and not runs(-1)
    child = forked(int)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not runs(child), "it has ended, and is still listed"
    os.waitpid(child, 0)
    assert not runs(child)
