"""The trial of a new generation: its first worker, the canary, is watched before any other follows.

It must become ready, live through ``canary-time`` with a beating heart, and not answer a larger share of requests with
errors of l7's own (5xx that no server sent) than the old workers do at the same time; where these hear nothing then,
than they did before. So that it hears something where clients keep their connections, the old workers lend it its
share of them. The workers that follow are weighed in the same way. Pure, as all of the supervision.
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
from l7.telemetry.events import named

FAILURES = 2
"""So many workers that follow the canary may fail before the old generation is taken back; the canary may not."""
WEIGH_EVERY = 0.25
"""Seconds between two comparisons: as often as workers show what they have answered."""
ANSWER_WITHIN = 10.0
"""Seconds beyond its time that a canary with requests, but without any answer yet, is waited for: a server that cannot
be reached is found out only when the attempts to connect have timed out."""
FEWEST_FAULTS = 3
"""With fewer errors than these nothing is said of a share: one or two may be anybody's."""
DEVIATIONS = 3.0
"""How many standard deviations two shares must be apart before that is no chance."""


def worse(new: Tally, old: Tally) -> bool:
    """Whether the new worker's share of errors is larger than the old ones', beyond what chance explains.

    Where the old workers have never answered anything there is nothing to compare with, and the answer is no.
    """
    if new.faults < FEWEST_FAULTS or not old.answers or not new.answers:
        return False
    both = (new.faults + old.faults) / (new.answers + old.answers)
    spread = math.sqrt(max(0.0, both * (1 - both)) * (1 / new.answers + 1 / old.answers))
    return new.faults / new.answers - old.faults / old.answers > DEVIATIONS * spread


def compare(who: str, new: Tally, old: Tally, past: Tally) -> str:
    """What is to be said against a new worker or a new l7, where it answers worse than the old ones do, or did."""
    word, known = ("the old workers", old) if old.answers else ("the old workers before", past)
    return f"{who} worse: {new}; {word}: {known}" if worse(new, known) else ""


def on_trial(turn: Turn, worker: Worker) -> bool:
    """Whether what becomes of a worker is to be held against the new generation."""
    trial = turn.fleet.phase in (MasterState.CANARY, MasterState.ROLLING)
    return trial and worker.generation == turn.fleet.plan.generation


def fail(turn: Turn, why: str, weight: int = 1) -> None:
    """Count a failure, or one that weighs more, against the new generation; ``why`` is for people."""
    turn.fleet = replace(turn.fleet, failures=turn.fleet.failures + weight, fault=why)


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
            turn.log("info", named("reload.started", "canary: one worker of the new generation is started"))
            spawn(turn, 0, fleet.plan)
    elif canary.ready and fleet.watched is None:
        if not fleet.plan.canary:
            prove(turn)
            return
        turn.log(
            "info",
            named(
                "reload.watched",
                f"canary: {canary} is ready, and watched for {fleet.plan.canary:g} s",
                worker=canary.index + 1,
            ),
        )
        turn.fleet = replace(
            fleet,
            watched=canary.slot,
            weigh_at=turn.now + min(WEIGH_EVERY, fleet.plan.canary),
        )
        turn.act(v.Watch(canary.slot))


def look(turn: Turn) -> None:
    """Ask for the comparison that is due."""
    turn.fleet = replace(turn.fleet, weigh_at=turn.now + WEIGH_EVERY)
    turn.act(v.Weigh())


def look_again(turn: Turn) -> None:
    """Compare at once where the generations are compared at all: another worker of the new one serves."""
    if turn.fleet.weigh_at is not None:
        look(turn)


def weighed(turn: Turn, event: v.Weighed) -> None:
    """Decide by a comparison: back, on, or wait for more of it."""
    fleet = turn.fleet
    if event.generation != fleet.plan.generation or fleet.weigh_at is None:
        return
    who = "the canary answers" if fleet.phase is MasterState.CANARY else "the new workers answer"
    if fault := compare(who, event.new, event.old, event.past):
        fail(turn, fault, FAILURES)
    elif fleet.phase is MasterState.CANARY:
        _judge(turn, event)


def _judge(turn: Turn, event: v.Weighed) -> None:
    """Let a canary that is not worse pass when its time is over and it has shown what it can."""
    watched = turn.fleet.watched
    canary = None if watched is None else turn.fleet.worker(watched)
    if canary is None or not canary.ready:
        return
    over = canary.since + turn.fleet.plan.canary
    if turn.now < over:
        turn.fleet = replace(turn.fleet, weigh_at=min(turn.now + WEIGH_EVERY, over))
    elif event.beats and (event.new.answers or not event.pending or turn.now >= over + ANSWER_WITHIN):
        turn.log("info", named("reload.proven", f"canary: proven; {event.new}; the old workers: {event.old}"))
        prove(turn)


def prove(turn: Turn) -> None:
    """Let the others follow, and go on comparing where there was a watch."""
    watched = turn.fleet.watched is not None
    turn.enter(MasterEvent.PROVEN)
    turn.fleet = replace(turn.fleet, watched=None, weigh_at=turn.now + WEIGH_EVERY if watched else None)
