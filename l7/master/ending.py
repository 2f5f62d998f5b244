"""How it ends: requests in flight are finished, or cut off, and whoever is left is killed. Pure."""

from __future__ import annotations

from dataclasses import replace

from l7.master import vocabulary as v
from l7.master.lifecycle import BEATS, ENDS, MasterEvent, MasterState
from l7.master.turn import MARGIN, Turn
from l7.telemetry.events import named

ECHO = 0.2
"""Seconds in which a second TERM is the first one again: timeout(1) signals a process and then its whole group."""
GIVE_UP = 5.0
"""Seconds after a stop after which processes that do not even die of KILL are left behind."""


def terminate(turn: Turn, event: v.Event) -> None:
    """Stop gracefully; the second time, at once."""
    if turn.fleet.phase in ENDS and turn.fleet.phase is not MasterState.RETIRING:
        if turn.now - turn.fleet.since > ECHO:
            interrupt(turn, event)
        return
    within = turn.fleet.plan.graceful
    _abandon_upgrade(turn)
    turn.enter(MasterEvent.TERMINATE, until=turn.now + within + MARGIN)
    turn.fleet = replace(turn.fleet, since=turn.now)
    turn.log("info", named("master.stopping", f"stopping: requests in flight have {within:g} s"))
    for worker in turn.fleet.workers:
        if worker.state in BEATS:
            turn.drain(worker, within, close=True)
        else:
            turn.dismiss(worker, within, close=True)
    turn.act(v.CloseListeners())


def interrupt(turn: Turn, event: v.Event) -> None:
    """Stop at once."""
    turn.log("info", named("master.stopping", "stopping at once"))
    end(turn, MasterEvent.INTERRUPT)


def end(turn: Turn, event: MasterEvent) -> None:
    """Tell every worker to end now."""
    _abandon_upgrade(turn)
    turn.enter(event, until=turn.now + GIVE_UP)
    for worker in turn.fleet.workers:
        turn.stop(worker)
    turn.act(v.CloseListeners())


def finish(turn: Turn, event: MasterEvent) -> None:
    """End the master."""
    turn.enter(event)
    turn.act(v.Finish(turn.fleet.code))


def expire(turn: Turn) -> None:
    """The time that the ending had is over."""
    if turn.fleet.phase is MasterState.DRAINING:
        turn.log("warning", named("drain.cut", "graceful-timeout is over: requests in flight are cut off"))
        end(turn, MasterEvent.LATE)
    elif turn.fleet.phase is MasterState.RETIRING:
        turn.log("warning", named("drain.cut", "drain-timeout is over: what is left is cut off"))
        end(turn, MasterEvent.LATE)
    elif turn.fleet.phase is MasterState.STOPPING:
        turn.log("error", f"{len(turn.fleet.workers)} workers do not die; they are left behind")
        finish(turn, MasterEvent.LATE)


def come_to_an_end(turn: Turn) -> None:
    """Finish when nobody is left to wait for."""
    if turn.fleet.phase in ENDS - {MasterState.STOPPED} and not turn.fleet.workers:
        finish(turn, MasterEvent.EMPTY)


def _abandon_upgrade(turn: Turn) -> None:
    if turn.fleet.phase is MasterState.UPGRADING:
        turn.act(v.Abandon(stop=True))
