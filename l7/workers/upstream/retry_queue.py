"""Waiting for a server that takes connections: requests that all servers have refused, first come, first served.

Nothing of them was sent, so nothing is lost by waiting. A request that comes while others wait, waits behind them. As
soon as a server is known to take connections again (`Member.unreachable`) the first one is retried; each that gets a
connection releases the next ones, so that a server with a short backlog is not overrun; one that is refused again goes
back to its old position. Where no connect probes run, one request every `PAUSE` is the probe.

Each worker keeps its own requests in order and publishes since when the first one waits: a request is retried at most
`UNFAIR` before one that waits longer in another worker.
"""

from __future__ import annotations

import time
from bisect import insort
from typing import Any, Protocol

from gevent import get_hub

from l7.balancing.members import Member
from l7.clock import monotonic
from l7.errors import CLIENT_GONE_QUEUE, CONNECT_REFUSED, NO_SERVER, ProxyError
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import KNOCKED_AT, RETRY_WAITS, RETRYING, RETRYING_LOOKED, RETRYING_OLDEST
from l7.sharedmem.memory import MONITOR
from l7.workers.runtime import switching
from l7.workers.upstream.queue import ASLEEP, QueuedRequest

LOOK = 0.01
"""Seconds between two looks at whether a request can be retried."""
PAUSE = 0.1
"""Seconds between two retries where no server is known to take connections, or one takes them and then fails."""
MOST_TRYING = 32
"""The most requests of one worker that connect at a time."""
UNFAIR = 100_000_000
"""Nanoseconds by which a request may precede one that has waited longer in another worker."""


class RetriedBackend(Protocol):
    """The backend whose servers are waited for."""

    at: int
    members: list[Member]

    def settle(self) -> None:
        """Called when the first request begins to wait, and when the last one has ended its wait."""


class RetryQueue:
    """The requests of one backend that wait in this worker, each at most ``seconds`` from its first failure."""

    __slots__ = (
        "_at",
        "_failure",
        "_latest",
        "_line",
        "_next",
        "_seconds",
        "_timer",
        "_trying",
        "_upstream",
        "_window",
        "_writer",
        "entered",
    )

    def __init__(self, upstream: RetriedBackend, writer: CounterWriter, seconds: float) -> None:
        self._upstream = upstream
        self._writer = writer
        self._at = upstream.at
        self._seconds = seconds
        self.entered = 0
        """Requests that have entered the queue since the worker started."""
        self._line: list[QueuedRequest] = []
        self._timer: Any = None
        self._trying = 0
        """Released requests without a connection yet."""
        self._window = 1
        """The most requests that may be released without a connection."""
        self._next = 0.0
        """When the next one may be released."""
        self._latest = 0.0
        """When the last one was released."""
        self._failure = ProxyError(NO_SERVER)
        """The last failure of any request: reported by those that queued without an attempt of their own."""

    @property
    def waiting(self) -> int:
        """The number of requests that wait."""
        return len(self._line)

    def wait(self, forwarded: Any, failure: ProxyError | None = None) -> None:
        """Wait until the request may be retried; raises ``failure`` at the end of its time, or that its client left."""
        self._note(forwarded, failure)
        if not forwarded.failing_since:
            forwarded.failing_since = monotonic()
        until = min(forwarded.failing_since + self._seconds, forwarded.deadline.until)
        if monotonic() >= until:
            raise failure or self._failure
        waiter = QueuedRequest(forwarded, ())
        waiter.since = int(forwarded.failing_since * 1e9)
        began = monotonic()
        insort(self._line, waiter, key=_since)
        self._show()
        waiter.attend(until)
        switching.switch(get_hub())
        waiter.detach()
        if waiter in self._line:
            self._line.remove(waiter)
        self._show()
        forwarded.exchange.queue_time += monotonic() - began
        if forwarded.released:
            return
        if waiter.gone:
            raise ProxyError(CLIENT_GONE_QUEUE, "closed while waiting for a server")
        raise failure or self._failure

    def _note(self, forwarded: Any, failure: ProxyError | None) -> None:
        """Note the failure of a request that enters the queue, for the first time or again."""
        if not forwarded.failing_since or not forwarded.exchange.queue_time:
            self._writer.add(self._at + RETRY_WAITS, 1)
            self.entered += 1
        if forwarded.released:
            self.settled(forwarded)
            self._window = 1
        if failure is not None:
            self._failure = failure
            if failure.kind is not CONNECT_REFUSED:
                self._next = monotonic() + PAUSE

    def settled(self, forwarded: Any) -> None:
        """Count a released request as connected or failed."""
        forwarded.released = False
        self._trying -= 1

    def connected(self, forwarded: Any) -> None:
        """Note that a released request has a connection, and allow more to be released."""
        self.settled(forwarded)
        self._window = min(self._window + 1, MOST_TRYING)
        if self._line:
            self.move()

    def move(self) -> None:
        """Release the requests whose turn it is."""
        now = monotonic()
        while self._line and self._line[0].until <= now:
            self._line.pop(0).time_out()
        if self._line and now >= self._next and self._may_try(now):
            while self._line and self._trying < self._window and self._is_our_turn():
                waiter = self._line.pop(0)
                if waiter.woken:
                    continue  # it is about to leave
                waiter.forwarded.released = True
                self._trying += 1
                self._latest = now
                waiter.wake()
                self._show()
        self._show()

    def _may_try(self, now: float) -> bool:
        """Whether one more may be released; while earlier ones are undecided, one more now and then."""
        promising = self._is_promising()
        if not promising and not self._is_forsaken():
            return False
        if now >= self._latest + PAUSE:
            self._window = min(max(self._window if promising else 0, self._trying + 1), MOST_TRYING)
            return self._trying < self._window
        return promising and self._trying < self._window

    def _is_promising(self) -> bool:
        """Whether any server may take connections."""
        return any(one.verdict.usable and not one.unreachable for one in self._upstream.members)

    def _is_forsaken(self) -> bool:
        """Whether no server was probed lately."""
        knocked = (self._writer.read(MONITOR, one.at + KNOCKED_AT) for one in self._upstream.members)
        return max(knocked, default=0) < time.monotonic_ns() - 2 * ASLEEP

    def _is_our_turn(self) -> bool:
        """Whether no request has waited much longer in another worker that does not hang."""
        writer, at = self._writer, self._at
        latest, awake = self._line[0].since - UNFAIR, time.monotonic_ns() - ASLEEP
        for number in range(writer.lanes()):
            if (
                0 < writer.read(number, at + RETRYING_OLDEST) < latest
                and writer.read(number, at + RETRYING_LOOKED) > awake
            ):
                return False
        return True

    def _show(self) -> None:
        """Publish how many requests wait here, and since when the first one does."""
        line, writer, at = self._line, self._writer, self._at
        writer.put(at + RETRYING_LOOKED, time.monotonic_ns())
        writer.put(at + RETRYING, len(line))
        writer.put(at + RETRYING_OLDEST, line[0].since if line else 0)
        if line and self._timer is None:
            self._window = 1
            self._timer = get_hub().loop.timer(LOOK, LOOK)
            self._timer.start(self.move)
            self._upstream.settle()
        elif not line and self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
            self._upstream.settle()


def _since(waiter: QueuedRequest) -> int:
    return waiter.since
