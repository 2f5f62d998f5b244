"""The end of l7: requests in flight are finished or cut off, and workers that are left are killed. Pure."""

from __future__ import annotations

from dataclasses import replace

from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import BEATS, ENDS, MasterEvent, MasterPhase
from l7.master.supervision.transition import MARGIN, Transition
from l7.telemetry.events import named

ECHO = 0.2
"""Seconds in which a second TERM is the first one again: timeout(1) signals a process and then its whole group."""
GIVE_UP = 5.0
"""Seconds after a stop after which processes that do not even die of KILL are left behind."""


def terminate(transition: Transition, event: v.Event) -> None:
    """Stop gracefully; the second time, at once."""
    if transition.state.phase in ENDS and transition.state.phase is not MasterPhase.RETIRING:
        if transition.now - transition.state.since > ECHO:
            interrupt(transition, event)
        return
    within = transition.state.plan.graceful
    _abandon_upgrade(transition)
    transition.enter(MasterEvent.TERMINATE, until=transition.now + within + MARGIN)
    transition.state = replace(transition.state, since=transition.now)
    transition.log("info", named("master.stopping", f"stopping: requests in flight have {within:g} s"))
    for worker in transition.state.workers:
        if worker.state in BEATS:
            transition.drain(worker, within, close=True)
        else:
            transition.dismiss(worker, within, close=True)
    transition.act(v.CloseListeners())


def interrupt(transition: Transition, event: v.Event) -> None:
    """Stop at once."""
    transition.log("info", named("master.stopping", "stopping at once"))
    end(transition, MasterEvent.INTERRUPT)


def end(transition: Transition, event: MasterEvent) -> None:
    """Tell every worker to end now."""
    _abandon_upgrade(transition)
    transition.enter(event, until=transition.now + GIVE_UP)
    for worker in transition.state.workers:
        transition.stop(worker)
    transition.act(v.CloseListeners())


def finish(transition: Transition, event: MasterEvent) -> None:
    """End the master."""
    transition.enter(event)
    transition.act(v.ExitMaster(transition.state.code))


def expire(transition: Transition) -> None:
    """Cut off or leave behind the workers that are left: the time for the end of l7 is over."""
    if transition.state.phase is MasterPhase.DRAINING:
        transition.log("warning", named("drain.cut", "graceful-timeout is over: requests in flight are cut off"))
        end(transition, MasterEvent.LATE)
    elif transition.state.phase is MasterPhase.RETIRING:
        transition.log("warning", named("drain.cut", "drain-timeout is over: what is left is cut off"))
        end(transition, MasterEvent.LATE)
    elif transition.state.phase is MasterPhase.STOPPING:
        transition.log("error", f"{len(transition.state.workers)} workers do not die; they are left behind")
        finish(transition, MasterEvent.LATE)


def come_to_an_end(transition: Transition) -> None:
    """End the master when no worker is left."""
    if transition.state.phase in ENDS - {MasterPhase.STOPPED} and not transition.state.workers:
        finish(transition, MasterEvent.EMPTY)


def _abandon_upgrade(transition: Transition) -> None:
    if transition.state.phase is MasterPhase.UPGRADING:
        transition.act(v.AbandonSuccessor())
