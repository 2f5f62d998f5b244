"""Streams for the unit tests of the workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workers.loop import Ends, running


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Streams on socket pairs, with a sweeper that runs; asserts that every stream was let go."""
    with running() as sweeper:
        made = Ends(sweeper)
        yield made
        made.close()
        assert not sweeper.streams
