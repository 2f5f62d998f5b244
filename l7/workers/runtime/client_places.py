"""How many client connections a worker may have: its part of ``limits.connections``, where descriptors allow it."""

from __future__ import annotations

import os
from collections.abc import Callable

from l7.telemetry.events import named

MOST_SPARE = 512
"""The most descriptors that are reserved for connections to servers where descriptors are scarce."""
OTHERS = 8
"""Descriptors for logs, look-ups and the like."""


def places(wanted: int, index: int, workers: int, descriptors: int, report: Callable[[str], None]) -> int:
    """The part of ``wanted`` that worker ``index`` of ``workers`` has; the first one warns where they are too many."""
    share, extra = divmod(wanted, workers)
    share += index < extra
    able = clients_of(descriptors - len(os.listdir("/proc/self/fd")))
    if able < share and index == 0:
        many = f"{workers} workers have" if workers > 1 else "the worker has"
        words = (
            f"limits.connections: {wanted} are more than there are descriptors for: {many} places for "
            f"{able * workers} clients, because {descriptors} are allowed to a process and servers need some, too; "
            "raise the hard limit (`ulimit -n`, LimitNOFILE= in systemd), or lower limits.connections"
        )
        report(named("limits.lowered", words, clients=able * workers))
    return min(share, able)


def clients_of(descriptors: int) -> int:
    """How many clients ``descriptors`` allow, each with one more for a server (of many clients, for every third)."""
    spare = max(descriptors // 4, min(descriptors // 2, MOST_SPARE))
    return max(1, descriptors - spare - OTHERS)
