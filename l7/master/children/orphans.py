"""Children that l7 did not start.

Process 1 of a container inherits every process there whose parent has ended, and so does one that a shell has become
by ``exec`` with a job in the background. One that has ended stays as a zombie until its parent asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Collection


def reap_orphans(own: Collection[int]) -> None:
    """Reap exited children that are not in ``own``; those in ``own`` are reaped by `ChildTable.reap`.

    One of ``own`` that has ended hides those behind it until it is reaped: call this again after that.
    """
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)
        except ChildProcessError:
            return  # there is no child at all
