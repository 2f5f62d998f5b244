"""The supervision as it runs: its present state, and the events that it has not seen yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from l7.clock import monotonic
from l7.master.supervision.events import Action, Event
from l7.master.supervision.lifecycle import LifecycleError
from l7.master.supervision.state import SupervisorState
from l7.master.supervision.step import step


class SupervisionMachine:
    """Applies `l7.master.supervision.step.step` to one event after the other."""

    def __init__(self, state: SupervisorState, now: float) -> None:
        self.state = state
        self.awake_since = now
        """Seconds of the clock. No heartbeat is missed before that: the machine or l7 stood still until then."""
        self._events: deque[Event] = deque()

    def post(self, event: Event) -> None:
        """Let an event happen, after all those that were posted before."""
        self._events.append(event)

    def post_first(self, event: Event) -> None:
        """Let an event happen before all others."""
        self._events.appendleft(event)

    @property
    def has_events(self) -> bool:
        """Whether an event waits."""
        return bool(self._events)

    def step(self) -> Sequence[Action]:
        """Let the next event happen; returns what is to be done now.

        :raises LifecycleError: the event is impossible in this state, which stays as it is. It is a bug.
        """
        event = self._events.popleft()
        try:
            self.state, actions = step(self.state, event, monotonic())
        except LifecycleError as bug:
            raise LifecycleError(f"{event}: {bug}") from bug
        return actions
