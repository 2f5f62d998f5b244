"""The supervision of the monitor process, with a clock that is moved by hand and no process."""

from __future__ import annotations

from l7.master.monitor import state as c
from l7.master.monitor.state import (
    AbortMonitor,
    ActivateMonitor,
    KillMonitor,
    LogMonitorEvent,
    MonitorExited,
    MonitorHeartbeatLost,
    MonitorPhase,
    MonitorReady,
    MonitorState,
    MonitorTick,
    MonitorWanted,
    SpawnMonitor,
    StopMonitor,
)


class Desk:
    """A post under test: tell it what happens, read what it wants done."""

    def __init__(self) -> None:
        self.post = MonitorState()
        self.now = 100.0
        self.said: list[str] = []

    def tell(self, event: c.Event, after: float = 0.0) -> list[c.Action]:
        self.now += after
        self.post, actions = c.step(self.post, event, self.now)
        self.said += [action.text for action in actions if isinstance(action, LogMonitorEvent)]
        return [action for action in actions if not isinstance(action, LogMonitorEvent)]

    def phases(self) -> list[MonitorPhase]:
        return [one.phase for one in self.post.processes]

    def serve(self, generation: int = 1) -> None:
        assert self.tell(MonitorWanted(generation)) == [SpawnMonitor(0, generation)]
        assert self.tell(MonitorReady(0)) == [ActivateMonitor(0)]


def test_none_is_started_where_none_is_wanted() -> None:
    control_server = Desk()
    assert control_server.tell(MonitorWanted(None)) == []
    assert control_server.tell(MonitorTick(), after=60) == []
    assert control_server.post.next_deadline(control_server.now) is None


def test_one_is_started_and_begins_when_it_is_ready() -> None:
    control_server = Desk()
    assert control_server.tell(MonitorWanted(1)) == [SpawnMonitor(0, 1)]
    assert control_server.tell(MonitorTick()) == []
    assert control_server.tell(MonitorReady(0)) == [ActivateMonitor(0)]
    assert control_server.tell(MonitorWanted(1)) == []
    assert control_server.phases() == [MonitorPhase.READY]


def test_a_reload_stops_the_old_one_when_the_new_one_is_ready_and_lets_it_begin_when_the_old_one_is_gone() -> None:
    control_server = Desk()
    control_server.serve()
    assert control_server.tell(MonitorWanted(2)) == [SpawnMonitor(1, 2)]
    assert control_server.tell(MonitorTick(), after=1) == []
    assert control_server.tell(MonitorReady(1)) == [StopMonitor(0)]
    assert control_server.phases() == [MonitorPhase.STOPPING, MonitorPhase.WAITING]
    assert control_server.tell(MonitorExited(0, "exit status 0")) == [ActivateMonitor(1)]
    assert control_server.phases() == [MonitorPhase.READY]


def test_a_rollback_leaves_the_old_one_alone_where_it_still_serves() -> None:
    control_server = Desk()
    control_server.serve()
    control_server.tell(MonitorWanted(2))
    assert control_server.tell(MonitorWanted(1)) == [StopMonitor(1)]
    assert control_server.phases() == [MonitorPhase.READY, MonitorPhase.STOPPING]
    assert control_server.tell(MonitorExited(1, "exit status 0")) == []


def test_a_rollback_starts_one_of_the_old_generation_where_that_is_gone() -> None:
    control_server = Desk()
    control_server.serve()
    control_server.tell(MonitorWanted(2))
    control_server.tell(MonitorReady(1))
    control_server.tell(MonitorExited(0, "exit status 0"))
    assert control_server.tell(MonitorWanted(1)) == [SpawnMonitor(0, 1)]
    assert control_server.tell(MonitorReady(0)) == [StopMonitor(1)]
    assert control_server.tell(MonitorExited(1, "exit status 0")) == [ActivateMonitor(0)]


def test_a_generation_that_needs_none_stops_the_old_one() -> None:
    control_server = Desk()
    control_server.serve()
    assert control_server.tell(MonitorWanted(None)) == [StopMonitor(0)]
    assert control_server.tell(MonitorExited(0, "exit status 0")) == []
    assert control_server.post.processes == ()


def test_one_that_has_lived_is_started_again_at_once() -> None:
    control_server = Desk()
    control_server.serve()
    assert control_server.tell(MonitorExited(0, "killed by SIGKILL"), after=c.STEADY) == [SpawnMonitor(0, 1)]
    assert control_server.said == ["the monitor process died after 10.0 s: killed by SIGKILL"]


def test_those_that_die_early_are_started_again_after_growing_pauses() -> None:
    control_server = Desk()
    control_server.tell(MonitorWanted(1))
    pauses = []
    for _ in range(9):
        assert control_server.tell(MonitorExited(0, "exit status 1"), after=0.01) == []
        due = control_server.post.next_deadline(control_server.now)
        assert due is not None
        pauses.append(due - control_server.now)
        assert control_server.tell(MonitorTick(), after=pauses[-1] - 0.01) == []
        assert control_server.tell(MonitorTick(), after=0.02) == [SpawnMonitor(0, 1)]
    assert [round(pause, 6) for pause in pauses] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_one_that_was_ready_and_dies_soon_is_started_again_after_a_pause() -> None:
    control_server = Desk()
    control_server.serve()
    assert control_server.tell(MonitorExited(0, "killed by SIGKILL"), after=c.STEADY - 1) == []
    assert control_server.tell(MonitorTick(), after=0.5) == [SpawnMonitor(0, 1)]


def test_a_new_generation_does_not_wait_for_the_old_ones_pause() -> None:
    control_server = Desk()
    control_server.tell(MonitorWanted(1))
    control_server.tell(MonitorExited(0, "exit status 1"))
    assert control_server.tell(MonitorWanted(2)) == [SpawnMonitor(0, 2)]


def test_one_that_hangs_is_aborted_then_killed_then_replaced() -> None:
    control_server = Desk()
    control_server.serve()
    assert control_server.tell(MonitorHeartbeatLost(0), after=60) == [AbortMonitor(0), SpawnMonitor(1, 1)]
    assert control_server.tell(MonitorHeartbeatLost(0)) == []
    assert control_server.tell(MonitorTick(), after=c.STOP_WITHIN) == [KillMonitor(0)]
    assert control_server.tell(MonitorReady(1)) == [], "the one that hangs may still write"
    assert control_server.tell(MonitorExited(0, "killed by SIGKILL")) == [ActivateMonitor(1)]


def test_one_that_is_never_ready_is_aborted() -> None:
    control_server = Desk()
    control_server.tell(MonitorWanted(1, silence=5.0))
    assert control_server.tell(MonitorTick(), after=5.0)[0] == AbortMonitor(0)
    assert control_server.said == ["the monitor process is not ready after 5.0 s"]


def test_one_that_does_not_stop_is_killed() -> None:
    control_server = Desk()
    control_server.serve()
    control_server.tell(MonitorWanted(None))
    assert control_server.tell(MonitorTick(), after=c.STOP_WITHIN) == [KillMonitor(0)]
    assert control_server.tell(MonitorTick(), after=5) == []
    assert control_server.tell(MonitorExited(0, "killed by SIGKILL")) == []


def test_many_quick_reloads_never_have_more_than_there_are_slots() -> None:
    control_server = Desk()
    control_server.serve()
    for generation in range(2, 40):
        control_server.tell(MonitorWanted(generation))
        present = control_server.post.present
        if present is not None:
            control_server.tell(MonitorReady(present.slot))
    assert len(control_server.post.processes) == c.SLOTS
    for one in control_server.post.processes:
        if one.phase not in c.LIVE:
            control_server.tell(MonitorExited(one.slot, "exit status 0"))
    assert control_server.post.present is not None
    control_server.tell(MonitorReady(control_server.post.present.slot))
    assert control_server.phases() == [MonitorPhase.READY]
