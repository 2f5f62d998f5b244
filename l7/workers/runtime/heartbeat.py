"""What a worker publishes of itself on the scoreboard: that its loop turns, how late, and what it holds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sized

from l7.sharedmem import scoreboard as cells
from l7.workers.proxy import Proxy

SAMPLES = 5
"""Heartbeats over which requests a second are counted: two seconds."""


class HeartbeatWriter:
    """Writes ``slot``: the heartbeat, and the counts of the proxy, its ``connections`` and the ``relays``."""

    def __init__(self, slot: memoryview, proxy: Proxy, connections: Sized, relays: Sized) -> None:
        self._cells = slot
        self._proxy = proxy
        self._connections = connections
        self._relays = relays
        self._beaten = 0
        self._samples: deque[tuple[int, int]] = deque(maxlen=SAMPLES)
        """Times of heartbeats, each with the number of requests by then."""

    def beat(self) -> None:
        """Publish the heartbeat, the loop's lag, and the counts."""
        slot = self._cells
        now = time.monotonic_ns()
        if self._beaten:
            slot[cells.LAG] = max(0, (now - self._beaten) // 1000 - int(cells.BEAT_INTERVAL * 1e6))
        slot[cells.BEAT] = self._beaten = now
        self._samples.append((now, self._proxy.requests))
        self.show()

    def show(self) -> None:
        """Publish the counts."""
        slot, proxy = self._cells, self._proxy
        slot[cells.CONNECTIONS] = len(self._connections)
        slot[cells.RELAYED] = len(self._relays)
        slot[cells.IN_FLIGHT] = proxy.in_flight
        slot[cells.BUFFERED] = proxy.buffers.used
        slot[cells.REQUESTS] = proxy.requests
        begin, before = self._samples[0]
        slot[cells.RATE] = (proxy.requests - before) * 10**12 // max(1, time.monotonic_ns() - begin)
        # A request that waits for a server counts at once, not when its time is up: a canary is compared sooner.
        waits = proxy.upstreams.retry_waits()
        slot[cells.ANSWERS] = proxy.answered + waits
        slot[cells.FAULTS] = proxy.faults + waits
