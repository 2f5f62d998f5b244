"""The upgrade as the supervision sees it: the next l7 is awaited for a while, then this one drains. Pure."""

from __future__ import annotations

from dataclasses import replace

from l7.master import vocabulary as v
from l7.master.lifecycle import BEATS, MasterEvent, MasterState
from l7.master.turn import MARGIN, Turn

UPGRADE_WITHIN = 30.0
"""Seconds that the next l7 has, beside what its workers may take to boot and to be watched."""


def upgrade(turn: Turn, event: v.Event) -> None:
    """Start the next l7, unless something else is under way."""
    if turn.fleet.phase is not MasterState.SERVING:
        turn.log("warning", f"no upgrade while l7 is {turn.fleet.phase.value}; ask again")
        return
    plan = turn.fleet.plan
    turn.log("info", "upgrade: the next l7 is started")
    turn.enter(MasterEvent.UPGRADE, until=turn.now + UPGRADE_WITHIN + plan.silence + plan.canary)
    turn.act(v.Execute())


def replaced(turn: Turn, event: v.Event) -> None:
    """Make way: everything is handed over or finished."""
    assert isinstance(event, v.Replaced)
    if turn.fleet.phase is not MasterState.UPGRADING:
        return
    within = turn.fleet.plan.drain
    turn.log("info", f"upgrade done: process {event.pid} has taken over; this one drains")
    turn.enter(MasterEvent.REPLACED, until=turn.now + within + MARGIN)
    turn.fleet = replace(turn.fleet, since=turn.now)
    for worker in turn.fleet.workers:
        if worker.state in BEATS:
            turn.drain(worker, within)
        else:
            turn.stop(worker)
    turn.act(v.CloseListeners())


def failed(turn: Turn, event: v.Event) -> None:
    """Go on as if nothing had been."""
    assert isinstance(event, v.UpgradeFailed)
    if turn.fleet.phase is not MasterState.UPGRADING:
        return
    turn.log("error", f"upgrade failed: {event.why}; this l7 goes on")
    turn.enter(MasterEvent.FAILED)


def expire(turn: Turn) -> None:
    """The next l7 has had its time."""
    turn.act(v.Abandon())
    failed(turn, v.UpgradeFailed("the next l7 is not ready in time"))
