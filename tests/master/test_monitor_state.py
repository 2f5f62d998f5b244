"""The supervision of the monitor process, with a clock that is moved by hand and no process.

It is the supervision's step that is tested, among whose children are a worker or none.
"""

from __future__ import annotations

from dataclasses import replace

from l7.master.supervision import child
from l7.master.supervision.events import (
    AbortChild,
    Action,
    ActivateMonitor,
    ChildExited,
    ChildReady,
    Event,
    ExitMaster,
    GenerationPlan,
    HeartbeatLost,
    KillChild,
    LogEvent,
    SpawnMonitor,
    StopChild,
    Tick,
)
from l7.master.supervision.lifecycle import LIVE, ChildState, MasterPhase
from l7.master.supervision.monitor import present_monitor
from l7.master.supervision.state import MONITOR_SLOTS, STOP_WITHIN, ChildRecord, ChildRole, SupervisorState
from l7.master.supervision.step import step
from tests.master.simulation import Simulation

SLOT = 8
"""The first slot of a monitor process."""
YOUNG = child.YOUNG[ChildRole.MONITOR]
WORKER = ChildRecord(0, 0, 1, 100.0, ChildState.DRAINING)
STOP = STOP_WITHIN[ChildRole.MONITOR]


class Desk:
    """A supervision without workers: tell it what happens, read what it wants done."""

    def __init__(self) -> None:
        self.state = SupervisorState(GenerationPlan(0, 0), 0, SLOT, phase=MasterPhase.SERVING)
        self.now = 100.0
        self.said: list[str] = []

    def tell(self, event: Event, after: float = 0.0) -> list[Action]:
        self.now += after
        self.state, actions = step(self.state, event, self.now)
        self.said += [action.text for action in actions if isinstance(action, LogEvent)]
        return [action for action in actions if not isinstance(action, LogEvent)]

    def want(self, generation: int | None, silence: float = 30.0) -> list[Action]:
        """Have another generation wanted, as a reload does, or one that has no work for a monitor process."""
        plan = GenerationPlan(generation or 0, 0, silence=silence, monitor=generation is not None)
        again = plan.generation == self.state.plan.generation
        self.state = replace(self.state, plan=plan, strikes=self.state.strikes if again else {})
        return self.tell(Tick())

    def phases(self) -> list[ChildState]:
        return [one.state for one in self.state.monitors]

    def serve(self, generation: int = 1) -> None:
        assert self.want(generation) == [SpawnMonitor(SLOT, generation)]
        assert self.tell(ChildReady(SLOT)) == [ActivateMonitor(SLOT)]


def test_none_is_started_where_none_is_wanted() -> None:
    desk = Desk()
    assert desk.want(None) == []
    assert desk.tell(Tick(), after=60) == []
    assert desk.state.next_deadline(desk.now) is None


def test_one_is_started_and_begins_when_it_is_ready() -> None:
    desk = Desk()
    assert desk.want(1) == [SpawnMonitor(SLOT, 1)]
    assert desk.tell(Tick()) == []
    assert desk.tell(ChildReady(SLOT)) == [ActivateMonitor(SLOT)]
    assert desk.want(1) == []
    assert desk.phases() == [ChildState.READY]


def test_a_reload_stops_the_old_one_when_the_new_one_is_ready_and_lets_it_begin_when_the_old_one_is_gone() -> None:
    desk = Desk()
    desk.serve()
    assert desk.want(2) == [SpawnMonitor(SLOT + 1, 2)]
    assert desk.tell(Tick(), after=1) == []
    assert desk.tell(ChildReady(SLOT + 1)) == [StopChild(SLOT)]
    assert desk.phases() == [ChildState.STOPPING, ChildState.WAITING]
    assert desk.tell(ChildExited(SLOT, "exit status 0")) == [ActivateMonitor(SLOT + 1)]
    assert desk.phases() == [ChildState.READY]


def test_a_rollback_leaves_the_old_one_alone_where_it_still_serves() -> None:
    desk = Desk()
    desk.serve()
    desk.want(2)
    assert desk.want(1) == [StopChild(SLOT + 1)]
    assert desk.phases() == [ChildState.READY, ChildState.STOPPING]
    assert desk.tell(ChildExited(SLOT + 1, "exit status 0")) == []


def test_a_rollback_starts_one_of_the_old_generation_where_that_is_gone() -> None:
    desk = Desk()
    desk.serve()
    desk.want(2)
    desk.tell(ChildReady(SLOT + 1))
    desk.tell(ChildExited(SLOT, "exit status 0"))
    assert desk.want(1) == [SpawnMonitor(SLOT, 1)]
    assert desk.tell(ChildReady(SLOT)) == [StopChild(SLOT + 1)]
    assert desk.tell(ChildExited(SLOT + 1, "exit status 0")) == [ActivateMonitor(SLOT)]


def test_a_generation_that_needs_none_stops_the_old_one() -> None:
    desk = Desk()
    desk.serve()
    assert desk.want(None) == [StopChild(SLOT)]
    assert desk.tell(ChildExited(SLOT, "exit status 0")) == []
    assert desk.state.monitors == ()


def test_one_that_has_lived_is_started_again_at_once() -> None:
    desk = Desk()
    desk.serve()
    assert desk.tell(ChildExited(SLOT, "killed by SIGKILL"), after=YOUNG) == [SpawnMonitor(SLOT, 1)]
    assert desk.said == [f"the monitor process died after 10.0 s: killed by SIGKILL{child.OUT_OF_MEMORY}"]


def test_those_that_die_early_are_started_again_after_growing_pauses() -> None:
    desk = Desk()
    desk.want(1)
    pauses = []
    for _ in range(9):
        assert desk.tell(ChildExited(SLOT, "exit status 1"), after=0.01) == []
        due = desk.state.next_deadline(desk.now)
        assert due is not None
        pauses.append(due - desk.now)
        assert desk.tell(Tick(), after=pauses[-1] - 0.01) == []
        assert desk.tell(Tick(), after=0.02) == [SpawnMonitor(SLOT, 1)]
    assert [round(pause, 6) for pause in pauses] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_one_that_was_ready_and_dies_soon_is_started_again_after_a_pause() -> None:
    desk = Desk()
    desk.serve()
    assert desk.tell(ChildExited(SLOT, "killed by SIGKILL"), after=YOUNG - 1) == []
    assert desk.tell(Tick(), after=0.5) == [SpawnMonitor(SLOT, 1)]


def test_a_new_generation_does_not_wait_for_the_old_ones_pause() -> None:
    desk = Desk()
    desk.want(1)
    desk.tell(ChildExited(SLOT, "exit status 1"))
    assert desk.want(2) == [SpawnMonitor(SLOT, 2)]


def test_one_that_hangs_is_aborted_then_killed_then_replaced() -> None:
    desk = Desk()
    desk.serve()
    assert desk.tell(HeartbeatLost(SLOT), after=60) == [AbortChild(SLOT), SpawnMonitor(SLOT + 1, 1)]
    assert desk.tell(HeartbeatLost(SLOT)) == []
    assert desk.tell(Tick(), after=STOP) == [KillChild(SLOT)]
    assert desk.tell(ChildReady(SLOT + 1)) == [], "the one that hangs may still write"
    assert desk.tell(ChildExited(SLOT, "killed by SIGKILL")) == [ActivateMonitor(SLOT + 1)]


def test_one_that_is_never_ready_is_aborted() -> None:
    desk = Desk()
    desk.want(1, silence=5.0)
    assert desk.tell(Tick(), after=5.0)[0] == AbortChild(SLOT)
    assert desk.said[0] == "the monitor process is not ready after 5.0 s; its stacks follow"


def test_one_that_does_not_stop_is_killed() -> None:
    desk = Desk()
    desk.serve()
    desk.want(None)
    assert desk.tell(Tick(), after=STOP) == [KillChild(SLOT)]
    assert desk.tell(Tick(), after=5) == []
    assert desk.tell(ChildExited(SLOT, "killed by SIGKILL")) == []


def test_many_quick_reloads_never_have_more_than_there_are_slots() -> None:
    desk = Desk()
    desk.serve()
    for generation in range(2, 40):
        desk.want(generation)
        present = present_monitor(desk.state)
        if present is not None:
            desk.tell(ChildReady(present.slot))
    assert len(desk.state.monitors) == MONITOR_SLOTS
    for one in desk.state.monitors:
        if one.state not in LIVE:
            desk.tell(ChildExited(one.slot, "exit status 0"))
    assert present_monitor(desk.state) is not None
    desk.tell(ChildReady(present_monitor(desk.state).slot))
    assert desk.phases() == [ChildState.READY]


def test_it_ends_with_the_workers_and_one_that_answers_or_exports_traces_last() -> None:
    for to_end, ended in ((False, [StopChild(SLOT)]), (True, [])):
        desk = Desk()
        desk.serve()
        desk.state = replace(desk.state, plan=replace(desk.state.plan, monitor_to_end=to_end))
        desk.state = replace(desk.state, phase=MasterPhase.DRAINING, children=(*desk.state.children, WORKER))
        assert desk.tell(Tick()) == ended
        assert [isinstance(one, ExitMaster) for one in desk.tell(ChildExited(0, "", clean=True))] == [True]


def test_its_failures_are_not_those_of_a_canary() -> None:
    sim = Simulation(monitor=True)
    sim.boot_all()
    (first,) = sim.state.monitors
    sim.send(ChildReady(first.slot))
    sim.pass_time(1)
    sim.reload(2)
    (second,) = [one for one in sim.state.monitors if one.slot != first.slot]
    sim.send(ChildExited(second.slot, "exit status 1"))
    assert sim.phase is MasterPhase.CANARY and not sim.state.failures
