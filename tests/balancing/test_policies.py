"""Round-robin is uniform, also over what a dead server leaves."""

from __future__ import annotations

from collections import Counter

import pytest

from l7.balancing.policies import RoundRobin
from tests.conformance import Member, check_policy


@pytest.fixture
def members() -> list[Member]:
    return [Member(f"127.0.0.1:{port}") for port in (1, 2, 3)]


def test_round_robin_is_a_policy() -> None:
    check_policy(RoundRobin)


def test_each_server_gets_the_same(members: list[Member]) -> None:
    policy = RoundRobin(members)
    counts = Counter(policy.pick(()) for _ in range(3000))
    assert set(counts.values()) == {1000}
    assert set(counts) == set(members)


def test_turns_are_taken_in_order(members: list[Member]) -> None:
    policy = RoundRobin(members, start=2)
    assert [policy.pick(()) for _ in range(4)] == [
        members[2],
        members[0],
        members[1],
        members[2],
    ]


def test_a_failed_server_is_followed_by_the_next(members: list[Member]) -> None:
    policy = RoundRobin(members, start=0)
    first = policy.pick(())
    assert first is members[0]
    assert policy.pick([first]) is members[1]


@pytest.mark.parametrize("dead", [0, 1, 2, 3])
def test_what_a_dead_server_leaves_is_shared_evenly(dead: int) -> None:
    members = [Member(f"127.0.0.1:{port}") for port in range(4)]
    policy = RoundRobin(members)
    served: Counter[Member | None] = Counter()
    for _ in range(3000):
        member = policy.pick(())
        if member is members[dead]:
            member = policy.pick([members[dead]])
        served[member] += 1
    assert set(served.values()) == {1000}


def test_workers_do_not_all_start_with_the_first_server(members: list[Member]) -> None:
    assert len({RoundRobin(members).pick(()) for _ in range(200)}) == 3


def test_a_repr_shows_whose_turn_it_is(members: list[Member]) -> None:
    assert repr(RoundRobin(members, start=1)) == "<RoundRobin 1 of 3>"
