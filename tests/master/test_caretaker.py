"""The supervision of the control worker, with a clock that is moved by hand and no process."""

from __future__ import annotations

from l7.master import caretaker as c
from l7.master.caretaker import Abort, Begin, Booted, Gone, Kill, Log, Phase, Post, Silent, Spawn, Stop, Tick, Want


class Desk:
    """A post under test: tell it what happens, read what it wants done."""

    def __init__(self) -> None:
        self.post = Post()
        self.now = 100.0
        self.said: list[str] = []

    def tell(self, event: c.Event, after: float = 0.0) -> list[c.Action]:
        self.now += after
        self.post, actions = c.step(self.post, event, self.now)
        self.said += [action.text for action in actions if isinstance(action, Log)]
        return [action for action in actions if not isinstance(action, Log)]

    def phases(self) -> list[Phase]:
        return [one.phase for one in self.post.processes]

    def serve(self, generation: int = 1) -> None:
        assert self.tell(Want(generation)) == [Spawn(0, generation)]
        assert self.tell(Booted(0)) == [Begin(0)]


def test_none_is_started_where_none_is_wanted() -> None:
    desk = Desk()
    assert desk.tell(Want(None)) == []
    assert desk.tell(Tick(), after=60) == []
    assert desk.post.next_deadline(desk.now) is None


def test_one_is_started_and_begins_when_it_is_ready() -> None:
    desk = Desk()
    assert desk.tell(Want(1)) == [Spawn(0, 1)]
    assert desk.tell(Tick()) == []
    assert desk.tell(Booted(0)) == [Begin(0)]
    assert desk.tell(Want(1)) == []
    assert desk.phases() == [Phase.READY]


def test_a_reload_stops_the_old_one_when_the_new_one_is_ready_and_lets_it_begin_when_the_old_one_is_gone() -> None:
    desk = Desk()
    desk.serve()
    assert desk.tell(Want(2)) == [Spawn(1, 2)]
    assert desk.tell(Tick(), after=1) == []
    assert desk.tell(Booted(1)) == [Stop(0)]
    assert desk.phases() == [Phase.STOPPING, Phase.WAITING]
    assert desk.tell(Gone(0, "exit status 0")) == [Begin(1)]
    assert desk.phases() == [Phase.READY]


def test_a_rollback_leaves_the_old_one_alone_where_it_still_serves() -> None:
    desk = Desk()
    desk.serve()
    desk.tell(Want(2))
    assert desk.tell(Want(1)) == [Stop(1)]
    assert desk.phases() == [Phase.READY, Phase.STOPPING]
    assert desk.tell(Gone(1, "exit status 0")) == []


def test_a_rollback_starts_one_of_the_old_generation_where_that_is_gone() -> None:
    desk = Desk()
    desk.serve()
    desk.tell(Want(2))
    desk.tell(Booted(1))
    desk.tell(Gone(0, "exit status 0"))
    assert desk.tell(Want(1)) == [Spawn(0, 1)]
    assert desk.tell(Booted(0)) == [Stop(1)]
    assert desk.tell(Gone(1, "exit status 0")) == [Begin(0)]


def test_a_generation_that_needs_none_stops_the_old_one() -> None:
    desk = Desk()
    desk.serve()
    assert desk.tell(Want(None)) == [Stop(0)]
    assert desk.tell(Gone(0, "exit status 0")) == []
    assert desk.post.processes == ()


def test_one_that_has_lived_is_started_again_at_once() -> None:
    desk = Desk()
    desk.serve()
    assert desk.tell(Gone(0, "killed by SIGKILL"), after=c.STEADY) == [Spawn(0, 1)]
    assert desk.said == ["the control worker died after 10.0 s: killed by SIGKILL"]


def test_those_that_die_early_are_started_again_after_growing_pauses() -> None:
    desk = Desk()
    desk.tell(Want(1))
    pauses = []
    for _ in range(9):
        assert desk.tell(Gone(0, "exit status 1"), after=0.01) == []
        due = desk.post.next_deadline(desk.now)
        assert due is not None
        pauses.append(due - desk.now)
        assert desk.tell(Tick(), after=pauses[-1] - 0.01) == []
        assert desk.tell(Tick(), after=0.02) == [Spawn(0, 1)]
    assert [round(pause, 6) for pause in pauses] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_one_that_was_ready_and_dies_soon_is_started_again_after_a_pause() -> None:
    desk = Desk()
    desk.serve()
    assert desk.tell(Gone(0, "killed by SIGKILL"), after=c.STEADY - 1) == []
    assert desk.tell(Tick(), after=0.5) == [Spawn(0, 1)]


def test_a_new_generation_does_not_wait_for_the_old_ones_pause() -> None:
    desk = Desk()
    desk.tell(Want(1))
    desk.tell(Gone(0, "exit status 1"))
    assert desk.tell(Want(2)) == [Spawn(0, 2)]


def test_one_that_hangs_is_aborted_then_killed_then_replaced() -> None:
    desk = Desk()
    desk.serve()
    assert desk.tell(Silent(0), after=60) == [Abort(0), Spawn(1, 1)]
    assert desk.tell(Silent(0)) == []
    assert desk.tell(Tick(), after=c.STOP_WITHIN) == [Kill(0)]
    assert desk.tell(Booted(1)) == [], "the one that hangs may still write"
    assert desk.tell(Gone(0, "killed by SIGKILL")) == [Begin(1)]


def test_one_that_is_never_ready_is_aborted() -> None:
    desk = Desk()
    desk.tell(Want(1, silence=5.0))
    assert desk.tell(Tick(), after=5.0)[0] == Abort(0)
    assert desk.said == ["the control worker is not ready after 5.0 s"]


def test_one_that_does_not_stop_is_killed() -> None:
    desk = Desk()
    desk.serve()
    desk.tell(Want(None))
    assert desk.tell(Tick(), after=c.STOP_WITHIN) == [Kill(0)]
    assert desk.tell(Tick(), after=5) == []
    assert desk.tell(Gone(0, "killed by SIGKILL")) == []


def test_many_quick_reloads_never_have_more_than_there_are_slots() -> None:
    desk = Desk()
    desk.serve()
    for generation in range(2, 40):
        desk.tell(Want(generation))
        present = desk.post.present
        if present is not None:
            desk.tell(Booted(present.slot))
    assert len(desk.post.processes) == c.SLOTS
    for one in desk.post.processes:
        if one.phase not in c.LIVE:
            desk.tell(Gone(one.slot, "exit status 0"))
    assert desk.post.present is not None
    desk.tell(Booted(desk.post.present.slot))
    assert desk.phases() == [Phase.READY]
