"""The loop: wait, one event, step, act.

What is to happen is decided by `l7.master.supervision.step.step`; the parts of the master do it. The loop sleeps in one
``poll`` over the signals and the channels, for as long as no deadline asks for less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from setproctitle import setproctitle

from l7.clock import monotonic
from l7.master.children.orphans import reap_orphans
from l7.master.children.signals import SignalRequest
from l7.master.context import MasterContext
from l7.master.part import MasterPart
from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import LifecycleError
from l7.telemetry.events import named

OVERSLEPT = 1.0
"""Seconds after which a late wake-up means that the machine or l7 stood still, and no worker is to blame."""

EVENTS: dict[SignalRequest, v.Event] = {
    SignalRequest.RELOAD: v.ReloadRequested(),
    SignalRequest.UPGRADE: v.UpgradeRequested(),
    SignalRequest.TERMINATE: v.GracefulStopRequested(),
    SignalRequest.INTERRUPT: v.QuickStopRequested(),
    SignalRequest.MORE: v.ScaleUp(),
    SignalRequest.FEWER: v.ScaleDown(),
}
"""What the signals mean for the supervision, where no part of the master takes them."""


class Arbiter:
    """The loop of the master over its parts.

    :param parts: look at what has become due, and end, in this order.
    """

    def __init__(self, context: MasterContext, parts: Sequence[MasterPart]) -> None:
        self._context = context
        self._machine = context.machine
        self._parts = parts
        self._actions: dict[type[v.Action], Callable[[Any], None]] = {v.ExitMaster: self._finish}
        self._signals: dict[SignalRequest, Callable[[], None]] = {}
        self._code: int | None = None
        self._woke = 0.0
        """When the loop last came back from its wait."""

    def loop(self) -> int:
        """Supervise until the end; returns the exit code."""
        self._start()
        while True:
            while self._machine.has_events:
                self._step()
            if self._code is not None:
                for part in self._parts:
                    part.close()
                self._context.events.info(named("master.stopped", "stopped"))
                return self._code
            self._notice_gap(self._woke)
            for part in self._parts:
                part.look()
            if not self._machine.has_events:
                self._wait()
                self._collect()

    def _start(self) -> None:
        self._woke = monotonic()
        setproctitle(f"l7: master ({self._context.generations.instance})")
        self._context.events.generation = self._machine.state.plan.generation
        self._context.poll.wake(self._context.signal_queue.descriptor)
        for part in self._parts:
            self._actions.update(part.actions)
            self._signals.update(part.signals)
            part.start()
        self._machine.post(v.Tick())

    def _wait(self) -> None:
        due = [self._machine.state.next_deadline(monotonic()), *(part.due for part in self._parts)]
        wake = min((moment for moment in due if moment is not None), default=None)
        self._context.poll.wait(wake)
        if wake is not None:
            self._notice_gap(wake)
        self._woke = monotonic()

    def _notice_gap(self, expected: float) -> None:
        """See whether the machine or l7 stood still, in the wait or between two."""
        now = monotonic()
        if now > expected + OVERSLEPT:
            self._machine.awake_since = now

    def _collect(self) -> None:
        """Turn what has happened into events."""
        requests = self._context.signal_queue.take()
        self._context.children.reap()
        reap_orphans({*self._context.children.pids(), *(pid for part in self._parts for pid in part.pids)})
        for request in requests:
            if request in self._signals:
                self._signals[request]()
            elif request in EVENTS:
                self._machine.post(EVENTS[request])
        self._machine.post(v.Tick())

    def _step(self) -> None:
        try:
            actions = self._machine.step()
        except LifecycleError as bug:
            self._context.events.error(f"this is a bug in l7, please report it: {bug}")
            return
        for action in actions:
            self._actions[type(action)](action)

    def _finish(self, action: v.ExitMaster) -> None:
        self._code = action.code
