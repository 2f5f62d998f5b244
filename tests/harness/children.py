"""Children of the test's own process, for what several processes share."""

from __future__ import annotations

import os
from collections.abc import Callable


def forked(do: Callable[[], object]) -> int:
    """Run ``do`` in a child, which ends with 0 unless that raises; returns its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            do()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def in_child(do: Callable[[], object]) -> None:
    """Run ``do`` in a child, which must not fail."""
    assert os.waitpid(forked(do), 0)[1] == 0
