"""Which monitor process there is: one for the generation that is wanted, where that has work for it. Pure.

A reload starts one of the new generation beside the old one. The old one is stopped when the new one is ready, and the
new one begins its work when the old one is gone, so that two never write at the same time. No request passes through
it: it may die, hang or be missing, and traffic goes on with what it found out last.
"""

from __future__ import annotations

from dataclasses import replace

from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import ENDS, ChildEvent, ChildState, MasterPhase
from l7.master.supervision.state import NO_INDEX, ChildRecord, ChildRole, SupervisorState
from l7.master.supervision.transition import Transition


def wanted_monitor(state: SupervisorState) -> int | None:
    """The generation whose monitor process is wanted, or None.

    While l7 ends, only one that answers on the admin address or exports traces is; after an upgrade the next l7 does.
    """
    plan = state.plan
    ends = state.phase in ENDS and (state.phase is MasterPhase.RETIRING or not plan.monitor_to_end)
    return plan.generation if plan.monitor and not ends else None


def present_monitor(state: SupervisorState) -> ChildRecord | None:
    """The monitor process of the wanted generation, at work or soon to be."""
    wanted = wanted_monitor(state)
    return next((one for one in state.monitors if one.live and one.generation == wanted), None)


def reconcile(transition: Transition) -> None:
    """Start the monitor process that is wanted, stop the others, and let it begin when they are gone."""
    present = present_monitor(transition.state)
    for one in transition.state.monitors:
        if one is present or not one.live:
            continue
        # The old one goes on until there is a new one, except where it has not begun or none is wanted.
        goes_on = one.ready and wanted_monitor(transition.state) is not None
        if not goes_on or (present is not None and present.state is not ChildState.STARTING):
            transition.stop(one)
    if present is None:
        _spawn(transition)
    elif present.state is ChildState.WAITING and len(transition.state.monitors) == 1:
        transition.move(present, ChildEvent.BOOTED)
        transition.act(v.ActivateMonitor(present.slot))


def _spawn(transition: Transition) -> None:
    state, now = transition.state, transition.now
    wanted, slot = wanted_monitor(state), state.free_slot(ChildRole.MONITOR)
    if wanted is None or slot is None or not state.may_start(NO_INDEX, now):
        return
    until = now + state.plan.silence
    one = ChildRecord(slot, NO_INDEX, wanted, now, since=now, until=until, role=ChildRole.MONITOR)
    transition.state = replace(state, children=(*state.children, one))
    transition.act(v.SpawnMonitor(slot, wanted))
