"""Children that the master did not start."""

from __future__ import annotations

import os
import subprocess

import pytest

from l7.master.children.orphans import reap_orphans


def test_only_children_of_others_are_reaped():
    ours, stranger = (subprocess.Popen(["true"]) for _ in range(2))
    os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOWAIT)
    os.waitid(os.P_PID, ours.pid, os.WEXITED | os.WNOWAIT)
    reap_orphans({ours.pid})  # it may be hidden behind ours
    assert ours.wait() == 0
    reap_orphans(())
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_PID, stranger.pid, os.WEXITED | os.WNOHANG)
    stranger.returncode = 0  # it cannot be waited for any more
