"""Places and who fills them: what is done about a place without a worker, and about a worker without a place."""

from __future__ import annotations

from dataclasses import replace

from l7.master import vocabulary as v
from l7.master.fleet import Worker
from l7.master.lifecycle import MasterState, WorkerState
from l7.master.turn import MARGIN, Turn

OLD_GENERATIONS = 8
"""So many whole generations may drain at a time; beyond that the worker that has drained the longest has to end."""


def fill(turn: Turn) -> None:
    """Start a worker in every place that has none; while the new generation is on trial, one of the old."""
    fleet = turn.fleet
    generation: int | None = None
    plan, places = fleet.plan, fleet.wanted
    if fleet.phase is MasterState.CANARY and fleet.before is not None:
        plan, places = fleet.before.plan, min(fleet.before.wanted, fleet.wanted)
        generation = plan.generation
    filled = fleet.filled(generation)
    for index in range(places):
        if index not in filled and fleet.may_start(index, turn.now):
            spawn(turn, index, plan)


def spawn(turn: Turn, index: int, plan: v.Plan) -> None:
    """Start a worker in a place."""
    _make_room(turn)
    slot = turn.fleet.free_slot()
    if slot is None:
        return  # room is on its way
    worker = Worker(slot, index, plan.generation, turn.now, since=turn.now, until=turn.now + plan.silence)
    turn.fleet = replace(turn.fleet, workers=(*turn.fleet.workers, worker))
    turn.act(v.Spawn(slot, index, plan.generation))


def _make_room(turn: Turn) -> None:
    draining = [worker for worker in turn.fleet.workers if worker.state is WorkerState.DRAINING]
    full = turn.fleet.free_slot() is None
    if not full and len(draining) <= OLD_GENERATIONS * turn.fleet.wanted:
        return
    # One that is at its end already needs no second word.
    oldest = min((w for w in draining if (w.until or 0.0) > turn.now + MARGIN), key=lambda w: w.since, default=None)
    if oldest is not None:
        turn.log("warning", f"too many workers drain: {oldest} of generation {oldest.generation} has to end now")
        turn.drain(oldest, 0.0)


def retire(turn: Turn, worker: Worker) -> None:
    """Let a worker finish; one that is not known to have begun need not take so long."""
    if worker.ready:
        turn.drain(worker, turn.fleet.plan.drain)
    else:
        turn.dismiss(worker, turn.fleet.plan.graceful)


def shrink(turn: Turn) -> None:
    """Let the workers of places that are not wanted any more finish."""
    for worker in list(turn.fleet.live()):
        if worker.index >= turn.fleet.wanted:
            retire(turn, worker)
