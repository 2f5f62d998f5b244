"""The trial of a new generation: its first worker, the canary, looks ahead and is watched before any other follows.

Before it accepts anything it connects to the servers of new and changed backends. One of which no server can be
reached, while the present configuration has one that can be used, refuses the reload.

The canary must become ready, live through ``canary-time`` with a beating heart, and not answer a larger share of
requests with errors of l7's own (5xx that no server sent) than the old workers do at the same time; where these hear
nothing then, than they did before. It is judged by what comes over new connections: those that clients keep stay with
the old workers until these drain. The workers that follow are compared in the same way. Pure, as all of the
supervision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from l7.master.supervision import events as v
from l7.master.supervision.events import AnswerTally
from l7.master.supervision.lifecycle import MasterEvent, MasterPhase
from l7.master.supervision.placement import spawn
from l7.master.supervision.state import ChildRecord
from l7.master.supervision.transition import Transition
from l7.telemetry.events import named

FAILURES = 2
"""Workers after the canary that may fail before the reload is rolled back; the canary itself may not."""
WEIGH_EVERY = 0.25
"""Seconds between two comparisons: as often as workers show what they have answered."""
MOST_SAID = 5
"""The most backends that cannot be reached that are named where a reload is refused."""
FEWEST_FAULTS = 3
"""Errors below which shares are not compared: one or two say nothing."""
DEVIATIONS = 3.0
"""Standard deviations by which two shares must differ before the difference counts."""


def worse(new: AnswerTally, old: AnswerTally) -> bool:
    """Whether the new worker's share of errors is larger than the old ones', beyond what chance explains.

    Where the old workers have never answered anything there is nothing to compare with, and the answer is no.
    """
    if new.faults < FEWEST_FAULTS or not old.answers or not new.answers:
        return False
    both = (new.faults + old.faults) / (new.answers + old.answers)
    spread = math.sqrt(max(0.0, both * (1 - both)) * (1 / new.answers + 1 / old.answers))
    return new.faults / new.answers - old.faults / old.answers > DEVIATIONS * spread


def compare(who: str, new: AnswerTally, old: AnswerTally, past: AnswerTally) -> str:
    """In words, how much worse new workers answer than the old ones do, or did; empty when they do not."""
    word, known = ("the old workers", old) if old.answers else ("the old workers before", past)
    return f"{who} worse: {new}; {word}: {known}" if worse(new, known) else ""


def on_trial(transition: Transition, worker: ChildRecord) -> bool:
    """Whether a failure of this worker counts against the new generation."""
    trial = transition.state.phase in (MasterPhase.CANARY, MasterPhase.ROLLING) and worker.is_worker
    return trial and worker.generation == transition.state.plan.generation


def fail(transition: Transition, why: str, weight: int = 1) -> None:
    """Count a failure, or one that weighs more, against the new generation; ``why`` is for people."""
    transition.state = replace(transition.state, failures=transition.state.failures + weight, fault=why)


def has_failed(transition: Transition) -> bool:
    """Whether the reload is to be rolled back."""
    if transition.state.phase is MasterPhase.CANARY:
        return transition.state.failures > 0
    return transition.state.phase is MasterPhase.ROLLING and transition.state.failures >= FAILURES


def watch(transition: Transition) -> None:
    """Start the canary where there is none, and begin to watch it when it is ready."""
    state = transition.state
    canary = next(state.live(state.plan.generation), None)
    if canary is None:
        if state.may_start(0, transition.now):
            transition.log("info", named("reload.started", "canary: one worker of the new generation is started"))
            spawn(transition, 0, state.plan, preflight=state.plan.preflight)
    elif canary.ready and state.watched is None:
        if not state.plan.canary:
            prove(transition)
            return
        transition.log(
            "info",
            named(
                "reload.watched",
                f"canary: {canary} is ready, and watched for {state.plan.canary:g} s",
                worker=canary.index + 1,
            ),
        )
        transition.state = replace(
            state,
            watched=canary.slot,
            weigh_at=transition.now + min(WEIGH_EVERY, state.plan.canary),
        )
        transition.act(v.StartCanaryWatch())


def _looks_ahead(transition: Transition, slot: int) -> bool:
    """Whether a slot's worker is the canary before it is ready: reports of another worker do not count."""
    if transition.state.phase is not MasterPhase.CANARY:
        return False
    booting = (one for one in transition.state.live(transition.state.plan.generation) if not one.ready)
    return any(one.slot == slot for one in booting)


def note_unreachable(transition: Transition, event: v.BackendUnreachable) -> None:
    """Refuse a generation by which a backend would stop working; warn of one that does not work now either."""
    if not _looks_ahead(transition, event.slot):
        return
    state = transition.state
    words = f"backends.{event.backend}: none of its servers can be reached: {event.why}"
    if event.works_now and not state.forced:
        transition.state = replace(state, unreachable=(*state.unreachable, f"{words}; the present ones can"))
    else:
        transition.log("warning", named("backend.unreachable", words, backend=event.backend), to_waiters=True)


def looked_ahead(transition: Transition, event: v.PreflightFinished) -> None:
    """Let the canary accept connections, or refuse the reload before it has served a request."""
    if not _looks_ahead(transition, event.slot):
        return
    if transition.state.unreachable:
        _refuse(transition, transition.state.unreachable)
    else:
        transition.act(v.AcceptConnections(event.slot))


def _refuse(transition: Transition, reasons: Sequence[str]) -> None:
    """Go on with the old generation, all of whose workers still serve."""
    before, refused = transition.state.before, transition.state.plan
    assert before is not None, "a reload knows where it came from"
    more = [f"{len(reasons) - MOST_SAID} more backends"] if len(reasons) > MOST_SAID else []
    words = "reload refused: " + "; ".join([*reasons[:MOST_SAID], *more])
    transition.log("error", named("reload.refused", words, reason="preflight"))
    transition.enter(MasterEvent.REFUSED)
    transition.state = replace(
        transition.state, plan=before.plan, wanted=before.wanted, before=None, failures=0, strikes={}
    )
    for worker in list(transition.state.live(refused.generation)):
        transition.stop(worker)
    transition.act(v.CommitGeneration(before.plan.generation))


def look(transition: Transition) -> None:
    """Ask for the comparison that is due."""
    transition.state = replace(transition.state, weigh_at=transition.now + WEIGH_EVERY)
    transition.act(v.CompareCanary())


def look_again(transition: Transition) -> None:
    """Compare at once where the generations are compared at all: another worker of the new one serves."""
    if transition.state.weigh_at is not None:
        look(transition)


def weighed(transition: Transition, event: v.CanaryCompared) -> None:
    """Decide by a comparison: roll back, go on, or wait for the next one."""
    state = transition.state
    if event.generation != state.plan.generation or state.weigh_at is None:
        return
    who = "the canary answers" if state.phase is MasterPhase.CANARY else "the new workers answer"
    if fault := compare(who, event.new, event.old, event.past):
        fail(transition, fault, FAILURES)
    elif state.phase is MasterPhase.CANARY:
        _judge(transition, event)


def _judge(transition: Transition, event: v.CanaryCompared) -> None:
    """Let a canary that is not worse pass when its time is over and it has shown what it can."""
    watched = transition.state.watched
    canary = None if watched is None else transition.state.child(watched)
    if canary is None or not canary.ready:
        return
    over = canary.since + transition.state.plan.canary
    if transition.now < over:
        transition.state = replace(transition.state, weigh_at=min(transition.now + WEIGH_EVERY, over))
    elif event.beats:
        transition.log("info", named("reload.proven", f"canary: proven; {event.new}; the old workers: {event.old}"))
        prove(transition)


def prove(transition: Transition) -> None:
    """Start the other workers, and go on comparing where the canary was compared."""
    watched = transition.state.watched is not None
    transition.enter(MasterEvent.PROVEN)
    transition.state = replace(
        transition.state, watched=None, weigh_at=transition.now + WEIGH_EVERY if watched else None
    )
