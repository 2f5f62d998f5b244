"""Waiting for a server with room: first come, first served, over all workers.

Each worker keeps its own requests in order and publishes since when its first one waits; only the worker whose first
one waits longest takes free capacity. It looks when one of its own requests ends, and every millisecond, because the
end of other workers' requests is not announced. A client that disconnects leaves the queue, and a worker that hangs is
ignored. A request that some servers have failed already can go to the others only: it precedes later ones, but does
not block those that can go where it cannot.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from gevent import get_hub

from l7.balancing.members import Member
from l7.clock import monotonic
from l7.config.sections.backends import Queue as Settings
from l7.errors import CLIENT_GONE_QUEUE, QUEUE_TIMEOUT, ProxyError
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import LOOKED, OLDEST, OVERFLOWED, QUEUED, place
from l7.workers.runtime import switching
from l7.workers.transport.stream import NEVER

LOOK = 0.001
"""Seconds between two looks for a free server while any request waits.

It takes one or two per cent of a CPU meanwhile; with five times as much, quick servers were idle a third of theirs.
"""
ASLEEP = 250_000_000
"""Nanoseconds without a look after which a worker with queued requests is taken for dead or hung."""


class MemberSource(Protocol):
    """What gives a request a member with room."""

    def claim(self, forwarded: Any, tried: Sequence[Member]) -> Member | None:
        """A member that has room now; None when none has."""


class QueuedRequest:
    """One request that waits; meanwhile its client is watched."""

    __slots__ = (
        "_greenlet",
        "forwarded",
        "gone",
        "late",
        "member",
        "since",
        "tried",
        "until",
        "woken",
    )  # fmt: skip

    def __init__(self, forwarded: Any, tried: Sequence[Member]) -> None:
        self.forwarded = forwarded
        self.tried = tried
        self.since = time.monotonic_ns()
        self.member: Member | None = None
        """The member that it was given."""
        self.gone = False
        """Whether the client has disconnected."""
        self.late = False
        """Whether its time was up."""
        self.until = NEVER
        """When its time is up."""
        self._greenlet = switching.current()
        self.woken = False
        """Whether its greenlet is scheduled to go on."""

    def attend(self, until: float) -> None:
        """Watch the client until the greenlet is woken, or it is ``until``."""
        self.until = until
        self.forwarded.client.watch(self, until)

    def detach(self) -> None:
        """Stop watching the client."""
        self.forwarded.client.unwatch()

    def wake(self) -> None:
        """Let the request go on as soon as the loop is reached."""
        if not self.woken:
            self.woken = True
            get_hub().loop.run_callback(self._greenlet.switch)

    def time_out(self) -> None:
        """End the wait with ``late``."""
        self.late = True
        self.wake()

    def client_left(self) -> None:
        """End the wait with ``gone``."""
        self.gone = True
        self.wake()


class RequestQueue:
    """The requests of one backend that wait in this worker for a server with room."""

    __slots__ = ("_at", "_places", "_settings", "_timer", "_waiters", "_writer", "waiting")

    def __init__(self, places: MemberSource, writer: CounterWriter, row: int, settings: Settings) -> None:
        self._places = places
        self._writer = writer
        self._at = place(row)
        self._settings = settings
        self._waiters: deque[QueuedRequest] = deque()
        self._timer: Any = None
        self.waiting = 0

    def wait(self, forwarded: Any, tried: Sequence[Member]) -> Member:
        """Wait for a member; raises `ProxyError` when the time is up or the client disconnects."""
        waiter = QueuedRequest(forwarded, tuple(tried))
        self._waiters.append(waiter)
        self._show()
        waiter.attend(min(monotonic() + self._settings.timeout, forwarded.deadline.until))
        self.move()
        switching.switch(get_hub())
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        self._show()
        waiter.detach()
        forwarded.exchange.queue_time += (time.monotonic_ns() - waiter.since) / 1e9
        if waiter.member is not None:
            return waiter.member
        if waiter.gone:
            raise ProxyError(CLIENT_GONE_QUEUE, "closed, or half-closed for too long, while waiting for a server")
        self._writer.add(self._at + OVERFLOWED, 1)
        raise ProxyError(QUEUE_TIMEOUT, f"waited {forwarded.exchange.queue_time:.3g} s")

    def move(self) -> None:
        """Give members with room to the requests whose turn it is."""
        self._writer.put(self._at + LOOKED, time.monotonic_ns())
        for waiter in tuple(self._waiters):
            if waiter.woken:
                continue  # it is about to leave
            if not self._is_our_turn(waiter.since):
                break
            member = self._places.claim(waiter.forwarded, waiter.tried)
            if member is not None:
                waiter.member = member
                self._waiters.remove(waiter)
                self._show()
                waiter.wake()
            elif not waiter.tried:
                break

    def _is_our_turn(self, since: int) -> bool:
        """Whether no request waits longer in another worker that does not hang; equal times go by lane."""
        awake = time.monotonic_ns() - ASLEEP
        for number in range(self._writer.lanes()):
            if 0 < self._writer.read(number, self._at + OLDEST) < since and self._looked(number) > awake:
                return False
        return True

    def _looked(self, number: int) -> int:
        """When the worker of lane ``number`` last looked for a free server."""
        return self._writer.read(number, self._at + LOOKED)

    def _show(self) -> None:
        """Publish how many requests wait here, and since when the first of those that any server may get."""
        self.waiting = len(self._waiters)
        oldest = next((waiter.since for waiter in self._waiters if not waiter.tried), 0)
        self._writer.put(self._at + LOOKED, time.monotonic_ns())
        self._writer.put(self._at + QUEUED, self.waiting)
        self._writer.put(self._at + OLDEST, oldest)
        if self._waiters and self._timer is None:
            self._timer = get_hub().loop.timer(LOOK, LOOK)
            self._timer.start(self.move)
        elif not self._waiters and self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
