"""How many connections those that serve lend to those that are on trial."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.master.children.rebalance import portions


@pytest.mark.parametrize(
    ("held", "borrowers", "theirs", "given"),
    [
        ({}, 1, 0, {}),
        ({0: 0, 1: 0}, 1, 0, {}),
        ({0: 1, 1: 0}, 1, 0, {0: 1}),  # one connection is enough to hear something
        ({0: 6, 1: 6}, 1, 0, {0: 2, 1: 2}),
        ({0: 100, 1: 10, 2: 10}, 1, 0, {0: 26, 1: 2, 2: 2}),
        ({0: 10, 1: 10}, 2, 0, {0: 5, 1: 5}),
        ({0: 1, 1: 4}, 1, 0, {0: 1, 1: 1}),  # each gives one: the others may all be silent
        ({0: 1, 1: 4}, 2, 0, {0: 1, 1: 2}),
        ({0: 10, 1: 10}, 1, 4, {0: 2, 1: 2}),
        ({0: 10, 1: 10}, 1, 40, {}),  # it has more than its share already
    ],
)  # fmt: skip
def test_everybody_has_the_same_in_the_end(held, borrowers, theirs, given):
    assert portions(held, borrowers, theirs) == given


@given(
    st.dictionaries(st.integers(0, 20), st.integers(0, 5000), max_size=8),
    st.integers(1, 8),
    st.integers(0, 100),
)
def test_nobody_gives_what_it_has_not_and_the_borrowers_get_their_part(held, borrowers, theirs):
    parts = portions(held, borrowers, theirs)
    assert all(0 < count <= held[slot] for slot, count in parts.items())
    total = sum(held.values()) + theirs
    wanted = -(-total * borrowers // (len(held) + borrowers)) - theirs
    assert sum(parts.values()) == min(max(0, wanted), sum(held.values()))


def test_off_trial_the_last_connection_is_not_moved_about():
    assert portions({0: 1}, trial=False) == {}
    assert portions({0: 3}, trial=False) == {0: 1}
