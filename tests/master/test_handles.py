"""How a child ended, in words."""

from __future__ import annotations

import pytest

from l7.master.children.handle import describe_end


@pytest.mark.parametrize(
    ("status", "why", "words"),
    [(0, "", "exit status 0"), (3 << 8, "no", "exit status 3 (no)"), (9, "", "killed by SIGKILL")],
)
def test_ends_in_words(status, why, words):
    assert describe_end(status, why) == words
