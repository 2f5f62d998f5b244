"""Supervision as a pure step: ``step(state, event, now) -> (state, actions)``.

No process, no socket and no clock is touched here, so a whole rolling restart is tested by hand-driven time. The
rules, all of them:

- A place (index) without a live worker is filled at once; after workers that died young there, only after a pause.
- A reload starts one worker of the new generation, the canary (`l7.master.supervision.canary`). It looks ahead, which
  may refuse the reload, and is watched; then one follows after another, and their answers are weighed, too. Each that
  becomes ready lets the old worker of its place drain: new before old, so that capacity never falls.
- A canary that fails ends the reload, and so do two others that die young or do not boot, and answers that are worse:
  back to the old generation, the same way.
- A reload asked for while one is under way is remembered, once.
- A silent worker is aborted, which writes its stacks, then killed; its place is filled without waiting for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from l7.master.supervision import events as v
from l7.master.supervision import shutdown, upgrade
from l7.master.supervision.canary import (
    fail,
    has_failed,
    look,
    look_again,
    looked_ahead,
    note_unreachable,
    on_trial,
    watch,
    weighed,
)
from l7.master.supervision.lifecycle import (
    BEATS,
    ENDS,
    LIVE,
    ROLLS,
    MasterEvent,
    MasterPhase,
    WorkerEvent,
    WorkerState,
)
from l7.master.supervision.placement import fill, retire, shrink, spawn
from l7.master.supervision.state import Backoff, SupervisorState, WorkerRecord
from l7.master.supervision.transition import Transition
from l7.telemetry.events import Named, named

YOUNG = 0.25
"""A worker that lived for less than these seconds after it became ready died young. What lives longer and dies again
and again cannot make a loop that is worth slowing down, and may be the victim of somebody else."""
PAUSES = (0.5, 30.0)
"""The first and the longest pause before a worker is started where others died young; it doubles in between."""
STACKS_WITHIN = 1.0
"""Seconds that the interpreter of a silent worker has to write its stacks."""
OUT_OF_MEMORY = " (not by l7; if by nobody, the system was out of memory: see the kernel's log)"
HEARD_WITHIN = 1.0
"""Seconds that an old worker has to hear that it is to drain before the reload is called done without it."""


def step(state: SupervisorState, event: v.Event, now: float) -> tuple[SupervisorState, list[v.Action]]:
    """The state after an event, and the actions to execute; raises `LifecycleError` for an impossible event."""
    transition = Transition(state, now)
    if state.phase is not MasterPhase.STOPPED:
        _HANDLERS[type(event)](transition, event)
        _expire(transition)
        _reconcile(transition)
    return transition.state, transition.actions


# --- events ---------------------------------------------------------------------------------------------------------


def _tick(transition: Transition, event: v.Event) -> None:
    """Act on deadlines only: time has passed."""


def _hangup(transition: Transition, event: v.Event) -> None:
    assert isinstance(event, v.ReloadRequested)
    again = transition.state.again
    if transition.state.phase is MasterPhase.SERVING:
        transition.act(v.LoadConfiguration(event.forced))
    elif transition.state.phase not in ENDS:
        if again is None:
            transition.log(
                "info", named("reload.remembered", "reload remembered: it begins when the present one is done")
            )
        forced = event.forced or (again is not None and again.forced)
        transition.state = replace(transition.state, again=v.ReloadRequested(forced))
    elif transition.state.phase is MasterPhase.RETIRING:
        upgrade.pass_on(transition, event)


def _loaded(transition: Transition, event: v.Event) -> None:
    assert isinstance(event, v.ConfigurationLoaded)
    if transition.state.phase in ENDS:
        return
    old = transition.state
    transition.enter(MasterEvent.LOADED)
    wanted = event.plan.workers if event.plan.workers != old.plan.workers else old.wanted
    # Who forces a reload knows that requests will fail: comparing them would take it back after all.
    plan = replace(event.plan, canary=0.0) if event.forced else event.plan
    transition.state = replace(
        transition.state, plan=plan, wanted=wanted, before=old, failures=0, fault="", watched=None, strikes={},
        since=transition.now, unreachable=(), forced=event.forced,
    )  # fmt: skip


def _unreachable(transition: Transition, event: v.Event) -> None:
    assert isinstance(event, v.BackendUnreachable)
    note_unreachable(transition, event)


def _looked_ahead(transition: Transition, event: v.Event) -> None:
    assert isinstance(event, v.PreflightFinished)
    looked_ahead(transition, event)


def _booted(transition: Transition, event: v.Event) -> None:
    assert isinstance(event, v.WorkerReady)
    worker = transition.state.worker(event.slot)
    if worker is None or worker.state not in LIVE:
        return  # it was given up before its word came
    transition.move(worker, WorkerEvent.BOOTED)
    took = f"{worker} of generation {worker.generation} ready after {transition.now - worker.started:.2f} s"
    if transition.state.phase in (MasterPhase.ROLLING, MasterPhase.ROLLBACK):
        took = f"{took}: {len(transition.state.proven())} of {transition.state.wanted}"
        transition.log("info", named("worker.ready", took, worker=worker.index + 1))
        look_again(transition)
    else:
        transition.log("debug", named("worker.ready", took, worker=worker.index + 1))


def _gone(transition: Transition, event: v.Event) -> None:
    assert isinstance(event, v.WorkerExited)
    worker = transition.state.worker(event.slot)
    if worker is None:
        return
    transition.move(worker, WorkerEvent.EXIT)
    transition.state = transition.state.without(worker.slot)
    age = f"{transition.now - worker.started:.1f} s"

    def exited(words: str) -> Named:
        return named("worker.exited", words, worker=worker.index + 1, reason=event.why)

    if worker.state in LIVE and transition.state.phase not in ENDS:
        hint = OUT_OF_MEMORY if event.why.startswith("killed by SIGKILL") else ""
        transition.log("warning" if event.clean else "error", exited(f"{worker} died after {age}: {event.why}{hint}"))
        _count_death(transition, worker, event.why)
    elif worker.state in BEATS and not event.clean:
        transition.log("warning", exited(f"{worker}, draining, died after {age}: {event.why}"))
    else:
        words = f"{worker} ended ({worker.state.value}) after {age}: {event.why}"
        transition.log("debug" if event.clean else "info", exited(words))


def _silent(transition: Transition, event: v.Event) -> None:
    assert isinstance(event, v.HeartbeatLost)
    worker = transition.state.worker(event.slot)
    if worker is None or worker.state not in BEATS:
        return
    hangs = f"{worker} hangs: no heartbeat for {transition.state.plan.silence:g} s; its stacks follow"
    transition.log("error", named("worker.hung", hangs, worker=worker.index + 1))
    if on_trial(transition, worker):
        fail(transition, f"{worker} hangs")
    _abort(transition, worker)


def _heard(transition: Transition, event: v.Event) -> None:
    assert isinstance(event, v.DrainAcknowledged)
    worker = transition.state.worker(event.slot)
    if worker is not None and worker.state is WorkerState.DRAINING:
        transition.state = transition.state.with_worker(replace(worker, heard=True))


def _weighed(transition: Transition, event: v.Event) -> None:
    assert isinstance(event, v.CanaryCompared)
    weighed(transition, event)


def _more(transition: Transition, event: v.Event) -> None:
    wanted = transition.state.wanted + 1
    if wanted > transition.state.slots // 4:
        transition.log("warning", f"no more than {transition.state.wanted} workers")
        return
    transition.state = replace(transition.state, wanted=wanted)
    transition.log("info", named("workers.more", f"one worker more: {wanted}", workers=wanted))


def _fewer(transition: Transition, event: v.Event) -> None:
    wanted = max(1, transition.state.wanted - 1)
    words = f"one worker fewer: {wanted}" if wanted < transition.state.wanted else "the last worker stays"
    transition.log("info", named("workers.fewer", words, workers=wanted))
    transition.state = replace(transition.state, wanted=wanted)


_HANDLERS: dict[type[v.Event], Callable[[Transition, v.Event], None]] = {
    v.Tick: _tick,
    v.ReloadRequested: _hangup,
    v.ConfigurationLoaded: _loaded,
    v.BackendUnreachable: _unreachable,
    v.PreflightFinished: _looked_ahead,
    v.WorkerReady: _booted,
    v.WorkerExited: _gone,
    v.HeartbeatLost: _silent,
    v.DrainAcknowledged: _heard,
    v.CanaryCompared: _weighed,
    v.UpgradeRequested: upgrade.upgrade,
    v.SuccessorTookOver: upgrade.replaced,
    v.UpgradeFailed: upgrade.failed,
    v.ScaleUp: _more,
    v.ScaleDown: _fewer,
    v.GracefulStopRequested: shutdown.terminate,
    v.QuickStopRequested: shutdown.interrupt,
}


# --- what follows ---------------------------------------------------------------------------------------------------


def _abort(transition: Transition, worker: WorkerRecord) -> None:
    transition.move(worker, WorkerEvent.SILENT, STACKS_WITHIN)
    transition.act(v.AbortWorker(worker.slot))


def _count_death(transition: Transition, worker: WorkerRecord, why: str) -> None:
    """Count a death against its place when it came early, and against the new generation while it is on trial."""
    trial = on_trial(transition, worker)
    booted = worker.state is WorkerState.READY
    if booted and transition.now - worker.since >= YOUNG:
        transition.state = transition.state.with_strike(worker.index, None)
        if trial and transition.state.watched == worker.slot:
            fail(transition, f"the canary died: {why}")
        return
    old = transition.state.strikes.get(worker.index)
    count = old.count + 1 if old else 1
    # One early death of a worker that had booted is an accident; a row of them is a fault that a loop makes worse.
    doublings = count - 1 - booted
    pause = min(PAUSES[0] * 2 ** min(doublings, 16), PAUSES[1]) if doublings >= 0 else 0.0
    transition.state = transition.state.with_strike(worker.index, Backoff(count, transition.now + pause))
    if pause and not trial:
        words = f"{worker} is started again in {pause:g} s"
        transition.log("warning", named("worker.delayed", words, worker=worker.index + 1, seconds=pause))
    if trial:
        fail(transition, f"{worker} did not boot: {why}" if not booted else f"{worker} died young: {why}")


def _expire(transition: Transition) -> None:
    """Act on every deadline that has passed."""
    for worker in transition.state.workers:
        if worker.until is not None and worker.until <= transition.now:
            _expire_worker(transition, worker)
    if transition.state.weigh_at is not None and transition.state.weigh_at <= transition.now:
        look(transition)
    if transition.state.until is None or transition.state.until > transition.now:
        return
    if transition.state.phase is MasterPhase.UPGRADING:
        upgrade.expire(transition)
    else:
        shutdown.expire(transition)


def _expire_worker(transition: Transition, worker: WorkerRecord) -> None:
    if worker.state is WorkerState.STARTING:
        silence = transition.now - worker.started
        words = f"{worker} is not ready after {silence:.1f} s; its stacks follow"
        transition.log("error", named("worker.unready", words, worker=worker.index + 1))
        _count_death(transition, worker, f"not ready after {silence:.1f} s")
        _abort(transition, worker)
    elif worker.state in (WorkerState.ABORTED, WorkerState.DRAINING, WorkerState.STOPPING):
        if worker.state is WorkerState.DRAINING:
            words = f"{worker} of generation {worker.generation} has not drained in time; it is killed"
            transition.log("warning", named("worker.killed", words, worker=worker.index + 1))
        transition.kill(worker, WorkerEvent.LATE)


def _reconcile(transition: Transition) -> None:
    """Start, drain and stop workers until the workers that there are are those that are wanted."""
    if transition.state.phase not in ENDS:
        _supervise(transition)
    shutdown.come_to_an_end(transition)


def _supervise(transition: Transition) -> None:
    if has_failed(transition):
        _roll_back(transition)
    fill(transition)
    if transition.state.phase is MasterPhase.STARTING:
        _start(transition)
    if transition.state.phase in ROLLS:
        _roll(transition)
    if transition.state.phase is MasterPhase.SERVING:
        shrink(transition)
        if (again := transition.state.again) is not None:
            transition.state = replace(transition.state, again=None)
            transition.act(v.LoadConfiguration(again.forced))


def _start(transition: Transition) -> None:
    """Announce that l7 serves, or end it, once each worker of the first generation is ready or has failed."""
    ready = transition.state.proven()
    if any(i not in ready and i not in transition.state.strikes for i in range(transition.state.wanted)):
        return
    if ready:
        transition.enter(MasterEvent.READY)
        transition.act(v.AnnounceReady(len(ready), transition.state.wanted))
        return
    if any(worker.state is WorkerState.ABORTED for worker in transition.state.workers):
        return  # what it has to say is all that people will have to go by
    transition.log("error", named("workers.unbootable", "no worker can boot"))
    transition.state = replace(transition.state, code=3)
    shutdown.end(transition, MasterEvent.UNBOOTABLE)


def _roll(transition: Transition) -> None:
    """Go on with the replacement of one generation by another."""
    if transition.state.phase is MasterPhase.CANARY:
        watch(transition)
        if transition.state.phase is MasterPhase.CANARY:
            return
    fill(transition)
    proven = transition.state.proven()
    complete = proven >= set(range(transition.state.wanted))
    for worker in list(transition.state.live()):
        if worker.generation != transition.state.plan.generation and (complete or worker.index in proven):
            retire(transition, worker)
    if complete:
        _settle_when_heard(transition)
        return
    transition.state = replace(transition.state, until=None)
    generation = transition.state.plan.generation
    if any(not worker.ready for worker in transition.state.live(generation)):
        return
    missing = set(range(transition.state.wanted)) - transition.state.filled(generation)
    if missing and transition.state.may_start(min(missing), transition.now):
        spawn(transition, min(missing), transition.state.plan)


def _settle_when_heard(transition: Transition) -> None:
    """End the reload when no old worker accepts any more, so that who reads "done" gets the new generation only."""
    state = transition.state
    told = [w for w in state.workers if w.state is WorkerState.DRAINING and w.since >= state.since and not w.heard]
    if told and state.until is None:
        transition.state = replace(state, until=transition.now + HEARD_WITHIN)
    elif not told or (state.until is not None and state.until <= transition.now):
        _settle(transition)


def _settle(transition: Transition) -> None:
    back = transition.state.phase is MasterPhase.ROLLBACK
    took = transition.now - transition.state.since
    transition.enter(MasterEvent.ROLLED)
    transition.state = replace(transition.state, before=None, failures=0)
    count, facts = transition.state.wanted, {"workers": transition.state.wanted, "seconds": round(took, 2)}
    words = f"generation {transition.state.plan.generation}, {count} workers, {took:.2f} s"
    if back:
        transition.log("info", named("reload.undone", f"reload undone: {words}", **facts))
    else:
        transition.log("info", named("reload.done", f"reload done: {words}", **facts))
    transition.act(v.CommitGeneration(transition.state.plan.generation))


def _roll_back(transition: Transition) -> None:
    """Make the generation before the wanted one again."""
    before, failed = transition.state.before, transition.state.plan
    assert before is not None, "a reload knows where it came from"
    transition.log(
        "error",
        named(
            "reload.failed",
            f"reload failed: {transition.state.fault}; generation {failed.generation} is given up,"
            f" back to generation {before.plan.generation}",
            back=before.plan.generation,
        ),
    )
    transition.enter(MasterEvent.FAILED)
    transition.state = replace(
        transition.state, plan=before.plan, wanted=before.wanted, before=None, strikes={}, failures=0, watched=None
    )
    for worker in list(transition.state.live(failed.generation)):
        if not worker.ready:
            transition.dismiss(worker, failed.graceful)
