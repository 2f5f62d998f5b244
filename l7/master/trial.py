"""The trial of a new generation: its first worker, the canary, is watched before any other follows.

It must become ready, live through ``canary-time`` with a beating heart, and not answer a larger share of requests with
errors of l7's own (5xx that no server sent) than the old workers do at the same time. Pure, as all of the supervision.
"""

from __future__ import annotations

import math
from dataclasses import replace

from l7.master import vocabulary as v
from l7.master.fleet import Worker
from l7.master.lifecycle import MasterEvent, MasterState
from l7.master.staffing import spawn
from l7.master.turn import Turn
from l7.master.vocabulary import Tally

FAILURES = 2
"""So many workers that follow the canary may fail before the old generation is taken back; the canary may not."""
WEIGH_EVERY = 1.0
"""Seconds between two comparisons while the canary is watched."""
BEATS_AGAIN = 0.25
"""Seconds until a canary whose time is over and whose heart has not beaten is looked at again."""
FEWEST_FAULTS = 3
"""With fewer errors than these nothing is said of a share: one or two may be anybody's."""
DEVIATIONS = 3.0
"""How many standard deviations two shares must be apart before that is no chance."""


def worse(new: Tally, old: Tally) -> bool:
    """Whether the new worker's share of errors is larger than the old ones', beyond what chance explains.

    Without any request to the old workers there is nothing to compare with, and the answer is no.
    """
    if new.faults < FEWEST_FAULTS or not old.answers or not new.answers:
        return False
    both = (new.faults + old.faults) / (new.answers + old.answers)
    spread = math.sqrt(max(0.0, both * (1 - both)) * (1 / new.answers + 1 / old.answers))
    return new.faults / new.answers - old.faults / old.answers > DEVIATIONS * spread


def on_trial(turn: Turn, worker: Worker) -> bool:
    """Whether what becomes of a worker is to be held against the new generation."""
    trial = turn.fleet.phase in (MasterState.CANARY, MasterState.ROLLING)
    return trial and worker.generation == turn.fleet.plan.generation


def fail(turn: Turn, why: str) -> None:
    """Count a failure against the new generation; ``why`` is for people."""
    turn.fleet = replace(turn.fleet, failures=turn.fleet.failures + 1, fault=why)


def has_failed(turn: Turn) -> bool:
    """Whether the new generation is to be given up."""
    if turn.fleet.phase is MasterState.CANARY:
        return turn.fleet.failures > 0
    return turn.fleet.phase is MasterState.ROLLING and turn.fleet.failures >= FAILURES


def watch(turn: Turn) -> None:
    """Start the canary where there is none, and begin to watch it when it is ready."""
    fleet = turn.fleet
    canary = next(fleet.live(fleet.plan.generation), None)
    if canary is None:
        if fleet.may_start(0, turn.now):
            turn.log("info", "canary: one worker of the new generation is started")
            spawn(turn, 0, fleet.plan)
    elif canary.ready and fleet.watched is None:
        if not fleet.plan.canary:
            prove(turn)
            return
        turn.log("info", f"canary: {canary} is ready, and watched for {fleet.plan.canary:g} s")
        turn.fleet = replace(fleet, watched=canary.slot, until=turn.now + min(WEIGH_EVERY, fleet.plan.canary))
        turn.act(v.Watch(canary.slot))


def look(turn: Turn) -> None:
    """Ask for the comparison that is due."""
    watched = turn.fleet.watched
    assert watched is not None, "only a canary that is watched has a deadline"
    turn.fleet = replace(turn.fleet, until=turn.now + WEIGH_EVERY)
    turn.act(v.Weigh(watched))


def weighed(turn: Turn, event: v.Weighed) -> None:
    """Decide by a comparison: back, on, or wait for more of it."""
    fleet = turn.fleet
    canary = fleet.worker(event.slot)
    if fleet.phase is not MasterState.CANARY or fleet.watched != event.slot or canary is None or not canary.ready:
        return
    if worse(event.new, event.old):
        fail(turn, f"the canary answers worse: {event.new}; the old workers: {event.old}")
        return
    left = canary.since + fleet.plan.canary - turn.now
    if left > 0:
        turn.fleet = replace(fleet, until=turn.now + min(WEIGH_EVERY, left))
    elif not event.beats:
        turn.fleet = replace(fleet, until=turn.now + BEATS_AGAIN)
    else:
        turn.log("info", f"canary: proven; {event.new}; the old workers: {event.old}")
        prove(turn)


def prove(turn: Turn) -> None:
    """Let the others follow."""
    turn.enter(MasterEvent.PROVEN)
    turn.fleet = replace(turn.fleet, watched=None)
