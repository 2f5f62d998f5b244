"""The master's gauges, and the workers' counters that belong to no backend: one row of the shared memory.

A scrape reads them there without asking the master, so it is answered also while the master is busy.
"""

from __future__ import annotations

from typing import Final

from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import place
from l7.sharedmem.memory import MASTER, OF_MASTER

STARTED = 10
"""When l7 was started, as milliseconds since 1970; an upgrade in place is a start."""
GENERATION = 11
"""The generation that is served; during a reload the old one until all workers are of the new one."""
PHASE = 12
"""The master's phase: one of the three below."""
WANTED = 13
"""The configured number of workers, changed by TTIN and TTOU."""
RELOADS_DONE = 14
RELOADS_FAILED = 15
"""Reloads that were refused or rolled back."""
LAST_RELOAD_FAILED = 16
LAST_RELOAD_AT = 17
"""When the last reload ended, in milliseconds since 1970; the start counts as one."""
WORKER_STARTS = 18
"""Workers started."""
WORKERS = 19
"""Workers in each of `STATES`: a cell for each."""

IDLE_CLOSED = 24
"""Idle client connections that were closed because new ones needed their places or descriptors; this and the
following cells are written by workers, each in its own lane."""
WAITED = 25
"""Client connections that had to wait for a place because none was idle."""
IDLE_TOLD_AT = 26
"""When an event last said that idle connections are closed for new ones; nanoseconds."""
BUSY_TOLD_AT = 27
"""When an event last said that clients wait; nanoseconds."""

PROXY_REFUSED = 28
"""Connections that were closed for want of a right PROXY header: a cell for each of `PROXY_REFUSALS`."""
PROXY_TOLD_AT = 33
"""When an event last told of one, for each of them; nanoseconds."""
RATE_TOLD_AT = 38
"""When an event last said that a rate limit has refused what may be a proxy; nanoseconds."""

SPANS_LOST = 48
"""Spans that found the channel to the monitor process full; workers."""
SPANS_EXPORTED = 49
"""Spans that the collector has taken; this and the following cells are written by the monitor process."""
SPANS_OVERFLOWED = 50
"""Spans that found the queue for the collector full."""
SPANS_REFUSED = 51
"""Spans that the collector refused, or did not take in time."""

STARTING, SERVING, ENDING = range(3)

STATES: Final = ("starting", "ready", "draining", "stopping", "lost")
"""States of a worker as they are counted; ``lost`` is one without a heartbeat, until it has exited."""

PROXY_REFUSALS: Final = ("not_listed", "no_header", "malformed", "timeout", "closed")
"""Why: the peer may send none, sent something else, sent a wrong one, took too long for it, left within it."""

assert PROXY_TOLD_AT + len(PROXY_REFUSALS) <= RATE_TOLD_AT
assert PROXY_REFUSED + len(PROXY_REFUSALS) <= PROXY_TOLD_AT
assert WORKERS + len(STATES) <= IDLE_CLOSED


class MasterGauges:
    """Reads these cells and, in the master, writes them."""

    def __init__(self, writer: CounterWriter) -> None:
        self._writer = writer

    def __getitem__(self, cell: int) -> int:
        return self._writer.read(MASTER, place(OF_MASTER, cell))

    def __setitem__(self, cell: int, value: int) -> None:
        self._writer.put(place(OF_MASTER, cell), value)

    def workers(self) -> dict[str, int]:
        """The number of workers by state."""
        return {state: self[WORKERS + number] for number, state in enumerate(STATES)}

    def unready(self) -> str:
        """Why ``/readyz`` should answer no, as text; empty when l7 is ready."""
        phase, ready = self[PHASE], self.workers()["ready"]
        if phase == ENDING:
            return "stopping"
        if phase == STARTING or not ready:
            return f"{ready} of {self[WANTED]} workers are ready"
        return ""
