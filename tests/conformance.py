"""What every implementation of an interface must do, whatever else it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from l7.balancing.members import Member, alone
from l7.balancing.policies import Policy


def members(count: int, weights: Sequence[int] = ()) -> list[Member]:
    """Members with a shared memory each, called a:0, a:1 and so on."""
    return [alone(f"a:{number}", weights[number] if weights else 1) for number in range(count)]


def check_policy(factory: Callable[[], Policy]) -> None:
    """Assert what holds for each policy.

    Only members are picked, none twice for a request, and the end is None; all of them can be reached; what was
    arranged last is what counts; and a member that is overrun is not the only one that is picked.
    """
    _check_few(factory)
    _check_exhaustion(factory)
    _check_reach(factory)
    _check_change(factory)


def arranged(factory: Callable[[], Policy], among: Sequence[Member]) -> Policy:
    """A policy that picks among some members."""
    policy = factory()
    policy.arrange(among)
    return policy


def _check_few(factory: Callable[[], Policy]) -> None:
    assert factory().pick(()) is None, "nothing arranged: nothing to pick"
    assert arranged(factory, []).pick(()) is None, "no members: nothing to pick"
    (single,) = members(1)
    policy = arranged(factory, [single])
    assert [policy.pick(()) for _ in range(3)] == [single] * 3, "a single member gets everything"
    assert policy.pick([single]) is None, "a member is not tried twice"
    assert policy.pick(()) is single, "giving up once does not forget the member"


def _check_exhaustion(factory: Callable[[], Policy]) -> None:
    for count in (2, 3, 7):
        among = members(count, range(1, count + 1))
        policy = arranged(factory, among)
        for key in (0, 1, 2**63, 2**64 - 1):
            for collection in (list, tuple, set, frozenset):
                tried: list[Member] = []
                while (member := policy.pick(collection(tried), key)) is not None:
                    assert member in among, "only members are picked"
                    assert member not in tried, "a member is not tried twice"
                    tried.append(member)
                assert len(tried) == count, "a request may try every member before it gives up"


def _check_reach(factory: Callable[[], Policy]) -> None:
    among = members(3)
    policy = arranged(factory, among)
    dead = among[1]
    for number in range(100):
        member = policy.pick([dead], number * 2**57)
        assert member in (among[0], among[2]), "what was not tried is used; what was is not"
        member.begin()
    for number in range(1000):
        policy.pick((), number * 2**54).begin()  # type: ignore[union-attr]
    if factory.__name__ != "First":
        assert all(member.load() for member in among), "everybody gets something"


def _check_change(factory: Callable[[], Policy]) -> None:
    first, second, third = members(3)
    policy = arranged(factory, [first, second])
    for _ in range(5):
        assert policy.pick(()) in (first, second)
    policy.arrange([third])
    assert policy.pick(()) is third, "what was arranged last counts"
    assert policy.pick([third]) is None, "and nothing of what was before"
    policy.arrange([])
    assert policy.pick(()) is None
