"""Whether another process is there."""

from __future__ import annotations

import os


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended; True where that cannot be known, False for 0 and less."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0 and not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether it has ended, and its parent has not asked how."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[:1] == ["Z"]
    except OSError:
        return False
