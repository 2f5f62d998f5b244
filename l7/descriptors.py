"""File descriptors of this process: how many it may have."""

from __future__ import annotations

import resource


def raise_limit() -> int:
    """Allow as many as the system grants, and return how many these are.

    The soft limit that a process is started with is often a leftover of ``select``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft
    return hard
