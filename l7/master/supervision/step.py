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
- A silent child is aborted, which writes its stacks, then killed; its place is filled without waiting for that.
- A worker whose clients speak TLS may go on for them after its time to drain (`l7.master.supervision.placement`).
- One monitor process is at work (`l7.master.supervision.monitor`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from l7.master.supervision import child, monitor, shutdown, upgrade
from l7.master.supervision import events as v
from l7.master.supervision.canary import (
    has_failed,
    look,
    looked_ahead,
    note_unreachable,
    watch,
    weighed,
)
from l7.master.supervision.lifecycle import (
    DRAINS,
    ENDS,
    ROLLS,
    ChildState,
    MasterEvent,
    MasterPhase,
)
from l7.master.supervision.placement import fill, relays_begin, retire, shrink, spawn
from l7.master.supervision.state import SupervisorState
from l7.master.supervision.transition import Transition
from l7.telemetry.events import named

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
    # A reload is forced although requests will fail: comparing them would undo it after all.
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


def _heard(transition: Transition, event: v.Event) -> None:
    assert isinstance(event, v.DrainAcknowledged)
    worker = transition.state.child(event.slot)
    if worker is not None and worker.state in DRAINS:
        transition.state = transition.state.with_child(replace(worker, heard=True))


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
    v.ChildReady: child.booted,
    v.ChildExited: child.exited,
    v.HeartbeatLost: child.silent,
    v.DrainAcknowledged: _heard,
    v.RelayBegun: relays_begin,
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


def _expire(transition: Transition) -> None:
    """Act on every deadline that has passed."""
    for one in transition.state.children:
        if one.until is not None and one.until <= transition.now:
            child.expire(transition, one)
    if transition.state.weigh_at is not None and transition.state.weigh_at <= transition.now:
        look(transition)
    if transition.state.until is None or transition.state.until > transition.now:
        return
    if transition.state.phase is MasterPhase.UPGRADING:
        upgrade.expire(transition)
    else:
        shutdown.expire(transition)


def _reconcile(transition: Transition) -> None:
    """Start, drain and stop children until the children that there are are those that are wanted."""
    if transition.state.phase not in ENDS:
        _supervise(transition)
    monitor.reconcile(transition)
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
    if any(worker.state is ChildState.ABORTED for worker in transition.state.workers):
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
    """End the reload when no old worker accepts any more, so that after "done" only the new generation serves."""
    state = transition.state
    told = [w for w in state.workers if w.state in DRAINS and w.since >= state.since and not w.heard]
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
    # First: who reads that it is done may count on closed listeners.
    transition.act(v.CommitGeneration(transition.state.plan.generation))
    if back:
        transition.log("info", named("reload.undone", f"reload undone: {words}", **facts))
    else:
        transition.log("info", named("reload.done", f"reload done: {words}", **facts))


def _roll_back(transition: Transition) -> None:
    """Make the old generation the wanted one again."""
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
