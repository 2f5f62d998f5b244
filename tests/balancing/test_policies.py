"""The policies: each conforms, and each does what its name says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from l7.balancing import policies
from l7.balancing.hashring import key_of
from l7.balancing.members import SILENT, SILENT_FOR, Member, alone
from l7.balancing.policies import POLICIES, First, Hash, LeastRequests, Policy, RoundRobin, TwoChoices, cycle
from l7.sharedmem.layout import LANE
from tests.conformance import arranged, check_policy, members


@pytest.mark.parametrize("factory", POLICIES.values(), ids=POLICIES)
def test_it_is_a_policy(factory: Callable[[], Policy]) -> None:
    check_policy(factory)


def picks(policy: Policy, count: int) -> Counter[str]:
    """How often each member is picked when nothing stays in flight."""
    return Counter(policy.pick(()).label for _ in range(count))  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------------ round-robin


def begun(among: list[Member], start: int = 0) -> RoundRobin:
    policy = RoundRobin()
    policy.begin(among, start)
    return policy


def test_each_server_gets_the_same() -> None:
    assert set(picks(arranged(RoundRobin, members(3)), 3000).values()) == {1000}


def test_turns_are_taken_in_order() -> None:
    among = members(3)
    policy = begun(among, 2)
    assert [policy.pick(()) for _ in range(4)] == [among[2], among[0], among[1], among[2]]


def test_a_server_that_falls_silent_is_passed_by_until_it_answers() -> None:
    among = members(3)
    policy = begun(among)
    for _ in range(SILENT):
        among[1].begin()
    assert among[1] in [policy.pick(()) for _ in range(3)], "busy is not silent"
    among[1].writer.moment += SILENT_FOR
    among[0].begin()
    policy = begun(among)
    assert [policy.pick(()) for _ in range(4)] == [among[0], among[2], among[0], among[2]]
    assert policy.pick((among[0], among[2])) is among[1], "better than none"
    among[1].unanswered = 0
    assert among[1] in [policy.pick(()) for _ in range(3)]


def test_one_that_has_nothing_left_to_answer_is_not_silent() -> None:
    among = members(2)
    policy = begun(among)
    for _ in range(SILENT):
        among[1].begin()
    among[1].writer.moment += SILENT_FOR
    among[1].end()
    assert among[1] in [policy.pick(()) for _ in range(2)]


def test_when_all_are_silent_turns_go_on() -> None:
    among = members(2)
    policy = begun(among)
    for member in among:
        for _ in range(SILENT + 1):
            member.begin()
        member.writer.moment += SILENT_FOR
    assert [policy.pick(()) for _ in range(4)] == [*among, *among]


def test_weights_are_exact_in_each_cycle_wherever_it_begins() -> None:
    for start in range(9):
        policy = begun(members(3, (5, 3, 1)), start)
        for _ in range(3):
            assert picks(policy, 9) == {"a:0": 5, "a:1": 3, "a:2": 1}


def test_turns_are_spread_as_nginx_spreads_them() -> None:
    assert "".join(member.label[-1] for member in cycle(members(3, (5, 1, 1)))) == "0010200"


def test_a_long_cycle_is_rounded_and_leaves_nobody_out() -> None:
    among = members(200, [256, 255] * 99 + [1, 251])
    turns = Counter(cycle(among))
    assert sum(turns.values()) <= policies.LONGEST_CYCLE + len(among)
    assert set(turns) == set(among)
    assert turns[among[0]] == pytest.approx(turns[among[1]], abs=1)


def test_a_failed_server_is_followed_by_the_next() -> None:
    among = members(3)
    policy = begun(among)
    first = policy.pick(())
    assert first is among[0]
    assert policy.pick([first]) is among[1]


@pytest.mark.parametrize("dead", [0, 1, 2, 3])
def test_what_a_dead_server_leaves_is_shared_evenly(dead: int) -> None:
    among = members(4)
    policy = arranged(RoundRobin, among)
    served: Counter[Member | None] = Counter()
    for _ in range(3000):
        member = policy.pick(())
        if member is among[dead]:
            member = policy.pick([among[dead]])
        served[member] += 1
    assert set(served.values()) == {1000}


def test_workers_do_not_all_start_with_the_first_server() -> None:
    assert len({arranged(RoundRobin, members(3)).pick(()).label for _ in range(200)}) == 3  # type: ignore[union-attr]


def test_a_repr_shows_whose_turn_it_is() -> None:
    assert repr(begun(members(3), 1)) == "<RoundRobin 1 of 3>"


# -------------------------------------------------------------------------------------- least requests, two choices


def test_the_least_busy_for_its_weight_is_picked() -> None:
    among = members(3, (1, 1, 4))
    for member, load in zip(among, (2, 3, 6), strict=True):
        for _ in range(load):
            member.begin()
    policy = arranged(LeastRequests, among)
    assert {policy.pick(()) for _ in range(10)} == {among[2]}  # 6/4 < 2/1 < 3/1
    assert {policy.pick([among[2]]) for _ in range(10)} == {among[0]}


def test_idle_servers_are_taken_by_turns_and_weights() -> None:
    assert picks(arranged(LeastRequests, members(3, (5, 3, 1))), 900) == {"a:0": 500, "a:1": 300, "a:2": 100}


def test_what_other_workers_have_in_flight_counts() -> None:
    busy, free = alone("a:0", writers=2), alone("a:1", writers=2)
    # Another worker's lane: the second one.
    busy.writer.put(LANE + busy.at, 3)
    assert busy.load() == 3
    for factory in (LeastRequests, TwoChoices):
        policy = arranged(factory, [busy, free])
        assert {policy.pick(()) for _ in range(50)} == {free}


def test_two_choices_are_two_and_weighted() -> None:
    among = members(3, (5, 3, 1))
    policy = TwoChoices(seed=7)
    policy.arrange(among)
    counts = picks(policy, 9000)
    assert counts["a:0"] > counts["a:1"] > counts["a:2"] > 300
    for _ in range(5):
        among[0].begin()
    assert picks(policy, 1000)["a:0"] < 50, "the busier of two is picked only where both draws are the same"


def test_loads_stay_even_with_two_choices() -> None:
    among = members(10)
    policy = TwoChoices(seed=1)
    policy.arrange(among)
    for _ in range(1000):
        policy.pick(()).begin()  # type: ignore[union-attr]
    loads = [member.load() for member in among]
    assert max(loads) - min(loads) <= 6


# ----------------------------------------------------------------------------------------------------- hash, first

KEYS = [key_of(b"client %d" % number) for number in range(4000)]


def owners(among: list[Member]) -> dict[int, Member]:
    policy = arranged(Hash, among)
    return {key: policy.pick((), key) for key in KEYS}  # type: ignore[misc]


def test_a_key_keeps_its_server_in_every_worker_and_order() -> None:
    among = members(5)
    assert owners(among) == owners(among[::-1])


def test_a_server_that_goes_moves_only_its_own_keys() -> None:
    among = members(5)
    before, after = owners(among), owners(among[:4])
    moved = [key for key in KEYS if before[key] is not after[key]]
    assert {before[key] for key in moved} == {among[4]}


def test_a_server_that_comes_takes_about_its_part() -> None:
    among = members(5)
    before, after = owners(among[:4]), owners(among)
    moved = [key for key in KEYS if before[key] is not after[key]]
    assert {after[key] for key in moved} == {among[4]}
    assert len(moved) == pytest.approx(len(KEYS) / 5, rel=0.35)


def test_keys_are_spread_by_weight() -> None:
    counts = Counter(member.label for member in owners(members(3, (5, 3, 1))).values())
    for label, part in (("a:0", 5 / 9), ("a:1", 3 / 9), ("a:2", 1 / 9)):
        assert counts[label] / len(KEYS) == pytest.approx(part, rel=0.25)


def test_a_key_that_all_ask_for_does_not_drown_its_server() -> None:
    among = members(4)
    policy = arranged(Hash, among)
    for _ in range(400):
        policy.pick((), KEYS[0]).begin()  # type: ignore[union-attr]
    loads = [member.load() for member in among]
    assert max(loads) <= 1.25 * 100 + 4
    assert sum(loads) == 400


def test_a_few_requests_at_a_time_stay_together() -> None:
    policy = arranged(Hash, members(4))
    picked = set()
    for _ in range(4):
        member = policy.pick((), KEYS[0])
        assert member is not None
        member.begin()
        picked.add(member)
    assert len(picked) == 1


def test_keys_are_the_same_in_every_process() -> None:
    assert key_of(b"192.0.2.1") == 7228812626422076425


def test_first_goes_by_the_order() -> None:
    among = members(3)
    policy = arranged(First, among)
    assert [policy.pick(among[:count]) for count in range(4)] == [*among, None]
