"""Supervision as a pure step: ``step(fleet, event, now) -> (fleet, actions)``.

No process, no socket and no clock is touched here, so a whole rolling restart is tested by hand-driven time. The
rules, all of them:

- A place (index) without a live worker is filled at once; after workers that died young there, only after a pause.
- A reload starts one worker of the new generation, the canary, and watches it (`l7.master.trial`); then one follows
  after another, and their answers are weighed, too. Each that becomes ready lets the old worker of its place drain: new
  before old, so that capacity never falls.
- A canary that fails ends the reload, and so do two others that die young or do not boot, and answers that are worse:
  back to the old generation, the same way.
- A reload asked for while one is under way is remembered, once.
- A silent worker is asked for its stacks, then aborted, then killed; its place is filled without waiting for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from l7.master import ending, replacement
from l7.master import vocabulary as v
from l7.master.fleet import Fleet, Strike, Worker
from l7.master.lifecycle import (
    BEATS,
    ENDS,
    EXAMINED,
    LIVE,
    ROLLS,
    MasterEvent,
    MasterState,
    WorkerEvent,
    WorkerState,
)
from l7.master.staffing import fill, retire, shrink, spawn
from l7.master.trial import fail, has_failed, look, look_again, on_trial, watch, weighed
from l7.master.turn import Turn
from l7.telemetry.events import Named, named

YOUNG = 0.25
"""A worker that lived for less than these seconds after it became ready died young. What lives longer and dies again
and again cannot make a loop that is worth slowing down, and may be the victim of somebody else."""
PAUSES = (0.5, 30.0)
"""The first and the longest pause before a worker is started where others died young; it doubles in between."""
STACKS_WITHIN = 1.0
"""Seconds a silent worker has to write its stacks, and then its interpreter to write its own."""
OUT_OF_MEMORY = " (not by l7; if by nobody, the system was out of memory: see the kernel's log)"
HEARD_WITHIN = 1.0
"""Seconds that an old worker has to hear that it is to drain before the reload is called done without it."""


def step(fleet: Fleet, event: v.Event, now: float) -> tuple[Fleet, list[v.Action]]:
    """What the fleet becomes by an event, and what is to be done; raises `LifecycleError` for an impossible one."""
    turn = Turn(fleet, now)
    if fleet.phase is not MasterState.STOPPED:
        _HANDLERS[type(event)](turn, event)
        _expire(turn)
        _reconcile(turn)
    return turn.fleet, turn.actions


# --- events ---------------------------------------------------------------------------------------------------------


def _tick(turn: Turn, event: v.Event) -> None:
    """Nothing but the time has changed."""


def _hangup(turn: Turn, event: v.Event) -> None:
    if turn.fleet.phase is MasterState.SERVING:
        turn.act(v.Load())
    elif turn.fleet.phase not in ENDS:
        if not turn.fleet.again:
            turn.log("info", named("reload.remembered", "reload remembered: it begins when the present one is done"))
        turn.fleet = replace(turn.fleet, again=True)
    elif turn.fleet.phase is MasterState.RETIRING and not turn.fleet.code:
        replacement.pass_on(turn)


def _loaded(turn: Turn, event: v.Event) -> None:
    assert isinstance(event, v.Loaded)
    if turn.fleet.phase in ENDS:
        return
    old = turn.fleet
    turn.enter(MasterEvent.LOADED)
    wanted = event.plan.workers if event.plan.workers != old.plan.workers else old.wanted
    turn.fleet = replace(
        turn.fleet, plan=event.plan, wanted=wanted, before=old, failures=0, fault="", watched=None, strikes={},
        since=turn.now,
    )  # fmt: skip


def _booted(turn: Turn, event: v.Event) -> None:
    assert isinstance(event, v.Booted)
    worker = turn.fleet.worker(event.slot)
    if worker is None or worker.state not in LIVE:
        return  # it was given up before its word came
    turn.move(worker, WorkerEvent.BOOTED)
    took = f"{worker} of generation {worker.generation} ready after {turn.now - worker.started:.2f} s"
    if turn.fleet.phase in (MasterState.ROLLING, MasterState.ROLLBACK):
        took = f"{took}: {len(turn.fleet.proven())} of {turn.fleet.wanted}"
        turn.log("info", named("worker.ready", took, worker=worker.index + 1))
        turn.act(v.Level(worker.slot))
        look_again(turn)
    else:
        turn.log("debug", named("worker.ready", took, worker=worker.index + 1))


def _gone(turn: Turn, event: v.Event) -> None:
    assert isinstance(event, v.Gone)
    worker = turn.fleet.worker(event.slot)
    if worker is None:
        return
    turn.move(worker, WorkerEvent.EXIT)
    turn.fleet = turn.fleet.without(worker.slot)
    age = f"{turn.now - worker.started:.1f} s"

    def exited(words: str) -> Named:
        return named("worker.exited", words, worker=worker.index + 1, reason=event.why)

    if worker.state in LIVE and turn.fleet.phase not in ENDS:
        hint = OUT_OF_MEMORY if event.why.startswith("killed by SIGKILL") else ""
        turn.log("warning" if event.clean else "error", exited(f"{worker} died after {age}: {event.why}{hint}"))
        _mourn(turn, worker, event.why)
    elif worker.state in BEATS and not event.clean:
        turn.log("warning", exited(f"{worker}, draining, died after {age}: {event.why}"))
    else:
        words = f"{worker} ended ({worker.state.value}) after {age}: {event.why}"
        turn.log("debug" if event.clean else "info", exited(words))


def _silent(turn: Turn, event: v.Event) -> None:
    assert isinstance(event, v.Silent)
    worker = turn.fleet.worker(event.slot)
    if worker is None or worker.state not in BEATS:
        return
    hangs = f"{worker} hangs: no heartbeat for {turn.fleet.plan.silence:g} s; its stacks follow"
    turn.log("error", named("worker.hung", hangs, worker=worker.index + 1))
    if on_trial(turn, worker):
        fail(turn, f"{worker} hangs")
    _examine(turn, worker)


def _stacks(turn: Turn, event: v.Event) -> None:
    assert isinstance(event, v.Stacks)
    worker = turn.fleet.worker(event.slot)
    if worker is None:
        return
    if worker.state in (WorkerState.SILENT, WorkerState.ABORTED):
        turn.kill(worker, WorkerEvent.STACKS)


def _heard(turn: Turn, event: v.Event) -> None:
    assert isinstance(event, v.Heard)
    worker = turn.fleet.worker(event.slot)
    if worker is not None and worker.state is WorkerState.DRAINING:
        turn.fleet = turn.fleet.with_worker(replace(worker, heard=True))


def _weighed(turn: Turn, event: v.Event) -> None:
    assert isinstance(event, v.Weighed)
    weighed(turn, event)


def _more(turn: Turn, event: v.Event) -> None:
    wanted = turn.fleet.wanted + 1
    if wanted > turn.fleet.slots // 4:
        turn.log("warning", f"no more than {turn.fleet.wanted} workers")
        return
    turn.fleet = replace(turn.fleet, wanted=wanted)
    turn.log("info", named("workers.more", f"one worker more: {wanted}", workers=wanted))


def _fewer(turn: Turn, event: v.Event) -> None:
    wanted = max(1, turn.fleet.wanted - 1)
    words = f"one worker fewer: {wanted}" if wanted < turn.fleet.wanted else "the last worker stays"
    turn.log("info", named("workers.fewer", words, workers=wanted))
    turn.fleet = replace(turn.fleet, wanted=wanted)


_HANDLERS: dict[type[v.Event], Callable[[Turn, v.Event], None]] = {
    v.Tick: _tick,
    v.Hangup: _hangup,
    v.Loaded: _loaded,
    v.Booted: _booted,
    v.Gone: _gone,
    v.Silent: _silent,
    v.Stacks: _stacks,
    v.Heard: _heard,
    v.Weighed: _weighed,
    v.Upgrade: replacement.upgrade,
    v.Replaced: replacement.replaced,
    v.UpgradeFailed: replacement.failed,
    v.Withdraw: replacement.withdraw,
    v.More: _more,
    v.Fewer: _fewer,
    v.Terminate: ending.terminate,
    v.Interrupt: ending.interrupt,
}


# --- what follows ---------------------------------------------------------------------------------------------------


def _examine(turn: Turn, worker: Worker) -> None:
    turn.move(worker, WorkerEvent.SILENT, STACKS_WITHIN)
    turn.act(v.AskStacks(worker.slot))


def _mourn(turn: Turn, worker: Worker, why: str) -> None:
    """Count a death against its place when it came early, and against the new generation while it is on trial."""
    trial = on_trial(turn, worker)
    booted = worker.state is WorkerState.READY
    if booted and turn.now - worker.since >= YOUNG:
        turn.fleet = turn.fleet.with_strike(worker.index, None)
        if trial and turn.fleet.watched == worker.slot:
            fail(turn, f"the canary died: {why}")
        return
    old = turn.fleet.strikes.get(worker.index)
    count = old.count + 1 if old else 1
    # One early death of a worker that had booted is an accident; a row of them is a fault that a loop makes worse.
    doublings = count - 1 - booted
    pause = min(PAUSES[0] * 2 ** min(doublings, 16), PAUSES[1]) if doublings >= 0 else 0.0
    turn.fleet = turn.fleet.with_strike(worker.index, Strike(count, turn.now + pause))
    if pause and not trial:
        words = f"{worker} is started again in {pause:g} s"
        turn.log("warning", named("worker.delayed", words, worker=worker.index + 1, seconds=pause))
    if trial:
        fail(turn, f"{worker} did not boot: {why}" if not booted else f"{worker} died young: {why}")


def _expire(turn: Turn) -> None:
    """Act on every deadline that has passed."""
    for worker in turn.fleet.workers:
        if worker.until is not None and worker.until <= turn.now:
            _expire_worker(turn, worker)
    if turn.fleet.weigh_at is not None and turn.fleet.weigh_at <= turn.now:
        look(turn)
    if turn.fleet.until is None or turn.fleet.until > turn.now:
        return
    if turn.fleet.phase is MasterState.UPGRADING:
        replacement.expire(turn)
    else:
        ending.expire(turn)


def _expire_worker(turn: Turn, worker: Worker) -> None:
    if worker.state is WorkerState.STARTING:
        silence = turn.now - worker.started
        words = f"{worker} is not ready after {silence:.1f} s; its stacks follow"
        turn.log("error", named("worker.unready", words, worker=worker.index + 1))
        _mourn(turn, worker, f"not ready after {silence:.1f} s")
        _examine(turn, worker)
    elif worker.state is WorkerState.SILENT:
        turn.move(worker, WorkerEvent.LATE, STACKS_WITHIN)
        turn.act(v.Abort(worker.slot))
    elif worker.state in (WorkerState.ABORTED, WorkerState.DRAINING, WorkerState.STOPPING):
        if worker.state is WorkerState.DRAINING:
            words = f"{worker} of generation {worker.generation} has not drained in time; it is killed"
            turn.log("warning", named("worker.killed", words, worker=worker.index + 1))
        turn.kill(worker, WorkerEvent.LATE)


def _reconcile(turn: Turn) -> None:
    """Bring what there is nearer to what there should be."""
    if turn.fleet.phase not in ENDS:
        _supervise(turn)
    ending.come_to_an_end(turn)


def _supervise(turn: Turn) -> None:
    if has_failed(turn):
        _roll_back(turn)
    fill(turn)
    if turn.fleet.phase is MasterState.STARTING:
        _start(turn)
    if turn.fleet.phase in ROLLS:
        _roll(turn)
    if turn.fleet.phase is MasterState.SERVING:
        shrink(turn)
        if turn.fleet.again:
            turn.fleet = replace(turn.fleet, again=False)
            turn.act(v.Load())


def _start(turn: Turn) -> None:
    """Decide what became of the first generation, once every place has an answer."""
    ready = turn.fleet.proven()
    if any(i not in ready and i not in turn.fleet.strikes for i in range(turn.fleet.wanted)):
        return
    if ready:
        turn.enter(MasterEvent.READY)
        turn.act(v.Announce(len(ready), turn.fleet.wanted))
        return
    if any(worker.state in EXAMINED for worker in turn.fleet.workers):
        return  # what it has to say is all that people will have to go by
    turn.log("error", named("workers.unbootable", "no worker can boot"))
    turn.fleet = replace(turn.fleet, code=3)
    ending.end(turn, MasterEvent.UNBOOTABLE)


def _roll(turn: Turn) -> None:
    """Go on with the replacement of one generation by another."""
    if turn.fleet.phase is MasterState.CANARY:
        watch(turn)
        if turn.fleet.phase is MasterState.CANARY:
            return
    fill(turn)
    proven = turn.fleet.proven()
    complete = proven >= set(range(turn.fleet.wanted))
    for worker in list(turn.fleet.live()):
        if worker.generation != turn.fleet.plan.generation and (complete or worker.index in proven):
            retire(turn, worker)
    if complete:
        _settle_when_heard(turn)
        return
    turn.fleet = replace(turn.fleet, until=None)
    generation = turn.fleet.plan.generation
    if any(not worker.ready for worker in turn.fleet.live(generation)):
        return
    missing = set(range(turn.fleet.wanted)) - turn.fleet.filled(generation)
    if missing and turn.fleet.may_start(min(missing), turn.now):
        spawn(turn, min(missing), turn.fleet.plan)


def _settle_when_heard(turn: Turn) -> None:
    """End the reload when no old worker accepts any more, so that who reads "done" gets the new generation only."""
    fleet = turn.fleet
    told = [w for w in fleet.workers if w.state is WorkerState.DRAINING and w.since >= fleet.since and not w.heard]
    if told and fleet.until is None:
        turn.fleet = replace(fleet, until=turn.now + HEARD_WITHIN)
    elif not told or (fleet.until is not None and fleet.until <= turn.now):
        _settle(turn)


def _settle(turn: Turn) -> None:
    back = turn.fleet.phase is MasterState.ROLLBACK
    took = turn.now - turn.fleet.since
    turn.enter(MasterEvent.ROLLED)
    turn.fleet = replace(turn.fleet, before=None, failures=0)
    count, facts = turn.fleet.wanted, {"workers": turn.fleet.wanted, "seconds": round(took, 2)}
    words = f"generation {turn.fleet.plan.generation}, {count} workers, {took:.2f} s"
    if back:
        turn.log("info", named("reload.undone", f"reload undone: {words}", **facts))
    else:
        turn.log("info", named("reload.done", f"reload done: {words}", **facts))
    turn.act(v.Settle(turn.fleet.plan.generation))


def _roll_back(turn: Turn) -> None:
    """Take the generation before as the wanted one again."""
    before, failed = turn.fleet.before, turn.fleet.plan
    assert before is not None, "a reload knows where it came from"
    turn.log(
        "error",
        named(
            "reload.failed",
            f"reload failed: {turn.fleet.fault}; generation {failed.generation} is given up,"
            f" back to generation {before.plan.generation}",
            back=before.plan.generation,
        ),
    )
    turn.enter(MasterEvent.FAILED)
    turn.fleet = replace(
        turn.fleet, plan=before.plan, wanted=before.wanted, before=None, strikes={}, failures=0, watched=None
    )
    for worker in list(turn.fleet.live(failed.generation)):
        if not worker.ready:
            turn.dismiss(worker, failed.graceful)
