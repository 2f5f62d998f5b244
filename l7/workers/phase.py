"""The phases of a worker, from its start to its exit."""

from __future__ import annotations

from enum import IntEnum


class WorkerPhase(IntEnum):
    """What a worker does with its connections; a worker may skip phases, and never goes back to an earlier one."""

    SERVING = 0
    """Accepts connections and keeps them."""
    HANDING_OVER = 1
    """Accepts none; idle connections are handed over to the next generation. A reload, an upgrade."""
    FINISHING = 2
    """Accepts none; each connection ends with its next answer. The master is gone, and cannot pass them on."""
    STOPPING = 3
    """Accepts none; idle connections are closed, requests in flight are served. The whole of l7 stops."""
    CUTTING_OFF = 4
    """The time for that is over: requests in flight are cut off."""
