"""One step of the supervision under way: the state so far, and the actions so far."""

from __future__ import annotations

from dataclasses import replace

from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import MASTER, WORKER, MasterEvent, WorkerEvent, WorkerState, follow
from l7.master.supervision.state import SupervisorState, WorkerRecord

MARGIN = 0.5
"""Seconds after the end of draining before a worker is killed: it closes its connections itself, if it can."""
STOP_WITHIN = 1.0
"""Seconds a worker has to end when it was told to stop at once."""


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

    def move(self, worker: WorkerRecord, event: WorkerEvent, within: float | None = None) -> WorkerRecord:
        """Move a worker to its next state, in which it may stay for ``within`` seconds."""
        state = follow(WORKER, worker.state, event)
        until = None if within is None else self.now + within
        moved = replace(worker, state=state, since=self.now, until=until)
        self.state = self.state.with_worker(moved)
        return moved

    def drain(self, worker: WorkerRecord, within: float, *, close: bool = False) -> None:
        """Let a worker finish the requests that it has."""
        self.move(worker, WorkerEvent.DRAIN, within + MARGIN)
        self.act(v.DrainWorker(worker.slot, within, close))

    def dismiss(self, worker: WorkerRecord, within: float, *, close: bool = False) -> None:
        """End a worker that is not known to be ready: it may be, and serve already, before its word has come."""
        if worker.state is WorkerState.STARTING:
            self.move(worker, WorkerEvent.STOP, within + MARGIN)
            self.act(v.DrainWorker(worker.slot, within, close))
        elif worker.state is not WorkerState.STOPPING:
            self.stop(worker)

    def stop(self, worker: WorkerRecord) -> None:
        """End a worker, at once when it hangs."""
        if worker.state in (WorkerState.ABORTED, WorkerState.KILLED):
            self.kill(worker)
        elif worker.state is not WorkerState.STOPPING or (worker.until or 0.0) > self.now + STOP_WITHIN:
            self.move(worker, WorkerEvent.STOP, STOP_WITHIN)
            self.act(v.StopWorker(worker.slot))

    def kill(self, worker: WorkerRecord, event: WorkerEvent = WorkerEvent.KILL) -> None:
        """End a worker's process."""
        self.move(worker, event)
        self.act(v.KillWorker(worker.slot))
