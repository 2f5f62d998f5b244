"""The upgrade as the supervision sees it: the next l7 is awaited for a while, then this one drains. Pure."""

from __future__ import annotations

from dataclasses import replace

from l7.master import vocabulary as v
from l7.master.lifecycle import BEATS, ENDS, MasterEvent, MasterState
from l7.master.turn import MARGIN, Turn
from l7.telemetry.events import named

UPGRADE_WITHIN = 30.0
"""Seconds that the next l7 has, beside what its workers may take to boot and to be watched."""


def upgrade(turn: Turn, event: v.Event) -> None:
    """Start the next l7, unless something else is under way."""
    if turn.fleet.phase is not MasterState.SERVING:
        phase = turn.fleet.phase.value
        turn.log("warning", named("upgrade.refused", f"no upgrade while l7 is {phase}; ask again", state=phase))
        return
    plan = turn.fleet.plan
    turn.log("info", named("upgrade.started", "upgrade: the next l7 is started"))
    turn.enter(MasterEvent.UPGRADE, until=turn.now + UPGRADE_WITHIN + plan.silence + plan.canary)
    turn.act(v.Execute())


def replaced(turn: Turn, event: v.Event) -> None:
    """Make way: everything is handed over or finished."""
    assert isinstance(event, v.Replaced)
    if turn.fleet.phase is not MasterState.UPGRADING:
        return
    done = f"upgrade done: process {event.pid} has taken over; this one drains"
    turn.log("info", named("upgrade.done", done, pid=event.pid))
    if turn.fleet.again:
        pass_on(turn)
    _retire(turn, MasterEvent.REPLACED, turn.fleet.plan.drain)


def withdraw(turn: Turn, event: v.Event) -> None:
    """Make way for the l7 before us: what was lent to this one goes back."""
    assert isinstance(event, v.Withdraw)
    if turn.fleet.phase in ENDS:
        return
    unfit = f"not fit to take over: {event.why}; what is served here goes back"
    turn.log("error", named("upgrade.withdrawn", unfit, reason=event.why))
    turn.act(v.GiveBack())
    turn.fleet = replace(turn.fleet, code=1)
    _retire(turn, MasterEvent.WITHDRAW, turn.fleet.plan.graceful)


def pass_on(turn: Turn) -> None:
    """Leave a reload that was asked for here to the l7 that has taken over."""
    turn.log("info", named("reload.passed-on", "the reload is left to the l7 that has taken over"))
    turn.act(v.PassOn())


def _retire(turn: Turn, event: MasterEvent, within: float) -> None:
    turn.enter(event, until=turn.now + within + MARGIN)
    turn.fleet = replace(turn.fleet, since=turn.now)
    for worker in turn.fleet.workers:
        if worker.state in BEATS:
            turn.drain(worker, within)
        else:
            turn.dismiss(worker, turn.fleet.plan.graceful)
    turn.act(v.CloseListeners())


def failed(turn: Turn, event: v.Event) -> None:
    """Go on as if nothing had been."""
    assert isinstance(event, v.UpgradeFailed)
    if turn.fleet.phase is not MasterState.UPGRADING:
        return
    turn.log("error", named("upgrade.failed", f"upgrade failed: {event.why}; this l7 goes on", reason=event.why))
    turn.enter(MasterEvent.FAILED)


def expire(turn: Turn) -> None:
    """The next l7 has had its time."""
    turn.act(v.Abandon())
    failed(turn, v.UpgradeFailed("the next l7 is not ready in time"))
