"""Starting workers in places that have none, and draining workers whose place is not wanted any more.

An old worker may have the TLS of connections that others serve. It has ``drain-timeout`` as any other, and then once
more: its connections are announced, which means that each ends with its next answer. So they are, too, while more than
`OLD_GENERATIONS` generations relay: the oldest first.
"""

from __future__ import annotations

from dataclasses import replace

from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import CHILD, ChildEvent, ChildState, MasterPhase, follow
from l7.master.supervision.state import ChildRecord
from l7.master.supervision.transition import MARGIN, Transition
from l7.telemetry.events import named

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
    full = transition.state.free_slot() is None
    draining = [worker for worker in transition.state.workers if worker.state is ChildState.DRAINING]
    if full and not draining:
        end_oldest(transition)
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


# --- relays ----------------------------------------------------------------------------------------------------------


def relays_begin(transition: Transition, event: v.Event) -> None:
    """Let a worker go on beyond the time that it has to drain."""
    assert isinstance(event, v.RelayBegun)
    worker = transition.state.child(event.slot)
    if worker is None or worker.state is not ChildState.DRAINING:
        return
    moved = replace(worker, state=follow(CHILD, worker.state, ChildEvent.RELAY))
    transition.state = transition.state.with_child(moved)
    relaying = [one for one in _relaying(transition) if not one.announced]
    generations = {one.generation for one in relaying}
    if len(generations) > OLD_GENERATIONS:
        for one in relaying:
            if one.generation == min(generations):
                _announce(transition, one, "too many generations relay")


def expire_relays(transition: Transition, worker: ChildRecord) -> None:
    """Announce the connections of a worker whose time to drain is over; the second time, end it."""
    if not worker.announced:
        _announce(transition, worker, "drain-timeout is over")
        return
    words = f"{worker} of generation {worker.generation} still relays TLS; its connections are cut off"
    transition.log("warning", named("relay.cut", words, worker=worker.index + 1))
    transition.stop(worker)


def end_oldest(transition: Transition) -> None:
    """End the worker that has relayed for the longest time: its slot is needed."""
    oldest = min(_relaying(transition), key=lambda worker: worker.since, default=None)
    if oldest is not None:
        expire_relays(transition, replace(oldest, announced=True))


def _relaying(transition: Transition) -> list[ChildRecord]:
    return [worker for worker in transition.state.workers if worker.state is ChildState.RELAYING]


def _announce(transition: Transition, worker: ChildRecord, why: str) -> None:
    words = f"{worker} of generation {worker.generation} relays TLS: {why}, each connection ends with its next answer"
    until = transition.now + transition.state.plan.drain + MARGIN
    transition.state = transition.state.with_child(replace(worker, announced=True, until=until))
    transition.act(v.AnnounceRelays(worker.slot))
    transition.log("info", named("relay.announced", words, worker=worker.index + 1))
