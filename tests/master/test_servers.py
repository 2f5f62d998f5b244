"""What ``l7 status`` says of each server."""

from __future__ import annotations

import time
from typing import Any

import pytest

from l7.balancing import cells
from l7.balancing.health import Fault, finding
from l7.balancing.lane import Lane
from l7.balancing.outlook import Books as Known
from l7.balancing.outlook import outlook
from l7.config.schema import Config
from l7.http.parser import RequestParser
from l7.master.books import Books
from l7.master.servers import table
from l7.telemetry.ledger import CONTROL, MASTER

ONE, TWO = "127.0.0.1:8081", "127.0.0.1:8082"
SERVICE = "srv:_http._tcp.example"


def listed(books: Books, config: Config) -> dict[str, dict[str, Any]]:
    """Every entry by its server; each server is there once."""
    entries = list(table(config, books))
    found = {entry["server"]: entry for entry in entries}
    assert len(found) == len(entries)
    return found


def test_a_server_that_is_written_twice_has_the_weight_of_both() -> None:
    servers: list[Any] = [ONE, TWO, {"address": ONE, "weight": 3}, SERVICE, SERVICE]
    config = Config.model_validate({"backends": {"a": {"servers": servers}}})
    found = listed(Books(config, 2), config)
    assert {server: entry["weight"] for server, entry in found.items()} == {ONE: 4, TWO: 1, SERVICE: 2}


@pytest.mark.parametrize(("health", "why"), [({}, "last check: connect refused"), ("off", "")])
def test_the_last_check_is_told_as_long_as_there_are_checks(health: object, why: str) -> None:
    config = Config.model_validate({"backends": {"a": {"servers": [ONE], "health": health}}})
    books = Books(config, 2)
    books.ledger.write(CONTROL, books.rows["a", ONE], cells.HEALTH, cells.UP)
    books.ledger.write(CONTROL, books.rows["a", ONE], cells.HEALTH_WHY, finding(Fault.REFUSED) | 1 << 32)
    assert listed(books, config)[ONE]["why"] == why


def test_the_status_and_explain_have_the_same_words() -> None:
    """They had sentences of their own for the same state."""
    config = Config.model_validate({"backends": {"a": {"servers": [ONE, TWO]}}})
    books = Books(config, 2)
    row = books.rows["a", ONE]
    lane = Lane(books.ledger.cells, books.ledger.rows * cells.ROW, MASTER)
    known = Known(lane, books.rows.taken(), {}, b"k" * 32)
    head = RequestParser(100, 1000).parse(b"GET / HTTP/1.1\r\nHost: a")

    def words() -> tuple[str, str]:
        shown = outlook("a", config.backends["a"], head, known, time.monotonic_ns())["servers"]
        return listed(books, config)[ONE]["why"], next(one["why"] for one in shown if one["server"] == ONE)

    books.ledger.write(MASTER, row, cells.ADMIN, cells.DRAIN)
    assert words() == ("as an administrator wants",) * 2
    books.ledger.write(MASTER, row, cells.ADMIN, 0)
    books.ledger.write(MASTER, row, cells.ADMIN_WEIGHT, 1)
    assert words() == ("its weight is 0",) * 2
    books.ledger.write(MASTER, row, cells.ADMIN_WEIGHT, 0)
    books.ledger.write(MASTER, row, cells.EJECTED_UNTIL, time.monotonic_ns() - 1)
    books.ledger.write(MASTER, row, cells.EJECTED_AT, 1)
    assert words() == ("was ejected: one request at a time, until one goes well",) * 2
