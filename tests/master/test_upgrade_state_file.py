"""What one l7 leaves the next: read when that is started, and once more when it takes over."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from l7.config.schema import Config
from l7.ipc.requests import ServerRequest
from l7.master.children.poll import Poll
from l7.master.children.table import ChildTable
from l7.master.control.reload_tracker import KEPT, MOST_LINES, ReloadTracker
from l7.master.state.dns_results import DnsResultPublisher
from l7.master.state.overrides import ServerOverrides
from l7.master.state.shared_state import SharedMemoryOwner
from l7.master.upgrade.state_file import StateFile
from l7.telemetry.events import Events

ONE, NAME = "127.0.0.1:8081", "app.test:8080"
KEY = ("a", NAME)
FOUND = [["10.0.0.1", 8080, -1, False]]


def _answer_nobody(_connection: object, _answer: object) -> None:
    """Nobody waits."""


class Side:
    """One of the two, as far as it matters here."""

    def __init__(self) -> None:
        events = Events("error")
        self.shared_state = SharedMemoryOwner(Config(backends={"a": {"servers": [ONE, NAME]}}))
        self.overrides = ServerOverrides(self.shared_state, events)
        self.names = DnsResultPublisher(self.shared_state, self.overrides, ChildTable(Poll()), events)
        self.reloads = ReloadTracker(_answer_nobody, int)
        self.file = StateFile(self.shared_state, self.overrides, self.names, self.reloads)

    def order(self, want: str) -> None:
        assert self.overrides.answer(ServerRequest("a", ONE, want))["ok"]


@pytest.fixture
def old() -> Iterator[Side]:
    side = Side()
    side.file.create()
    yield side
    side.file.close()


@pytest.fixture
def new(old: Side) -> Iterator[Side]:
    """The next one, which has inherited the file."""
    side = Side()
    side.file.descriptor = descriptor = os.dup(old.file.descriptor)
    yield side
    with pytest.raises(OSError):  # whoever takes the rest closes it
        os.fstat(descriptor)


def test_what_came_up_in_between_is_taken_over_too(old: Side, new: Side) -> None:
    old.order("drain")
    old.file.write()
    new.file.take(new.file.descriptor)
    assert new.overrides.lines() == [f"server a {ONE}: drain, as an administrator wants"]
    assert new.shared_state.resolved == {}
    old.shared_state.resolve(KEY, FOUND)
    old.file.write()
    new.file.take_rest()
    assert new.shared_state.resolved == old.shared_state.resolved != {}


def test_what_the_next_one_found_out_itself_is_newer(old: Side, new: Side) -> None:
    old.shared_state.resolve(KEY, FOUND)
    new.shared_state.resolve(KEY, [["10.0.0.2", 8080, -1, False]])
    old.file.write()
    new.file.take_rest()
    assert [one.host for one in new.shared_state.resolved[KEY]] == ["10.0.0.2"]


def test_one_that_died_while_it_wrote_leaves_what_was_taken_at_first(old: Side, new: Side) -> None:
    old.order("drain")
    old.file.write()
    new.file.take(new.file.descriptor)
    os.ftruncate(old.file.descriptor, 20)
    new.file.take_rest()
    assert new.overrides.lines() == [f"server a {ONE}: drain, as an administrator wants"]


def test_how_reloads_went_is_taken_over(old: Side, new: Side) -> None:
    for number in range(KEPT + 3):
        old.reloads.begin()
        old.reloads.loaded(number, [f"change {one}" for one in range(MOST_LINES + 2)], [])
        old.reloads.settled(number - number % 2)
    old.file.write()
    new.file.take(new.file.descriptor)
    new.file.take_rest()
    assert new.reloads.history == old.reloads.history
    assert len(new.reloads.history) == KEPT
    assert [one["ok"] for one in new.reloads.history[-3:]] == [True, False, True]
    assert new.reloads.history[-1]["changes"][MOST_LINES - 1 :] == [f"change {MOST_LINES - 1}", "… and 2 more"]
    new.reloads.begin()
    new.reloads.refused(["no"], 5)
    assert [one["reasons"] for one in new.reloads.history[-2:]] == [[], ["no"]]
    assert new.reloads.history[-2]["handed-over"] == 0
