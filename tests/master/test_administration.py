"""Orders about servers: found, written, kept over reloads, handed down."""

from __future__ import annotations

from typing import Any

import pytest

from l7.balancing import cells
from l7.config.schema import Config
from l7.ipc.requests import ServerRequest
from l7.master.administration import Administration
from l7.master.books import Books
from l7.telemetry.events import Events
from l7.telemetry.ledger import MASTER

ONE, TWO, NAME = "127.0.0.1:8081", "127.0.0.1:8082", "app.test:8080"


def config(*servers: str) -> Config:
    return Config(backends={"a.example": {"servers": list(servers)}, "b.example/api": {"servers": [ONE]}})


@pytest.fixture
def books() -> Books:
    books = Books(config(ONE, TWO, NAME), 8)
    books.resolve(("a.example", NAME), [["10.0.0.1", 8080, -1], ["10.0.0.2", 8080, -1]])
    return books


@pytest.fixture
def desk(books: Books) -> Administration:
    return Administration(books, Events("error"))


def order(desk: Administration, host: str, address: str, want: str, weight: str | int | None = None) -> dict[str, Any]:
    return desk.answer(ServerRequest(host, address, want, weight))


def read(books: Books, *key: str) -> tuple[int, int]:
    row = books.rows[key]
    return books.ledger.read(MASTER, row, cells.ADMIN), books.ledger.read(MASTER, row, cells.ADMIN_WEIGHT)


def test_states_and_weights_are_written_and_readers_told(books: Books, desk: Administration) -> None:
    seen = []
    for want, weight, written in (
        ("drain", None, (cells.DRAIN, 0)),
        ("weight", 10, (cells.DRAIN, 11)),
        ("maint", None, (cells.MAINT, 11)),
        ("ready", None, (0, 11)),
        ("weight", "0", (0, 1)),
        ("weight", "default", (0, 0)),
    ):
        assert order(desk, "a.example", ONE, want, weight)["ok"]
        assert read(books, "a.example", ONE) == written
        seen.append(books.ledger.read(MASTER, 0, cells.CHANGES))
    assert len(set(seen)) == len(seen)
    assert read(books, "a.example", TWO) == (0, 0)
    assert read(books, "b.example/api", ONE) == (0, 0)


@pytest.mark.parametrize("host", ["a.example", "A.Example.", "b.example/api/"])
@pytest.mark.parametrize("address", [ONE, f"http://{ONE}", f"//{ONE}/"])
def test_servers_are_found_however_they_are_written(desk: Administration, host: str, address: str) -> None:
    (server,) = order(desk, host, address, "drain")["servers"]
    assert server["server"] == ONE
    assert server["state"] == "drain"


def test_a_name_and_one_of_its_addresses(books: Books, desk: Administration) -> None:
    order(desk, "a.example", NAME, "drain")
    order(desk, "a.example", "10.0.0.2:8080", "maint")
    assert read(books, "a.example", NAME)[0] == cells.DRAIN
    assert read(books, "a.example", NAME, "10.0.0.1:8080")[0] == 0
    assert read(books, "a.example", NAME, "10.0.0.2:8080")[0] == cells.MAINT


def since(books: Books, *key: str) -> int:
    return books.ledger.read(MASTER, books.rows[key], cells.ADMIN_SINCE)


def test_a_server_is_back_only_when_it_was_away(books: Books, desk: Administration) -> None:
    order(desk, "a.example", ONE, "weight", 10)
    order(desk, "a.example", ONE, "ready")
    assert since(books, "a.example", ONE) == 0  # or its slow start would begin
    order(desk, "a.example", ONE, "drain")
    drained = since(books, "a.example", ONE)
    order(desk, "a.example", ONE, "weight", 5)
    assert since(books, "a.example", ONE) == drained > 0
    order(desk, "a.example", ONE, "ready")
    assert since(books, "a.example", ONE) > drained


def test_of_a_name_and_an_address_what_was_said_last_counts(books: Books, desk: Administration) -> None:
    address = ("a.example", NAME, "10.0.0.2:8080")
    order(desk, "a.example", NAME, "drain")
    order(desk, "a.example", address[2], "weight", 5)
    assert since(books, *address) < since(books, "a.example", NAME)
    order(desk, "a.example", address[2], "ready")
    assert since(books, *address) > since(books, "a.example", NAME)
    order(desk, "a.example", NAME, "drain")
    assert since(books, *address) < since(books, "a.example", NAME)
    order(desk, "a.example", NAME, "weight", 2)
    assert read(books, "a.example", NAME)[1] == 3
    assert read(books, *address)[1] == 0


def test_what_is_in_flight_is_told(books: Books, desk: Administration) -> None:
    for lane, key in ((2, ("a.example", NAME, "10.0.0.1:8080")), (3, ("a.example", NAME, "10.0.0.2:8080"))):
        books.ledger.open(lane)
        books.ledger.write(lane, books.rows[key], cells.IN_FLIGHT, lane)
    assert order(desk, "a.example", NAME, "drain")["servers"][0]["in-flight"] == 5
    assert order(desk, "a.example", "10.0.0.2:8080", "drain")["servers"][0]["in-flight"] == 3


@pytest.mark.parametrize(
    ("host", "address", "want", "weight", "why"),
    [
        ("a.exampel", ONE, "drain", None, "no backend is a.exampel; did you mean 'a.example'?"),
        ("a.example", "127.0.0.1:8083", "drain", None, "a.example has no server 127.0.0.1:8083; did you mean"),
        ("a.example", "http:///x", "drain", None, "has"),
        ("", ONE, "drain", None, "the host is empty"),
        ("a.example", ONE, "drian", None, "drian is no order; did you mean 'drain'?"),
        ("a.example", ONE, "", None, "nothing is no order"),
        ("a.example", ONE, "weight", 257, "a weight is 0 to 256"),
        ("a.example", ONE, "weight", -1, "a weight is 0 to 256"),
        ("a.example", ONE, "weight", None, "a weight is 0 to 256"),
        ("a.example", ONE, "weight", "9" * 400, "a weight is 0 to 256"),
    ],
)
def test_what_cannot_be_followed(
    desk: Administration, host: str, address: str, want: str, weight: object, why: str
) -> None:
    answer = order(desk, host, address, want, weight)
    assert not answer["ok"]
    assert why in answer["reasons"][0]
    assert desk.lines() == []


def test_orders_hold_over_reloads_and_end_with_the_server(books: Books, desk: Administration) -> None:
    order(desk, "a.example", ONE, "drain")
    order(desk, "a.example", "10.0.0.2:8080", "weight", 7)
    for servers in ((ONE, NAME), (NAME, ONE, TWO)):
        books.extend(config(*servers))
        books.settle([config(*servers)])
        desk.settle()
        assert read(books, "a.example", ONE)[0] == cells.DRAIN
    books.resolve(("a.example", NAME), [["10.0.0.3", 8080, -1]])
    desk.settle()
    assert len(desk.lines()) == 2, "its server is still there"
    books.resolve(("a.example", NAME), [["10.0.0.2", 8080, -1]])
    desk.renew()
    assert read(books, "a.example", NAME, "10.0.0.2:8080")[1] == 8, "an address that comes back"
    books.settle([config(TWO)])
    desk.settle()
    assert desk.lines() == []
    books.extend(config(ONE, TWO))
    assert read(books, "a.example", ONE) == (0, 0), "one that is added again is ready"


def test_orders_are_shown_and_handed_down(books: Books, desk: Administration) -> None:
    order(desk, "a.example", ONE, "maint")
    order(desk, "a.example", "10.0.0.2:8080", "weight", 7)
    order(desk, "a.example", TWO, "ready")
    lines = [
        "server a.example 127.0.0.1:8081: maint, as an administrator wants",
        "server a.example app.test:8080 at 10.0.0.2:8080: ready, weight 7, as an administrator wants",
    ]
    assert desk.lines() == lines
    others = Books(config(TWO, ONE, NAME), 8)
    heir = Administration(others, Events("error"))
    heir.adopt(desk.plain())
    assert heir.lines() == lines
    assert read(others, "a.example", ONE) == (cells.MAINT, 0)
    others.resolve(("a.example", NAME), [["10.0.0.2", 8080, -1]])
    heir.renew()
    assert read(others, "a.example", NAME, "10.0.0.2:8080") == (0, 8)
