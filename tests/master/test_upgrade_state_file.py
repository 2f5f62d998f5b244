"""What one l7 leaves the next: read when that is started, and once more when it takes over."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from l7.config.schema import Config
from l7.ipc.requests import ServerRequest
from l7.master.children.poll import Poll
from l7.master.children.table import ChildTable
from l7.master.state.dns_results import DnsResults
from l7.master.state.overrides import ServerOverrides
from l7.master.state.shared_state import SharedState
from l7.master.upgrade import state_file
from l7.telemetry.events import Events

ONE, NAME = "127.0.0.1:8081", "app.test:8080"
KEY = ("a", NAME)
FOUND = [["10.0.0.1", 8080, -1, False]]


class Side:
    """One of the two, as far as it matters here."""

    def __init__(self) -> None:
        events = Events("error")
        self.shared_state = SharedState(Config(backends={"a": {"servers": [ONE, NAME]}}), 8)
        self.control_server = ServerOverrides(self.shared_state, events)
        self.names = DnsResults(self.shared_state, self.control_server, ChildTable(Poll(), lambda *_: None), events)

    def order(self, want: str) -> None:
        assert self.control_server.answer(ServerRequest("a", ONE, want))["ok"]


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = state_file.create()
    yield descriptor
    with pytest.raises(OSError):  # whoever takes the rest closes it
        os.fstat(descriptor)


def test_what_came_up_in_between_is_taken_over_too(file: int) -> None:
    old, new = Side(), Side()
    old.order("drain")
    state_file.write(file, old.shared_state, old.control_server)
    state_file.take(file, new.shared_state, new.control_server)
    assert new.control_server.lines() == [f"server a {ONE}: drain, as an administrator wants"]
    assert new.shared_state.resolved == {}
    old.shared_state.resolve(KEY, FOUND)
    state_file.write(file, old.shared_state, old.control_server)
    state_file.take_rest(file, new.names)
    assert new.shared_state.resolved == old.shared_state.resolved != {}


def test_what_the_next_one_found_out_itself_is_newer(file: int) -> None:
    old, new = Side(), Side()
    old.shared_state.resolve(KEY, FOUND)
    new.shared_state.resolve(KEY, [["10.0.0.2", 8080, -1, False]])
    state_file.write(file, old.shared_state, old.control_server)
    state_file.take_rest(file, new.names)
    assert [one.host for one in new.shared_state.resolved[KEY]] == ["10.0.0.2"]


def test_one_that_died_while_it_wrote_leaves_what_was_taken_at_first(file: int) -> None:
    old, new = Side(), Side()
    old.order("drain")
    state_file.write(file, old.shared_state, old.control_server)
    state_file.take(file, new.shared_state, new.control_server)
    os.ftruncate(file, 20)
    state_file.take_rest(file, new.names)
    assert new.control_server.lines() == [f"server a {ONE}: drain, as an administrator wants"]
