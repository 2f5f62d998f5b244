"""The upgrade as the supervision sees it: the next l7 is awaited for a while, then this one drains. Pure."""

from __future__ import annotations

from dataclasses import replace

from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import BEATS, MasterEvent, MasterPhase
from l7.master.supervision.transition import MARGIN, Transition
from l7.telemetry.events import named

UPGRADE_WITHIN = 30.0
"""Seconds that the next l7 has to take over, beside what its workers may take to boot."""


def upgrade(transition: Transition, event: v.Event) -> None:
    """Start the next l7, unless something else is under way."""
    if transition.state.phase is not MasterPhase.SERVING:
        phase = transition.state.phase.value
        transition.log("warning", named("upgrade.refused", f"no upgrade while l7 is {phase}; ask again", state=phase))
        return
    plan = transition.state.plan
    transition.log("info", named("upgrade.started", "upgrade: the next l7 is started"))
    transition.enter(MasterEvent.UPGRADE, until=transition.now + UPGRADE_WITHIN + plan.silence)
    transition.act(v.StartSuccessor())


def replaced(transition: Transition, event: v.Event) -> None:
    """Drain: the next l7 has taken over."""
    assert isinstance(event, v.SuccessorTookOver)
    if transition.state.phase is not MasterPhase.UPGRADING:
        return
    done = f"upgrade done: process {event.pid} has taken over; this one drains"
    transition.log("info", named("upgrade.done", done, pid=event.pid))
    if transition.state.again is not None:
        pass_on(transition, transition.state.again)
    _retire(transition)


def pass_on(transition: Transition, reload: v.ReloadRequested) -> None:
    """Leave a reload that was asked for here to the l7 that has taken over."""
    transition.log("info", named("reload.passed-on", "the reload is left to the l7 that has taken over"))
    transition.act(v.ForwardReload(reload.forced))


def _retire(transition: Transition) -> None:
    within = transition.state.plan.drain
    transition.enter(MasterEvent.REPLACED, until=transition.now + within + MARGIN)
    transition.state = replace(transition.state, since=transition.now)
    for worker in transition.state.workers:
        if worker.state in BEATS:
            transition.drain(worker, within)
        else:
            transition.dismiss(worker, transition.state.plan.graceful)
    transition.act(v.CloseListeners())


def failed(transition: Transition, event: v.Event) -> None:
    """Serve on: the next l7 has not taken over."""
    assert isinstance(event, v.UpgradeFailed)
    if transition.state.phase is not MasterPhase.UPGRADING:
        return
    transition.log("error", named("upgrade.failed", f"upgrade failed: {event.why}; this l7 goes on", reason=event.why))
    transition.enter(MasterEvent.FAILED)


def expire(transition: Transition) -> None:
    """Give the next l7 up: its time to take over has passed."""
    transition.act(v.AbandonSuccessor())
    failed(transition, v.UpgradeFailed("the next l7 is not ready in time"))
