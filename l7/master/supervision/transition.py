"""One step of the supervision under way: the state so far, and the actions so far."""

from __future__ import annotations

from dataclasses import replace

from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import CHILD, MASTER, ChildEvent, ChildState, MasterEvent, follow
from l7.master.supervision.state import STACKS_WITHIN, STOP_WITHIN, ChildRecord, SupervisorState

MARGIN = 0.5
"""Seconds after the end of draining before a worker is killed: it closes its connections itself, if it can."""


class Transition:
    """The state so far and the actions so far of one step."""

    def __init__(self, state: SupervisorState, now: float) -> None:
        self.state = state
        self.now = now
        self.actions: list[v.Action] = []

    def act(self, *actions: v.Action) -> None:
        """Add an action for the arbiter."""
        self.actions.extend(actions)

    def log(self, level: str, text: str, *, to_waiters: bool = False) -> None:
        """Add an event for the log; ``to_waiters`` is as in `LogEvent`."""
        self.act(v.LogEvent(level, text, self.state.plan.generation, to_waiters))

    def enter(self, event: MasterEvent, *, until: float | None = None) -> None:
        """Move the master to its next state."""
        self.state = replace(self.state, phase=follow(MASTER, self.state.phase, event), until=until, weigh_at=None)

    def move(self, child: ChildRecord, event: ChildEvent, within: float | None = None) -> ChildRecord:
        """Move a child to its next state, in which it may stay for ``within`` seconds."""
        state = follow(CHILD, child.state, event)
        until = None if within is None else self.now + within
        moved = replace(child, state=state, since=self.now, until=until)
        self.state = self.state.with_child(moved)
        return moved

    def drain(self, worker: ChildRecord, within: float, *, close: bool = False) -> None:
        """Let a worker finish the requests that it has."""
        self.move(worker, ChildEvent.DRAIN, within + MARGIN)
        self.act(v.DrainWorker(worker.slot, within, close))

    def dismiss(self, worker: ChildRecord, within: float, *, close: bool = False) -> None:
        """Drain a worker that starts, because its report that it is ready may be on its way; stop any other."""
        if worker.state is ChildState.STARTING:
            self.move(worker, ChildEvent.STOP, within + MARGIN)
            self.act(v.DrainWorker(worker.slot, within, close))
        elif worker.state is not ChildState.STOPPING:
            self.stop(worker)

    def stop(self, child: ChildRecord) -> None:
        """End a child, at once when it hangs."""
        within = STOP_WITHIN[child.role]
        if child.state in (ChildState.ABORTED, ChildState.KILLED):
            self.kill(child)
        elif child.state is not ChildState.STOPPING or (child.until or 0.0) > self.now + within:
            self.move(child, ChildEvent.STOP, within)
            self.act(v.StopChild(child.slot))

    def abort(self, child: ChildRecord) -> None:
        """End a child that hangs, and let it write its stacks first."""
        self.move(child, ChildEvent.SILENT, STACKS_WITHIN[child.role])
        self.act(v.AbortChild(child.slot))

    def kill(self, child: ChildRecord, event: ChildEvent = ChildEvent.KILL) -> None:
        """Kill a child's process."""
        self.move(child, event)
        self.act(v.KillChild(child.slot))
