"""Rows of the ledger belong to servers, whatever generation serves them."""

from __future__ import annotations

import pytest

from l7.balancing import cells
from l7.balancing.names import Endpoint
from l7.config.schema import Config
from l7.master.books import Books
from l7.master.rows import OutOfRowsError, Rows, keys_of
from l7.networks import host_port
from l7.telemetry.ledger import FIRST_ROW, UNROUTED, Ledger


def config(**servers: list[str]) -> Config:
    return Config(backends={host: {"servers": addresses} for host, addresses in servers.items()})


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(FIRST_ROW + 4, 3)


def test_every_backend_and_server_has_a_row() -> None:
    books = Books(config(a=["x:1", "y:2"], b=["x:1"]), 4)
    taken = books.rows.taken()
    assert set(taken) == {(), ("a",), ("a", "x:1"), ("a", "y:2"), ("b",), ("b", "x:1")}
    assert taken[()] == UNROUTED
    assert sorted(taken.values()) == [UNROUTED, *range(FIRST_ROW, FIRST_ROW + 5)]


def test_resolved_addresses_have_rows() -> None:
    resolved = {("a", "name:1"): [("192.0.2.1", 1, 0, -1), ("::1", 1, 0, -1)]}
    keys = set(keys_of(config(a=["name:1"]), resolved))
    assert keys == {("a",), ("a", "name:1"), ("a", "name:1", "192.0.2.1:1"), ("a", "name:1", "[::1]:1")}
    assert host_port("::1", 1) == "[::1]:1"


def test_a_server_that_stays_keeps_its_row() -> None:
    books = Books(config(a=["x:1", "y:2"]), 4)
    row = books.rows["a", "y:2"]
    books.extend(config(a=["z:3", "y:2"]))
    books.settle([config(a=["z:3", "y:2"])])
    assert books.rows["a", "y:2"] == row
    assert ("a", "x:1") not in books.rows.taken()


def test_a_server_that_returns_finds_its_row(ledger: Ledger) -> None:
    rows = Rows(ledger)
    rows.take([("a",), ("b",)])
    row = rows["a",]
    rows.keep([("b",)])
    rows.take([("c",), ("a",)])
    assert rows["a",] == row
    assert rows["c",] != row


def test_a_freed_row_is_given_away_last_and_cleared(ledger: Ledger) -> None:
    rows = Rows(ledger)
    rows.take([("a",), ("b",)])
    row = rows["a",]
    ledger.write(0, row, cells.REQUESTS, 5)
    rows.keep([("b",)])
    rows.take([("c",), ("d",)])
    assert row not in (rows["c",], rows["d",])
    assert ledger.total(row, cells.REQUESTS) == 5
    rows.take([("e",)])
    assert rows["e",] == row
    assert ledger.total(row, cells.REQUESTS) == 0
    with pytest.raises(OutOfRowsError, match="needs a restart"):
        rows.take([("f",)])


def test_names_that_are_gone_are_forgotten() -> None:
    books = Books(config(a=["x:1"]), 4)
    books.resolved["a", "x:1"] = [Endpoint("192.0.2.1", 1, 9)]
    books.settle([config(a=["x:1"])])
    assert books.resolved
    books.settle([config(a=["y:1"])])
    assert not books.resolved


def test_the_lane_of_a_worker_that_is_gone_has_nothing_in_flight() -> None:
    books = Books(config(a=["x:1"]), 4)
    books.open(1)
    row = books.rows["a", "x:1"]
    books.ledger.write(books.lane(1), row, cells.IN_FLIGHT, 3)
    books.retire(1)
    assert books.ledger.total(row, cells.IN_FLIGHT) == 0
