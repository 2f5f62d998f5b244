"""The whole life of a fleet, by hand-driven time and without a process."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l7.master.supervision import events as v
from l7.master.supervision.canary import FAILURES, worse
from l7.master.supervision.lifecycle import CHILD, ENDS, LIVE, MASTER, ChildState, LifecycleError, MasterPhase, follow
from l7.master.supervision.state import initial_state
from l7.master.supervision.step import step
from tests.master.simulation import Simulation, serving

# --- start ------------------------------------------------------------------------------------------------------------


def test_the_first_generation_starts_all_at_once_and_is_announced_when_all_are_ready():
    sim = Simulation(3)
    assert [(a.index, a.generation) for a in sim.told(v.SpawnWorker)] == [(0, 1), (1, 1), (2, 1)]
    sim.boot(0)
    sim.boot(1)
    assert sim.phase is MasterPhase.STARTING
    assert sim.send(v.ChildReady(2))[-1:] == [v.AnnounceReady(3, 3)]
    assert sim.phase is MasterPhase.SERVING


def test_when_none_can_boot_it_is_over_with_3():
    sim = Simulation(2)
    sim.die(0, "exit status 3")
    assert sim.phase is MasterPhase.STARTING
    sim.die(1, "exit status 3")
    assert sim.told(v.ExitMaster) == [v.ExitMaster(3)]
    assert sim.phase is MasterPhase.STOPPED


def test_when_some_boot_the_others_are_tried_again_with_growing_pauses():
    sim = Simulation(2)
    sim.boot(0)
    sim.die(1, "exit status 3")
    assert sim.told(v.AnnounceReady) == [v.AnnounceReady(1, 2)]
    started = []
    for _ in range(9):
        before = sim.now
        while not sim.starting():
            sim.now = sim.state.next_deadline(sim.now)
            sim.send(v.Tick())
        started.append(round(sim.now - before, 3))
        sim.die(sim.starting()[0].slot, "exit status 3")
    assert started == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_worker_that_never_reports_ready_is_a_failed_boot():
    sim = Simulation(1, silence=5)
    sim.pass_time(4.9)
    assert not sim.told(v.AbortChild)
    sim.pass_time(0.2)
    assert sim.told(v.AbortChild) == [v.AbortChild(0)]
    assert v.SpawnWorker(1, 0, 1) in sim.pass_time(0.7), "tried again while the first one writes its stacks"
    assert not sim.told(v.KillChild)
    sim.pass_time(0.3)
    assert v.KillChild(0) in sim.told(v.KillChild)
    sim.die(0)
    assert sim.phase is MasterPhase.STOPPING
    sim.die(1)
    assert sim.told(v.ExitMaster) == [v.ExitMaster(3)]


# --- deaths and silence -----------------------------------------------------------------------------------------------


def test_a_dead_worker_is_replaced_at_once():
    sim = serving(2)
    actions = sim.die(1)
    assert [a for a in actions if isinstance(a, v.SpawnWorker)] == [v.SpawnWorker(1, 1, 1)]
    assert any("worker 2 died" in line and "SIGKILL" in line for line in sim.log)


def test_the_second_early_death_in_a_row_makes_a_pause_and_a_long_life_forgives():
    sim = serving(1)
    sim.die(0)
    sim.boot()
    assert any(isinstance(a, v.SpawnWorker) for a in sim.die(0)), "one early death is an accident"
    sim.boot()
    assert not any(isinstance(a, v.SpawnWorker) for a in sim.die(0)), "two are a fault"
    assert any(isinstance(a, v.SpawnWorker) for a in sim.pass_time(0.5))
    sim.boot()
    sim.pass_time(1.0)
    assert any(isinstance(a, v.SpawnWorker) for a in sim.die(0))
    assert sim.state.strikes == {}


def test_a_silent_worker_is_replaced_aborted_and_killed():
    sim = serving(2)
    actions = sim.send(v.HeartbeatLost(0))
    assert v.AbortChild(0) in actions
    assert v.SpawnWorker(2, 0, 1) in actions, "its place is filled without waiting for its end"
    assert not sim.pass_time(0.9)
    assert sim.pass_time(0.2) == [v.KillChild(0)]
    sim.die(0)
    sim.boot()
    assert sim.pass_time(3600) == []


# --- reload -----------------------------------------------------------------------------------------------------------


def test_a_reload_rolls_one_by_one_and_capacity_never_falls():
    sim = serving(3)
    sim.watch_capacity()
    sim.reload(2, 3)
    assert sim.phase is MasterPhase.CANARY
    for index in range(3):
        assert [(w.index, w.generation) for w in sim.starting()] == [(index, 2)], "one at a time"
        sim.boot()
        drained = [w.index for w in sim.state.workers if w.state is ChildState.DRAINING]
        assert drained == list(range(index + 1)), "one old worker for each new one"
    assert sim.phase is MasterPhase.SERVING
    assert sim.least_ready == 3
    assert sim.most_alive == 6
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(2)]
    assert all(a.close is False and a.within == 300 for a in sim.told(v.DrainWorker))
    sim.drained()
    assert [w.generation for w in sim.state.workers] == [2, 2, 2]


def test_a_reload_is_done_when_the_old_workers_have_heard():
    sim = serving(2)
    sim.hears = False
    sim.reload(2)
    sim.boot()
    sim.boot()
    initial_state, second = (w.slot for w in sim.state.workers if w.state is ChildState.DRAINING)
    sim.send(v.DrainAcknowledged(initial_state))
    assert not sim.told(v.CommitGeneration)
    sim.send(v.DrainAcknowledged(second))
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(2)]


def test_an_old_worker_that_hears_nothing_delays_the_end_of_a_reload_by_a_second():
    sim = serving(1)
    sim.hears = False
    sim.reload(2, 1)
    sim.boot()
    sim.pass_time(0.9)
    assert not sim.told(v.CommitGeneration)
    sim.pass_time(0.2)
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(2)]


def test_old_workers_that_do_not_drain_are_killed_after_the_drain_timeout():
    sim = serving(1, drain=10.0)
    sim.reload(2, 1)
    sim.boot()
    assert sim.pass_time(10.4) == []
    assert v.KillChild(0) in sim.pass_time(0.2)


def test_a_hup_in_the_middle_is_remembered_once_and_not_nested():
    sim = serving(2)
    sim.reload(2)
    for _ in range(50):
        assert v.LoadConfiguration() not in sim.send(v.ReloadRequested())
    sim.boot()
    assert v.LoadConfiguration() not in sim.actions[1:]
    sim.forget()
    sim.boot()
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(2)]
    assert sim.told(v.LoadConfiguration) == [v.LoadConfiguration()]
    sim.loaded(3)
    sim.boot()
    sim.boot()
    assert sim.phase is MasterPhase.SERVING
    assert sim.told(v.LoadConfiguration) == [v.LoadConfiguration()], "fifty wishes are one"


def test_a_refused_reload_changes_nothing():
    sim = serving(2)
    before = sim.state
    assert sim.send(v.ReloadRequested()) == [v.LoadConfiguration()]
    sim.pass_time(10)
    assert sim.state == before


def test_a_hup_while_starting_is_remembered():
    sim = Simulation(1)
    assert v.LoadConfiguration() not in sim.send(v.ReloadRequested())
    sim.boot()
    assert sim.told(v.LoadConfiguration) == [v.LoadConfiguration()]


def test_a_canary_that_does_not_boot_brings_the_old_generation_back():
    sim = serving(2)
    sim.watch_capacity()
    sim.reload(2)
    sim.die(sim.starting()[0].slot, "exit status 3 (no such user)")
    assert sim.phase is MasterPhase.SERVING
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(1)]
    assert sim.told(v.DrainWorker) == []
    assert sim.least_ready == 2
    assert sim.state.plan.generation == 1
    (line,) = [line for line in sim.log if "reload failed" in line]
    assert "worker 1 did not boot: exit status 3 (no such user)" in line
    assert "generation 2 is given up, back to generation 1" in line
    sim.reload(3)
    assert sim.starting()[0].generation == 3


def watched(**options: float) -> Simulation:
    """A fleet of two with a canary that became ready just now."""
    sim = serving(2, canary=5.0, **options)
    sim.watch_capacity()
    sim.reload(2)
    sim.boot()
    assert sim.told(v.StartCanaryWatch) == [v.StartCanaryWatch()]
    return sim


def test_a_canary_is_watched_before_any_other_follows():
    sim = watched()
    sim.pass_time(4.9)
    assert sim.phase is MasterPhase.CANARY
    assert (len(sim.ready(1)), len(sim.ready(2))) == (2, 1)
    assert not sim.told(v.DrainWorker)
    sim.pass_time(0.2)
    assert sim.phase is MasterPhase.ROLLING
    assert len(sim.told(v.DrainWorker)) == 1
    assert [(w.index, w.generation) for w in sim.starting()] == [(1, 2)]
    sim.boot()
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(2)]
    assert sim.least_ready == 2


def test_a_canary_that_answers_worse_is_not_waited_for():
    sim = watched()
    sim.weight = (v.AnswerTally(20, 10), v.AnswerTally(40, 1), True)
    sim.pass_time(1.1)
    assert sim.phase is MasterPhase.SERVING
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(1)]
    (drain,) = sim.told(v.DrainWorker)
    assert isinstance(drain, v.DrainWorker)
    assert sim.alive[drain.slot].generation == 2, "what it has accepted it finishes"
    assert any("answers worse: 20 answers, 10 of them errors" in line for line in sim.log)
    assert sim.least_ready == 2


@pytest.mark.parametrize("clean", [True, False])
def test_a_canary_that_dies_while_it_is_watched_fails_however_long_it_has_lived(clean: bool):
    sim = watched()
    sim.pass_time(4)
    sim.die(sim.ready(2)[0].slot, "killed by SIGKILL", clean=clean)
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(1)]
    assert any("the canary died: killed by SIGKILL" in line for line in sim.log)


def test_a_canary_without_a_heartbeat_is_not_proven_and_fails_in_the_end():
    sim = watched()
    sim.weight = (v.AnswerTally(), v.AnswerTally(), False)
    sim.pass_time(8)
    assert sim.phase is MasterPhase.CANARY
    sim.send(v.HeartbeatLost(sim.ready(2)[0].slot))
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(1)]
    assert any("reload failed: worker 1 hangs" in line for line in sim.log)
    assert len(sim.ready(1)) == 2


def test_a_canary_whose_heart_beats_late_is_proven_late():
    sim = watched()
    sim.weight = (v.AnswerTally(), v.AnswerTally(), False)
    sim.pass_time(6)
    sim.weight = (v.AnswerTally(), v.AnswerTally(), True)
    sim.pass_time(0.3)
    assert sim.phase is MasterPhase.ROLLING


def test_a_stop_while_the_canary_is_watched_is_a_stop():
    sim = watched()
    sim.send(v.GracefulStopRequested())
    assert sim.phase is MasterPhase.DRAINING
    assert len(sim.told(v.DrainWorker)) == 3


def test_old_news_of_a_canary_mean_nothing():
    sim = watched()
    sim.weight = (v.AnswerTally(20, 10), v.AnswerTally(40, 1), True)
    sim.pass_time(1.1)
    assert sim.phase is MasterPhase.SERVING
    before = sim.state
    sim.send(v.CanaryCompared(2, v.AnswerTally(10, 10), v.AnswerTally(10, 0)))
    assert sim.state == before


def test_where_the_old_workers_hear_nothing_meanwhile_their_past_counts():
    sim = watched()
    sim.weight = (v.AnswerTally(4, 4), v.AnswerTally(), True)
    sim.pass_time(1)
    assert sim.phase is MasterPhase.CANARY, "nobody to compare with"
    sim.past = v.AnswerTally(5000, 2)
    sim.pass_time(0.3)
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(1)]
    assert any("the old workers before: 5000 answers, 2 of them" in line for line in sim.log)


def test_a_canary_that_has_answered_nothing_is_not_waited_for():
    sim = watched()
    sim.weight = (v.AnswerTally(), v.AnswerTally(40, 0), True)
    sim.pass_time(5.1)
    assert sim.phase is MasterPhase.ROLLING, "what it cannot reach was found before it was asked for it"


def test_the_workers_that_follow_are_weighed_too():
    sim = watched()
    sim.pass_time(5.1)
    assert sim.phase is MasterPhase.ROLLING
    sim.weight = (v.AnswerTally(50, 20), v.AnswerTally(40, 0), True)
    sim.pass_time(0.3)
    assert sim.phase is MasterPhase.ROLLBACK
    assert any("the new workers answer worse: 50 answers, 20 of them" in line for line in sim.log)
    sim.boot()
    assert sim.phase is MasterPhase.SERVING
    assert {w.generation for w in sim.ready()} == {1}
    assert sim.least_ready == 2
    sim.forget()
    sim.pass_time(60)
    assert not sim.told(v.CompareCanary), "there is nothing to compare any more"


def test_without_a_watch_nobody_is_weighed():
    sim = serving(3)
    sim.reload(2, 3)
    sim.boot()
    assert sim.phase is MasterPhase.ROLLING
    sim.pass_time(5)
    assert not sim.told(v.CompareCanary)


# --- the look ahead of a reload ---------------------------------------------------------------------------------------


def test_the_first_new_worker_alone_looks_ahead_and_accepts_when_it_is_let():
    sim = serving(2, preflight=2.0)
    sim.reload(2)
    (canary,) = sim.starting()
    assert sim.told(v.SpawnWorker) == [v.SpawnWorker(canary.slot, 0, 2, 2.0)]
    assert sim.look_ahead() == [v.AcceptConnections(canary.slot)]
    assert [a.preflight for a in sim.told(v.SpawnWorker)] == [2.0, 0.0], "one look is enough"
    sim.boot()
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(2)]


def test_a_backend_that_works_now_and_would_not_refuses_the_reload():
    sim = serving(2, preflight=2.0)
    sim.watch_capacity()
    old = sim.ready()
    sim.reload(2, 3)
    (canary,) = sim.starting()
    actions = sim.look_ahead(a=True, b=True, c=False)
    assert {v.StopChild(canary.slot), v.CommitGeneration(1)} <= set(actions)
    assert v.AcceptConnections(canary.slot) not in actions
    assert sim.phase is MasterPhase.SERVING
    assert sim.state.plan.generation == 1
    assert sim.ready() == old
    assert (sim.state.wanted, sim.least_ready) == (2, 2)
    refused = [line for line in sim.log if line.startswith("error")]
    words = "none of its servers can be reached: x:80: connect refused"
    assert refused == [
        f"error reload refused: backends.a: {words}; the present ones can; backends.b: {words}; the present ones can"
    ]
    assert f"warning backends.c: {words}" in sim.log
    assert not sim.told(v.DrainWorker), "nobody has to make room"
    sim.die(canary.slot, "exit status 0", clean=True)
    assert list(sim.state.workers) == old


def test_of_many_backends_five_are_named():
    sim = serving(1, preflight=2.0)
    sim.reload(2)
    sim.look_ahead(**{f"b{number}": True for number in range(9)})
    (line,) = [line for line in sim.log if line.startswith("error")]
    assert [f"b{number}:" in line for number in range(9)] == [True] * 5 + [False] * 4
    assert line.endswith("; 4 more backends")


def test_a_refused_reload_is_followed_by_the_next_which_looks_with_fresh_eyes():
    sim = serving(2, preflight=2.0)
    sim.reload(2)
    sim.send(v.ReloadRequested())
    assert v.LoadConfiguration() in sim.look_ahead(a=True), "it was remembered"
    sim.loaded(3)
    canary = next(worker for worker in sim.starting() if worker.generation == 3)
    assert v.AcceptConnections(canary.slot) in sim.send(v.PreflightFinished(canary.slot))


def test_a_backend_that_is_new_or_out_already_is_only_warned_of_and_the_one_who_waits_is_told():
    sim = serving(2, preflight=2.0)
    sim.reload(2)
    sim.look_ahead(a=False)
    assert [one.to_waiters for one in sim.told(v.LogEvent) if one.level == "warning"] == [True]
    assert sim.phase is MasterPhase.ROLLING


def test_a_reload_that_is_forced_goes_on_and_nobody_is_compared():
    sim = serving(2, preflight=2.0, canary=5.0)
    sim.reload(2, forced=True)
    sim.look_ahead(a=True)
    assert any(line.startswith("warning backends.a: none of its servers can be reached") for line in sim.log)
    sim.boot()
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(2)]
    assert not sim.told(v.CompareCanary)
    sim.drained()
    sim.reload(3)
    assert v.AcceptConnections not in map(type, sim.look_ahead(a=True)), "only the one that was forced"
    assert sim.state.plan.generation == 2


@pytest.mark.parametrize("first", [True, False])
def test_a_reload_that_is_remembered_is_forced_when_any_of_them_was(first: bool):
    sim = serving(2, preflight=2.0)
    sim.reload(2)
    sim.send(v.ReloadRequested(forced=first))
    sim.send(v.ReloadRequested(forced=not first))
    sim.look_ahead()
    sim.boot()
    assert sim.told(v.LoadConfiguration)[1:] == [v.LoadConfiguration(forced=True)]


def test_a_canary_that_looks_ahead_has_that_time_beyond_the_one_to_boot():
    sim = serving(1, preflight=20.0, silence=5.0)
    sim.reload(2, 1)
    sim.pass_time(24.9)
    assert sim.phase is MasterPhase.CANARY
    assert not sim.told(v.AbortChild)
    sim.pass_time(0.2)
    assert sim.told(v.AbortChild)


def test_what_is_said_too_late_or_by_another_worker_changes_nothing():
    sim = serving(2, preflight=2.0, canary=5.0)
    sim.reload(2)
    (canary,) = sim.starting()
    other = sim.ready()[0].slot
    before = sim.state
    for slot in (other, 60):
        assert sim.send(v.BackendUnreachable(slot, "a", "x", True)) == []
        assert sim.send(v.PreflightFinished(slot)) == []
    assert sim.state == before
    sim.look_ahead()
    assert sim.send(v.BackendUnreachable(canary.slot, "a", "x", True)) == []
    assert sim.send(v.PreflightFinished(canary.slot)) == []
    assert sim.phase is MasterPhase.CANARY


def test_a_canary_that_dies_while_it_looks_brings_the_old_generation_back():
    sim = serving(2, preflight=2.0)
    sim.reload(2)
    (canary,) = sim.starting()
    sim.send(v.BackendUnreachable(canary.slot, "a", "x", True))
    sim.die(canary.slot)
    assert sim.told(v.CommitGeneration) == [v.CommitGeneration(1)]
    assert any("reload failed: worker 1 did not boot" in line for line in sim.log)
    sim.reload(3)
    assert v.AcceptConnections in map(type, sim.look_ahead()), "what it said of another generation is forgotten"


def test_a_stop_while_the_canary_looks_is_a_stop():
    sim = serving(2, preflight=2.0)
    sim.reload(2)
    (canary,) = sim.starting()
    sim.send(v.GracefulStopRequested())
    assert sim.send(v.PreflightFinished(canary.slot)) == []
    assert sim.phase is MasterPhase.DRAINING


# --- who takes what is handed over ------------------------------------------------------------------------------------


def test_connections_that_are_handed_over_go_to_those_that_stay():
    sim = serving(2, canary=5.0)
    sim.reload(2)
    old = [worker.slot for worker in sim.ready(1)]
    sim.boot()
    assert [worker.slot for worker in sim.state.takers()] == old, "the canary is watched"
    sim.pass_time(5)
    assert [worker.slot for worker in sim.state.takers()] == [worker.slot for worker in sim.ready(2)]


@pytest.mark.parametrize(
    ("new", "old", "verdict"),
    [
        ((0, 0), (0, 0), False),
        ((10, 10), (0, 0), False),  # nobody to compare with
        ((2, 2), (1000, 0), False),  # anybody's accident
        ((3, 3), (1000, 0), True),
        ((100, 100), (100, 100), False),  # as bad as the old ones
        ((100, 5), (100, 4), False),
        ((1000, 30), (1000, 5), True),
        ((1000, 12), (1000, 5), False),
        ((50, 0), (1000, 500), False),
    ],
)
def test_what_is_worse(new: tuple[int, int], old: tuple[int, int], verdict: bool):
    assert worse(v.AnswerTally(*new), v.AnswerTally(*old)) is verdict


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_nobody_is_worse_than_its_equal_or_its_worse(a: int, b: int, c: int, d: int):
    one, two = v.AnswerTally(a + b, a), v.AnswerTally(c + d, c)
    assert not worse(one, one)
    assert not (worse(one, two) and worse(two, one))


def test_a_failure_in_the_middle_of_the_roll_rolls_back_one_by_one():
    sim = serving(3)
    sim.watch_capacity()
    sim.reload(2, 3)
    sim.boot()
    assert sim.phase is MasterPhase.ROLLING
    for _ in range(FAILURES):
        sim.die(sim.starting()[0].slot, "exit status 3")
        sim.pass_time(2)
    assert sim.phase is MasterPhase.ROLLBACK
    assert [(w.index, w.generation) for w in sim.starting()] == [(0, 1)]
    assert len(sim.ready(2)) == 1, "the new one serves until the old one is back"
    sim.boot()
    assert sim.phase is MasterPhase.SERVING
    assert {(w.index, w.generation) for w in sim.ready()} == {(0, 1), (1, 1), (2, 1)}
    assert sim.least_ready == 3


def test_a_new_worker_that_hangs_at_boot_counts_as_failed():
    sim = serving(1, silence=5)
    sim.reload(2, 1)
    sim.pass_time(5.1)
    assert sim.phase is MasterPhase.SERVING
    assert sim.state.plan.generation == 1


def test_an_old_worker_that_dies_while_the_canary_is_on_trial_comes_back_as_an_old_one():
    sim = serving(2)
    sim.reload(2)
    sim.die(1)
    assert sorted((w.index, w.generation) for w in sim.starting()) == [(0, 2), (1, 1)]


def test_an_old_worker_that_dies_while_rolling_comes_back_as_a_new_one():
    sim = serving(3)
    sim.reload(2, 3)
    sim.boot()
    victim = next(w for w in sim.ready(1) if w.index == 2)
    sim.die(victim.slot)
    assert sorted((w.index, w.generation) for w in sim.starting()) == [(1, 2), (2, 2)]


@pytest.mark.parametrize(("old", "new"), [(1, 4), (4, 1), (2, 3)])
def test_a_reload_to_more_or_fewer_workers(old: int, new: int):
    sim = serving(old)
    sim.reload(2, new)
    while sim.starting():
        sim.boot_all()
    assert sim.phase is MasterPhase.SERVING
    assert sorted(w.index for w in sim.ready(2)) == list(range(new))
    sim.drained()
    assert len(sim.state.workers) == new


def test_too_many_draining_workers_make_room_for_new_ones():
    sim = serving(1)
    for generation in range(2, 30):
        sim.reload(generation, 1)
        sim.boot()
        sim.pass_time(2)
        for kill in sim.told(v.KillChild):
            if kill.slot in sim.alive:
                sim.die(kill.slot)
        sim.forget()
    assert len(sim.state.workers) <= 12


# --- relays -----------------------------------------------------------------------------------------------------------


def relaying(sim: Simulation, generation: int) -> int:
    """Reload; the one old worker relays TLS from then on. Returns its slot."""
    (old,) = sim.ready()
    sim.reload(generation, 1)
    sim.boot()
    sim.send(v.RelayBegun(old.slot))
    assert sim.state.child(old.slot).state is ChildState.RELAYING
    assert sim.phase is MasterPhase.SERVING
    return old.slot


def test_a_worker_that_relays_is_announced_when_its_time_is_over_and_ended_the_second_time():
    sim = serving(1, drain=100.0)
    slot = relaying(sim, 2)
    sim.pass_time(100)
    assert not sim.told(v.AnnounceRelays) and not sim.told(v.KillChild)
    sim.pass_time(1)
    assert sim.told(v.AnnounceRelays) == [v.AnnounceRelays(slot)]
    sim.pass_time(99)
    assert not sim.told(v.StopChild)
    sim.pass_time(2)
    assert sim.told(v.StopChild) == [v.StopChild(slot)]
    sim.die(slot, clean=True)
    assert [worker.generation for worker in sim.state.workers] == [2]


def test_the_oldest_of_nine_generations_that_relay_is_announced_once():
    sim = serving(1)
    slots = []
    for generation in range(2, 11):
        assert not sim.told(v.AnnounceRelays)
        slots.append(relaying(sim, generation))
        sim.pass_time(1)
    assert sim.told(v.AnnounceRelays) == [v.AnnounceRelays(slots[0])]
    slots.append(relaying(sim, 11))
    assert sim.told(v.AnnounceRelays) == [v.AnnounceRelays(slots[0]), v.AnnounceRelays(slots[1])]
    assert not sim.told(v.StopChild) and not sim.told(v.KillChild)


def test_all_workers_of_the_oldest_generation_that_relays_are_announced():
    sim = serving(2)
    for generation in range(2, 11):
        old = sim.ready()
        sim.reload(generation, 2)
        sim.boot()
        sim.boot()
        for worker in old:
            sim.send(v.RelayBegun(worker.slot))
    assert len(sim.told(v.AnnounceRelays)) == 2
    assert {sim.state.child(one.slot).generation for one in sim.told(v.AnnounceRelays)} == {1}


def test_a_worker_that_relays_drains_at_a_stop_and_is_aborted_where_it_hangs():
    sim = serving(1, graceful=8.0)
    slot = relaying(sim, 2)
    sim.send(v.HeartbeatLost(slot))
    assert sim.told(v.AbortChild) == [v.AbortChild(slot)]
    sim.die(slot)
    slot = relaying(sim, 3)
    sim.send(v.GracefulStopRequested())
    assert v.DrainWorker(slot, 8.0, close=True) in sim.told(v.DrainWorker)
    for worker in list(sim.state.workers):
        sim.die(worker.slot, clean=True)
    assert sim.phase is MasterPhase.STOPPED


def test_who_relays_makes_room_where_slots_are_out():
    sim = serving(1, slots=4)
    slots = [relaying(sim, generation) for generation in range(2, 5)]
    sim.reload(5, 1)
    assert sim.told(v.StopChild) == [v.StopChild(slots[0])]
    sim.die(slots[0], clean=True)
    sim.boot()
    assert [worker.generation for worker in sim.ready()] == [5]


def test_a_late_word_of_relays_changes_nothing():
    sim = serving(1)
    (worker,) = sim.ready()
    sim.send(v.RelayBegun(worker.slot))
    sim.send(v.RelayBegun(9))
    assert sim.state.child(worker.slot).state is ChildState.READY


# --- one more, one fewer ----------------------------------------------------------------------------------------------


def test_one_more_and_one_fewer_never_below_one():
    sim = serving(1)
    sim.send(v.ScaleUp())
    sim.boot()
    assert len(sim.ready()) == 2
    sim.send(v.ScaleDown())
    assert sim.told(v.DrainWorker) == [v.DrainWorker(1, 300.0)]
    sim.drained()
    sim.send(v.ScaleDown())
    assert len(sim.ready()) == 1


def test_more_workers_are_remembered_until_the_configured_number_changes():
    sim = serving(2)
    sim.send(v.ScaleUp())
    sim.boot()
    sim.reload(2, 2)
    for _ in range(3):
        sim.boot()
    assert len(sim.ready(2)) == 3
    sim.reload(3, 4)
    while sim.starting():
        sim.boot_all()
    assert len(sim.ready(3)) == 4
    sim.reload(4, 2)
    for _ in range(2):
        sim.boot()
    assert len(sim.ready()) == 2


# --- stop -------------------------------------------------------------------------------------------------------------


def test_term_lets_workers_finish_and_then_kills():
    sim = serving(2, graceful=8.0)
    actions = sim.send(v.GracefulStopRequested())
    assert [a for a in actions if not isinstance(a, v.LogEvent)] == [
        v.DrainWorker(0, 8.0, close=True),
        v.DrainWorker(1, 8.0, close=True),
        v.CloseListeners(),
    ]
    sim.die(0, "exit status 0", clean=True)
    assert not sim.told(v.ExitMaster)
    sim.pass_time(8.6)
    assert v.KillChild(1) in sim.actions
    sim.die(1)
    assert sim.told(v.ExitMaster) == [v.ExitMaster(0)]


@pytest.mark.parametrize("second", [v.GracefulStopRequested(), v.QuickStopRequested()])
def test_a_second_stop_is_quick(second: v.Event):
    sim = serving(1)
    sim.send(v.GracefulStopRequested())
    sim.pass_time(1)
    assert v.StopChild(0) in sim.send(second)
    assert v.KillChild(0) in sim.pass_time(1.1)
    sim.die(0)
    assert sim.told(v.ExitMaster) == [v.ExitMaster(0)]


def test_the_echo_of_a_term_is_not_a_second_one():
    sim = serving(1)
    sim.send(v.GracefulStopRequested())
    sim.pass_time(0.01)
    assert sim.send(v.GracefulStopRequested()) == []


def test_a_stop_ends_also_what_boots_drains_and_hangs():
    sim = serving(3)
    sim.reload(2, 3)
    sim.boot()  # one drains, one boots
    sim.send(v.HeartbeatLost(sim.ready(1)[0].slot))
    sim.forget()
    sim.send(v.QuickStopRequested())
    assert {a.slot for a in sim.told(v.StopChild) + sim.told(v.KillChild)} == set(sim.alive)
    sim.pass_time(1.1)
    assert {a.slot for a in sim.told(v.KillChild)} == set(sim.alive)
    for slot in list(sim.alive):
        sim.die(slot)
    assert sim.told(v.ExitMaster) == [v.ExitMaster(0)]


def test_what_does_not_even_die_of_kill_is_left_behind():
    sim = serving(1)
    sim.send(v.QuickStopRequested())
    sim.pass_time(6)
    assert sim.told(v.ExitMaster) == [v.ExitMaster(0)]


def test_a_worker_that_may_serve_already_finishes_what_it_has():
    sim = serving(2, graceful=8.0)
    sim.send(v.ScaleUp())
    actions = sim.send(v.GracefulStopRequested())
    assert v.DrainWorker(2, 8.0, close=True) in actions, "its word that it is ready may be on its way"
    sim.send(v.ChildReady(2))
    sim.pass_time(7)
    assert v.StopChild(2) not in sim.actions
    assert v.StopChild(2) in sim.send(v.QuickStopRequested()), "unless there is no time"
    sim.pass_time(1.1)
    assert v.KillChild(2) in sim.actions


def test_a_generation_that_is_given_up_finishes_what_it_may_have_begun():
    sim = serving(2, graceful=8.0, canary=1.0)
    sim.reload(2)
    sim.boot()
    sim.pass_time(3)
    (late,) = sim.starting()
    sim.weight = (v.AnswerTally(100, 50), v.AnswerTally(100), True)
    actions = sim.pass_time(0.5)
    assert sim.phase is MasterPhase.ROLLBACK
    assert v.DrainWorker(late.slot, 8.0, close=False) in actions
    sim.pass_time(9)
    assert v.KillChild(late.slot) in sim.actions


def test_nothing_is_started_while_stopping():
    sim = serving(2)
    sim.send(v.GracefulStopRequested())
    sim.forget()
    sim.die(0)
    sim.send(v.ReloadRequested())
    sim.send(v.ScaleUp())
    sim.loaded(2)
    assert not sim.told(v.SpawnWorker)
    assert not sim.told(v.LoadConfiguration)


# --- upgrade ----------------------------------------------------------------------------------------------------------


def test_an_upgrade_starts_the_next_one_and_goes_on_serving():
    sim = serving(2)
    assert v.StartSuccessor() in sim.send(v.UpgradeRequested())
    assert sim.phase is MasterPhase.UPGRADING
    sim.die(0)
    assert len(sim.starting()) == 1, "a dead worker is replaced meanwhile"
    assert v.LoadConfiguration() not in sim.send(v.ReloadRequested())


def test_when_it_has_taken_over_the_old_one_drains_and_ends():
    sim = serving(2, drain=60.0)
    sim.send(v.UpgradeRequested())
    actions = sim.send(v.SuccessorTookOver(4711))
    drains = [a for a in actions if isinstance(a, v.DrainWorker)]
    assert {(a.within, a.close) for a in drains} == {(60.0, False)}, "what is idle is handed over, not closed"
    assert v.CloseListeners() in actions
    assert sim.phase is MasterPhase.RETIRING
    sim.drained()
    assert sim.told(v.ExitMaster) == [v.ExitMaster(0)]


def test_a_retired_one_does_not_wait_for_ever_and_starts_nothing():
    sim = serving(2, drain=60.0)
    sim.send(v.UpgradeRequested())
    sim.send(v.SuccessorTookOver(4711))
    sim.forget()
    sim.die(0)
    sim.send(v.ReloadRequested())
    sim.send(v.UpgradeRequested())
    assert not sim.told(v.SpawnWorker)
    sim.pass_time(62)
    assert v.KillChild(1) in sim.actions


def test_term_to_a_retired_one_is_graceful_and_then_quick():
    sim = serving(1, graceful=8.0, drain=60.0)
    sim.send(v.UpgradeRequested())
    sim.send(v.SuccessorTookOver(4711))
    assert v.DrainWorker(0, 8.0, close=True) in sim.send(v.GracefulStopRequested())
    sim.pass_time(1)
    assert v.StopChild(0) in sim.send(v.GracefulStopRequested())


def test_one_that_fails_changes_nothing_and_a_reload_that_waited_is_done():
    sim = serving(2)
    before = sim.state.workers
    sim.send(v.UpgradeRequested())
    sim.send(v.ReloadRequested())
    assert v.LoadConfiguration() in sim.send(v.UpgradeFailed("it ended with exit status 2"))
    assert sim.phase is MasterPhase.SERVING
    assert sim.state.workers == before
    assert any("upgrade failed: it ended with exit status 2; this l7 goes on" in line for line in sim.log)


def test_one_that_never_becomes_ready_is_given_up():
    sim = serving(2, silence=5.0)
    sim.send(v.UpgradeRequested())
    assert v.AbandonSuccessor() not in sim.pass_time(34)
    assert v.AbandonSuccessor() in sim.pass_time(2)
    assert sim.phase is MasterPhase.SERVING
    assert sim.send(v.SuccessorTookOver(4711)) == [], "too late"


@pytest.mark.parametrize("stop", [v.GracefulStopRequested(), v.QuickStopRequested()])
def test_a_stop_ends_the_next_one_too(stop: v.Event):
    sim = serving(1)
    sim.send(v.UpgradeRequested())
    assert v.AbandonSuccessor() in sim.send(stop)
    sim.send(v.UpgradeFailed("it was told to"))
    assert sim.phase in ENDS


def test_a_reload_asked_for_meanwhile_is_passed_on_when_the_next_one_has_taken_over():
    sim = serving(1)
    sim.send(v.UpgradeRequested())
    sim.send(v.ReloadRequested())
    assert v.ForwardReload() in sim.send(v.SuccessorTookOver(4711))
    assert v.ForwardReload() in sim.send(v.ReloadRequested()), "whoever still has the old pid is served as well"
    assert v.ForwardReload(forced=True) in sim.send(v.ReloadRequested(forced=True))
    assert not sim.told(v.LoadConfiguration)


def test_without_a_reload_nothing_is_passed_on():
    sim = serving(1)
    sim.send(v.UpgradeRequested())
    assert v.ForwardReload() not in sim.send(v.SuccessorTookOver(4711))


def test_no_upgrade_while_something_else_is_under_way():
    sim = serving(2)
    sim.reload(2)
    assert v.StartSuccessor() not in sim.send(v.UpgradeRequested())
    assert any("no upgrade while l7 is canary" in line for line in sim.log)


# --- the tables -------------------------------------------------------------------------------------------------------


def test_an_unlisted_pair_raises():
    with pytest.raises(LifecycleError):
        step(initial_state(v.GenerationPlan(1, 1), 4, 0.0), v.ConfigurationLoaded(v.GenerationPlan(2, 1)), 0.0)
    with pytest.raises(LifecycleError):
        follow(CHILD, ChildState.EXITED, next(iter(CHILD))[1])


def test_every_state_is_reached_and_left():
    for table, states, last in (
        (MASTER, MasterPhase, {MasterPhase.STOPPED}),
        (CHILD, ChildState, {ChildState.EXITED}),
    ):
        assert {source for source, _ in table} == set(states) - last
        assert set(table.values()) | {next(iter(states))} == set(states)


_MOVES = st.sampled_from(
    [
        "hup",
        "boot",
        "die",
        "exit",
        "silent",
        "heard",
        "lost",
        "looked",
        "worse",
        "mute",
        "more",
        "fewer",
        "relay",
        "time",
        "long",
        "term",
        "int",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(_MOVES, st.integers(0, 7)), max_size=80), st.booleans())
def test_whatever_happens_no_rule_is_broken(moves: list[tuple[str, int]], monitor: bool):
    """Any events in any order: no impossible transition, no slot twice, no place empty without a reason."""
    sim = Simulation(2, canary=3.0, preflight=2.0, monitor=monitor)
    sim.hears = False
    number = 1
    for move, pick in moves:
        slots = sorted(sim.alive)
        slot = slots[pick % len(slots)] if slots else None
        if move == "hup" and v.LoadConfiguration() in sim.send(v.ReloadRequested()):
            number += 1
            sim.loaded(number, 1 + pick % 3)
        elif move == "boot" and slot is not None:
            worker = sim.state.child(slot)
            if worker is not None and worker.state not in (ChildState.READY, ChildState.DRAINING, ChildState.WAITING):
                sim.send(v.ChildReady(slot))
        elif move in ("die", "exit") and slot is not None:
            sim.die(slot, clean=move == "exit")
        elif move == "silent" and slot is not None:
            sim.send(v.HeartbeatLost(slot))
        elif move == "heard" and slot is not None:
            sim.send(v.DrainAcknowledged(slot))
        elif move == "relay" and slot is not None:
            sim.send(v.RelayBegun(slot))
        elif move == "lost" and slot is not None:
            sim.send(v.BackendUnreachable(slot, "a", "x:80: connect refused", pick % 2 == 0))
        elif move == "looked" and slot is not None:
            sim.send(v.PreflightFinished(slot))
        elif move in ("usr2", "replaced", "unfit"):
            news = {"usr2": v.UpgradeRequested(), "replaced": v.SuccessorTookOver(4711), "unfit": v.UpgradeFailed("no")}
            sim.send(news[move])
        elif move in ("worse", "mute"):
            sim.weight = (v.AnswerTally(9, 9 * (move == "worse")), v.AnswerTally(9), pick % 2 == 0)
        elif move in ("time", "long"):
            sim.pass_time(0.3 if move == "time" else 31)
        elif move in ("more", "fewer", "term", "int"):
            sim.send(
                {
                    "more": v.ScaleUp(),
                    "fewer": v.ScaleDown(),
                    "term": v.GracefulStopRequested(),
                    "int": v.QuickStopRequested(),
                }[move]
            )
        while (request := v.LoadConfiguration()) in sim.actions:
            sim.actions.remove(request)
            if sim.phase is MasterPhase.SERVING:
                number += 1
                sim.loaded(number, 1 + pick % 3)
        _check(sim)


def _check(sim: Simulation) -> None:
    state = sim.state
    assert {child.slot for child in state.children} == set(sim.alive) or state.phase is MasterPhase.STOPPED
    assert len({w.generation for w in state.workers if w.state in LIVE}) <= 2
    if state.phase in (MasterPhase.SERVING, MasterPhase.STARTING):
        for index in range(state.wanted):
            strike = state.strikes.get(index)
            assert index in state.filled() or (strike is not None and strike.until > sim.now)
    if state.phase in ENDS:
        assert not list(state.live())
