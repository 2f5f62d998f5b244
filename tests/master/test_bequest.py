"""What one l7 leaves the next: read when that is started, and once more when it takes over."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from l7.balancing import cells
from l7.config.schema import Config
from l7.ipc.requests import ServerRequest
from l7.master import bequest
from l7.master.administration import Administration
from l7.master.books import Books
from l7.master.names import Names
from l7.master.polling import Poll
from l7.master.roster import Roster
from l7.telemetry.events import Events
from l7.telemetry.former import Former
from l7.telemetry.ledger import FIRST_WORKER

ONE, NAME = "127.0.0.1:8081", "app.test:8080"
KEY = ("a", NAME)
ENDED = 2**22 + 1
"""No process: more than the kernel gives."""
FOUND = [["10.0.0.1", 8080, -1, False]]


class Side:
    """One of the two, as far as it matters here."""

    def __init__(self) -> None:
        events = Events("error")
        self.books = Books(Config(backends={"a": {"servers": [ONE, NAME]}}), 8)
        self.desk = Administration(self.books, events)
        self.names = Names(self.books, self.desk, Roster(Poll(), lambda *_: None), events)

    def ledgers(self) -> list[int]:
        return [os.dup(one.ledger.descriptor) for one in self.books.ledgers]

    def order(self, want: str) -> None:
        assert self.desk.answer(ServerRequest("a", ONE, want))["ok"]


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = bequest.create()
    yield descriptor
    with pytest.raises(OSError):  # whoever takes the rest closes it
        os.fstat(descriptor)


def test_what_came_up_in_between_is_taken_over_too(file: int) -> None:
    old, new = Side(), Side()
    old.order("drain")
    bequest.write(file, old.books, old.desk)
    bequest.take((file, *old.ledgers()), new.books, new.desk)
    assert new.desk.lines() == [f"server a {ONE}: drain, as an administrator wants"]
    assert new.books.resolved == {}
    old.books.resolve(KEY, FOUND)
    bequest.write(file, old.books, old.desk)
    bequest.take_rest(file, new.names)
    assert new.books.resolved == old.books.resolved != {}


def test_what_the_next_one_found_out_itself_is_newer(file: int) -> None:
    old, new = Side(), Side()
    old.books.resolve(KEY, FOUND)
    new.books.resolve(KEY, [["10.0.0.2", 8080, -1, False]])
    bequest.write(file, old.books, old.desk)
    bequest.take_rest(file, new.names)
    assert [one.host for one in new.books.resolved[KEY]] == ["10.0.0.2"]


def test_what_was_counted_of_addresses_that_have_left_is_kept(file: int) -> None:
    old, new = Side(), Side()
    old.books.resolve(KEY, FOUND)
    row = old.books.rows[(*KEY, "10.0.0.1:8080")]
    old.books.open(0)
    old.books.ledger.write(FIRST_WORKER, row, cells.REQUESTS, 7)
    old.books.resolve(KEY, [["10.0.0.2", 8080, -1, False]])
    bequest.write(file, old.books, old.desk)
    over = json.loads(os.pread(file, 1 << 20, 0))
    over["ledgers"][0]["pid"] = ENDED
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(over).encode(), 0)
    bequest.take((file, *old.ledgers()), new.books, new.desk)
    told = Former(new.books.ledger, new.books.rows.known(), os.getpid())
    assert told.sums(KEY)[cells.REQUESTS] == 7
    bequest.take_rest(file, new.names)
    assert told.sums(KEY)[cells.REQUESTS] == 7


def test_one_that_died_while_it_wrote_leaves_what_was_taken_at_first(file: int) -> None:
    old, new = Side(), Side()
    old.order("drain")
    bequest.write(file, old.books, old.desk)
    bequest.take((file, *old.ledgers()), new.books, new.desk)
    os.ftruncate(file, 20)
    bequest.take_rest(file, new.names)
    assert new.desk.lines() == [f"server a {ONE}: drain, as an administrator wants"]
