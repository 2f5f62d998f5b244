"""What every implementation of an interface must do, whatever else it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from l7.balancing.policies import Policy


class Member:
    """A server as far as a policy knows: something that is itself."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __repr__(self) -> str:
        return f"<Member {self.address}>"


def check_policy(factory: Callable[[Sequence[Member]], Policy[Member]]) -> None:
    """Assert what holds for each policy: only members are picked, none twice for a request, and the end is `None`."""
    _check_few(factory)
    _check_exhaustion(factory)
    _check_reach(factory)


def _check_few(factory: Callable[[Sequence[Member]], Policy[Member]]) -> None:
    assert factory([]).pick(()) is None, "no members: nothing to pick"
    single = Member("a:1")
    policy = factory([single])
    assert [policy.pick(()) for _ in range(3)] == [single] * 3, "a single member gets everything"
    assert policy.pick([single]) is None, "a member is not tried twice"
    assert policy.pick(()) is single, "giving up once does not forget the member"


def _check_exhaustion(factory: Callable[[Sequence[Member]], Policy[Member]]) -> None:
    for count in (2, 3, 7):
        members = [Member(f"a:{number}") for number in range(count)]
        policy = factory(members)
        for collection in (list, tuple, set, frozenset):
            tried: list[Member] = []
            while (member := policy.pick(collection(tried))) is not None:
                assert member in members, "only members are picked"
                assert member not in tried, "a member is not tried twice"
                tried.append(member)
            assert len(tried) == count, "a request may try every member before it gives up"


def _check_reach(factory: Callable[[Sequence[Member]], Policy[Member]]) -> None:
    members = [Member(f"a:{number}") for number in range(3)]
    policy = factory(members)
    dead = members[1]
    seen = {policy.pick([dead]) for _ in range(100)}
    assert seen == {members[0], members[2]}, "what was not tried is used; what was is not"
