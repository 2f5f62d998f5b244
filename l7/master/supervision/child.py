"""The life of a child, worker or monitor process: it boots, hangs, ends, and is started again after a pause. Pure.

What is particular to a role is in `l7.master.supervision.placement` (workers) and `l7.master.supervision.monitor`.
"""

from __future__ import annotations

from l7.master.supervision import events as v
from l7.master.supervision.canary import fail, look_again, on_trial
from l7.master.supervision.lifecycle import BEATS, DRAINS, ENDS, LIVE, ChildEvent, ChildState, MasterPhase
from l7.master.supervision.monitor import wanted_monitor
from l7.master.supervision.placement import expire_relays
from l7.master.supervision.state import Backoff, ChildRecord, ChildRole
from l7.master.supervision.transition import Transition
from l7.telemetry.events import Named, named

YOUNG = {ChildRole.WORKER: 0.25, ChildRole.MONITOR: 10.0}
"""A child that lived for less than these seconds after it became ready died young. A worker that lives longer and dies
again and again cannot make a loop that is worth slowing down, and may be ended by another program."""
FORGIVEN = {ChildRole.WORKER: 1, ChildRole.MONITOR: 0}
"""Early deaths of children that had booted after which the next is started without a pause."""
PAUSES = (0.5, 30.0)
"""The first and the longest pause before a child is started where others died young; it doubles in between."""
OUT_OF_MEMORY = " (not by l7; perhaps by the kernel, out of memory: see its log)"


def booted(transition: Transition, event: v.Event) -> None:
    """Take the report of a child that it is ready."""
    assert isinstance(event, v.ChildReady)
    child = transition.state.child(event.slot)
    if child is None or child.state not in LIVE:
        return  # it was given up before it reported
    if not child.is_worker:
        transition.move(child, ChildEvent.WAIT)
        return
    transition.move(child, ChildEvent.BOOTED)
    took = f"{child} of generation {child.generation} ready after {transition.now - child.started:.2f} s"
    if transition.state.phase in (MasterPhase.ROLLING, MasterPhase.ROLLBACK):
        took = f"{took}: {len(transition.state.proven())} of {transition.state.wanted}"
        transition.log("info", named("worker.ready", took, worker=child.index + 1))
        look_again(transition)
    else:
        transition.log("debug", named("worker.ready", took, worker=child.index + 1))


def exited(transition: Transition, event: v.Event) -> None:
    """Take the end of a child's process; a death that came early delays the next start in its place."""
    assert isinstance(event, v.ChildExited)
    child = transition.state.child(event.slot)
    if child is None:
        return
    transition.move(child, ChildEvent.EXIT)
    transition.state = transition.state.without(child.slot)
    age = f"{transition.now - child.started:.1f} s"

    def as_event(words: str) -> Named:
        return named("worker.exited" if child.is_worker else "monitor.exited", words, **_facts(child), reason=event.why)

    if child.state in LIVE and _is_wanted(transition, child):
        hint = OUT_OF_MEMORY if event.why.startswith("killed by SIGKILL") else ""
        transition.log("warning" if event.clean else "error", as_event(f"{child} died after {age}: {event.why}{hint}"))
        _count_death(transition, child, event.why)
    elif child.state in DRAINS and not event.clean:
        transition.log("warning", as_event(f"{child}, {child.state.value}, died after {age}: {event.why}"))
    else:
        words = f"{child} of generation {child.generation} ended ({child.state.value}) after {age}: {event.why}"
        transition.log("debug" if event.clean else "info", as_event(words))


def _is_wanted(transition: Transition, child: ChildRecord) -> bool:
    """Whether the place of a child that has ended is filled again."""
    if not child.is_worker:
        return child.generation == wanted_monitor(transition.state)
    return transition.state.phase not in ENDS


def _facts(child: ChildRecord) -> dict[str, int]:
    return {"worker": child.index + 1} if child.is_worker else {}


def silent(transition: Transition, event: v.Event) -> None:
    """Abort a child whose heartbeat is missed."""
    assert isinstance(event, v.HeartbeatLost)
    child = transition.state.child(event.slot)
    if child is None or child.state not in BEATS:
        return
    hangs = f"{child} hangs: no heartbeat for {transition.state.plan.silence:g} s; its stacks follow"
    hung = named("worker.hung" if child.is_worker else "monitor.hung", hangs, **_facts(child))
    transition.log("error", hung)
    if on_trial(transition, child):
        fail(transition, f"{child} hangs")
    transition.abort(child)


def expire(transition: Transition, child: ChildRecord) -> None:
    """Abort a child that has not booted in time, kill one that has not ended in time."""
    if child.state is ChildState.STARTING:
        silence = transition.now - child.started
        words = f"{child} is not ready after {silence:.1f} s; its stacks follow"
        transition.log(
            "error", named("worker.unready" if child.is_worker else "monitor.unready", words, **_facts(child))
        )
        _count_death(transition, child, f"not ready after {silence:.1f} s")
        transition.abort(child)
    elif child.state is ChildState.RELAYING:
        expire_relays(transition, child)
    elif child.state in (ChildState.ABORTED, ChildState.DRAINING, ChildState.STOPPING):
        if child.state is ChildState.DRAINING:
            words = f"{child} of generation {child.generation} has not drained in time; it is killed"
            transition.log("warning", named("worker.killed", words, **_facts(child)))
        transition.kill(child, ChildEvent.LATE)


def _count_death(transition: Transition, child: ChildRecord, why: str) -> None:
    """Count a death against its place when it came early, and against the new generation while it is on trial."""
    trial = on_trial(transition, child)
    booted = child.state is not ChildState.STARTING
    if booted and transition.now - child.since >= YOUNG[child.role]:
        transition.state = transition.state.with_strike(child.index, None)
        if trial and transition.state.watched == child.slot:
            fail(transition, f"the canary died: {why}")
        return
    old = transition.state.strikes.get(child.index)
    count = old.count + 1 if old else 1
    # One early death of a worker that had booted is an accident; a row of them is a fault that a loop makes worse.
    doublings = count - 1 - (FORGIVEN[child.role] if booted else 0)
    pause = min(PAUSES[0] * 2 ** min(doublings, 16), PAUSES[1]) if doublings >= 0 else 0.0
    transition.state = transition.state.with_strike(child.index, Backoff(count, transition.now + pause))
    if pause and not trial:
        words, facts = f"{child} is started again in {pause:g} s", {**_facts(child), "seconds": pause}
        transition.log("warning", named("worker.delayed" if child.is_worker else "monitor.delayed", words, **facts))
    if trial:
        fail(transition, f"{child} did not boot: {why}" if not booted else f"{child} died young: {why}")
