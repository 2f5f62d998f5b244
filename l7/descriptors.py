"""File descriptors of this process: how many it may have, and which the loop watches."""

from __future__ import annotations

import os
import resource
from select import epoll as _Epoll  # by name: patching takes it out of the module


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


def unwatch(epoll: int, descriptor: int) -> None:
    """Take a descriptor out of an ``epoll``: closing it does that only where it is the last one of its file."""
    try:
        with _Epoll.fromfd(os.dup(epoll)) as watched:
            watched.unregister(descriptor)
    except OSError:
        return
