"""What ``l7 status`` says of each server."""

from __future__ import annotations

import time
from typing import Any

import pytest

from l7.balancing.health import Fault, finding
from l7.balancing.server_view import SharedView as Known
from l7.balancing.server_view import server_view
from l7.config.schema import Config
from l7.http.parser import RequestParser
from l7.master.control.server_table import table
from l7.master.state.shared_state import SharedState
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.memory import MASTER, MONITOR

ONE, TWO = "127.0.0.1:8081", "127.0.0.1:8082"
SERVICE = "srv:_http._tcp.example"


def listed(shared_state: SharedState, config: Config) -> dict[str, dict[str, Any]]:
    """Every entry by its server; each server is there once."""
    entries = list(table(config, shared_state))
    found = {entry["server"]: entry for entry in entries}
    assert len(found) == len(entries)
    return found


def test_a_server_that_is_written_twice_has_the_weight_of_both() -> None:
    servers: list[Any] = [ONE, TWO, {"address": ONE, "weight": 3}, SERVICE, SERVICE]
    config = Config.model_validate({"backends": {"a": {"servers": servers}}})
    found = listed(SharedState(config, 2), config)
    assert {server: entry["weight"] for server, entry in found.items()} == {ONE: 4, TWO: 1, SERVICE: 2}


@pytest.mark.parametrize(("health", "why"), [({}, "last check: connect refused"), ("off", "")])
def test_the_last_check_is_told_as_long_as_there_are_checks(health: object, why: str) -> None:
    config = Config.model_validate({"backends": {"a": {"servers": [ONE], "health": health}}})
    shared_state = SharedState(config, 2)
    shared_state.shared_memory.write(MONITOR, shared_state.rows["a", ONE], layout.HEALTH, layout.UP)
    shared_state.shared_memory.write(
        MONITOR, shared_state.rows["a", ONE], layout.HEALTH_WHY, finding(Fault.REFUSED) | 1 << 32
    )
    assert listed(shared_state, config)[ONE]["why"] == why


def test_the_status_and_explain_have_the_same_words() -> None:
    """They had sentences of their own for the same state."""
    config = Config.model_validate({"backends": {"a": {"servers": [ONE, TWO]}}})
    shared_state = SharedState(config, 2)
    row = shared_state.rows["a", ONE]
    writer = CounterWriter(shared_state.shared_memory.cells, shared_state.shared_memory.rows * layout.ROW, MASTER)
    known = Known(writer, shared_state.rows.taken(), {}, b"k" * 32)
    head = RequestParser(100, 1000).parse(b"GET / HTTP/1.1\r\nHost: a")

    def words() -> tuple[str, str]:
        shown = server_view("a", config.backends["a"], head, known, time.monotonic_ns())["servers"]
        return listed(shared_state, config)[ONE]["why"], next(one["why"] for one in shown if one["server"] == ONE)

    shared_state.shared_memory.write(MASTER, row, layout.ADMIN, layout.DRAIN)
    assert words() == ("as an administrator wants",) * 2
    shared_state.shared_memory.write(MASTER, row, layout.ADMIN, 0)
    shared_state.shared_memory.write(MASTER, row, layout.ADMIN_WEIGHT, 1)
    assert words() == ("its weight is 0",) * 2
    shared_state.shared_memory.write(MASTER, row, layout.ADMIN_WEIGHT, 0)
    shared_state.shared_memory.write(MASTER, row, layout.EJECTED_UNTIL, time.monotonic_ns() - 1)
    shared_state.shared_memory.write(MASTER, row, layout.EJECTED_AT, 1)
    assert words() == ("was ejected: one request at a time, until one goes well",) * 2
