"""What ``l7 status`` says of each server."""

from __future__ import annotations

from typing import Any

import pytest

from l7.balancing import cells
from l7.balancing.health import Fault, finding
from l7.config.schema import Config
from l7.master.books import Books
from l7.master.servers import table
from l7.telemetry.ledger import CONTROL

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
