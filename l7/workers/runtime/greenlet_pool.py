"""Greenlets that wait for work: starting one costs 8 µs, waking a parked one 0.2.

An idle connection has no greenlet. When bytes come, a greenlet of the pool serves it until it is idle again.

Hot: a request that comes on an idle connection is two switches here and two in `l7.workers.transport.stream`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from gevent import get_hub
from greenlet import greenlet

from l7.workers.runtime import switching

Task = Callable[[], None]

PARKED = 256
"""How many greenlets are kept for later: each holds some 10 KB."""


class GreenletPool:
    """Runs tasks, each in a greenlet of its own."""

    __slots__ = ("_hub", "_parked", "_spare", "working")

    def __init__(self) -> None:
        self._hub = get_hub()
        self._spare: greenlet | None = None
        """One that is parked; the others are in a list, which would grow and shrink with each request."""
        self._parked: list[greenlet] = []
        self.working = 0

    def start(self, task: Task) -> None:
        """Run ``task`` as soon as the loop is reached: for greenlets, which go on first."""
        self._hub.loop.run_callback(self.begin, task)

    def begin(self, task: Task) -> None:
        """Run ``task`` now: for callbacks of the loop; returns when the task first waits or is done."""
        spare = self._spare
        if spare is not None:
            self._spare = None
            switching.give(spare, task)
        elif self._parked:
            switching.give(self._parked.pop(), task)
        else:
            switching.give(greenlet(self._work, self._hub), task)

    def _work(self, task: Task) -> None:
        while True:
            self.working += 1
            try:
                task()
            except (
                Exception
            ):  # the loop must go on whatever a task does; the hub would print, too, but end this greenlet
                sys.excepthook(*sys.exc_info())
            self.working -= 1
            del task
            if self._spare is None:
                self._spare = switching.current()
            elif len(self._parked) < PARKED - 1:
                self._parked.append(switching.current())
            else:
                return
            task = switching.switch(self._hub)
