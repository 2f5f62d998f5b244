"""Starting workers in places that have none, and draining workers whose place is not wanted any more."""

from __future__ import annotations

from dataclasses import replace

from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import ChildState, MasterPhase
from l7.master.supervision.state import ChildRecord
from l7.master.supervision.transition import MARGIN, Transition

OLD_GENERATIONS = 8
"""Generations that may drain at a time; beyond that the worker that has drained the longest has to end."""


def fill(transition: Transition) -> None:
    """Start a worker in every place that has none; while a canary is watched, one of the old generation."""
    state = transition.state
    generation: int | None = None
    plan, places = state.plan, state.wanted
    if state.phase is MasterPhase.CANARY and state.before is not None:
        plan, places = state.before.plan, min(state.before.wanted, state.wanted)
        generation = plan.generation
    filled = state.filled(generation)
    for index in range(places):
        if index not in filled and state.may_start(index, transition.now):
            spawn(transition, index, plan)


def spawn(transition: Transition, index: int, plan: v.GenerationPlan, *, preflight: float = 0.0) -> None:
    """Start a worker in a place, which may look ahead for ``preflight`` seconds."""
    _make_room(transition)
    slot = transition.state.free_slot()
    if slot is None:
        return  # room is on its way
    until = transition.now + plan.silence + preflight
    worker = ChildRecord(slot, index, plan.generation, transition.now, since=transition.now, until=until)
    transition.state = replace(transition.state, children=(*transition.state.children, worker))
    transition.act(v.SpawnWorker(slot, index, plan.generation, preflight))


def _make_room(transition: Transition) -> None:
    draining = [worker for worker in transition.state.workers if worker.state is ChildState.DRAINING]
    full = transition.state.free_slot() is None
    if not full and len(draining) <= OLD_GENERATIONS * transition.state.wanted:
        return
    # One that is at its end already needs no second word.
    oldest = min(
        (w for w in draining if (w.until or 0.0) > transition.now + MARGIN), key=lambda w: w.since, default=None
    )
    if oldest is not None:
        transition.log("warning", f"too many workers drain: {oldest} of generation {oldest.generation} has to end now")
        transition.drain(oldest, 0.0)


def retire(transition: Transition, worker: ChildRecord) -> None:
    """Drain a worker; one that is not known to serve has ``graceful-timeout``, not ``drain-timeout``."""
    if worker.ready:
        transition.drain(worker, transition.state.plan.drain)
    else:
        transition.dismiss(worker, transition.state.plan.graceful)


def shrink(transition: Transition) -> None:
    """Let the workers of places that are not wanted any more finish."""
    for worker in list(transition.state.live()):
        if worker.index >= transition.state.wanted:
            retire(transition, worker)
