"""Who follows the recorder: what is shown first, and an upgrade while the l7 before still has news."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from l7.commands.recorder import connection, tail
from l7.commands.recorder.connection import ASKED_EVERY, RecorderFollower
from l7.config.reading import flags
from l7.telemetry.recorder.reader import News
from l7.telemetry.recorder.request_filter import RequestFilter


class Busy:
    """A recorder that always has news."""

    def __init__(self, name: int) -> None:
        self._record: Any = SimpleNamespace(ended=0.0, name=name)

    def skip(self) -> None:
        """There is always more."""

    def is_written(self) -> bool:
        return True

    def news(self) -> News:
        return News([self._record], 0)


def test_one_that_has_taken_over_is_found_while_the_one_before_has_news(monkeypatch: pytest.MonkeyPatch) -> None:
    now, running, closed = [100.0], [1], []
    monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(connection, "_ask", lambda *_: (running[0], running[0]))
    monkeypatch.setattr(connection, "_read", Busy)
    monkeypatch.setattr(connection, "os", SimpleNamespace(close=closed.append))
    follower = RecorderFollower(flags.parse_flags(["tail"]), {})

    def heard() -> list[Any]:
        return [one.name for one in follower.news().records]

    assert heard() == [1]
    now[0] += ASKED_EVERY + 0.1
    assert heard() == [1] and closed == [1]
    running[0] = 2
    now[0] += ASKED_EVERY / 2
    assert heard() == [1] == heard()
    now[0] += ASKED_EVERY / 2 + 0.1
    assert heard() == [1]
    assert heard() == [1, 2], "the one before goes on, too"
    assert closed == [1]


@pytest.mark.parametrize(("most", "shown"), [(0, []), (2, [7, 8]), (4, [3, 4, 7, 8]), (9, [1, 2, 3, 4, 7, 8])])
def test_the_last_are_those_of_all_and_failures_that_all_others_have_washed_away(most: int, shown: list[int]) -> None:
    def newest(_: RequestFilter, limit: int, *, failed: bool) -> list[Any]:
        ended = [7, 4, 3, 2, 1] if failed else [8, 7]
        return [SimpleNamespace(identity=(one,), ended=one) for one in ended[:limit]]

    reader: Any = SimpleNamespace(newest=newest)
    assert [one.ended for one in tail._last(reader, RequestFilter(), most)] == shown
