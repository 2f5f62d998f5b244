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
from l7.master.control.status import refused
from l7.master.state.server_entries import has_usable_server
from l7.master.state.shared_state import SharedMemoryOwner
from l7.sharedmem import layout
from l7.sharedmem.memory import FIRST_WORKER, MASTER, MONITOR, UNROUTED

ONE, TWO = "127.0.0.1:8081", "127.0.0.1:8082"
SERVICE = "srv:_http._tcp.example"


def listed(shared_state: SharedMemoryOwner, config: Config) -> dict[str, dict[str, Any]]:
    """Every entry by its server; each server is there once."""
    entries = list(table(config, shared_state))
    found = {entry["server"]: entry for entry in entries}
    assert len(found) == len(entries)
    return found


def test_a_server_that_is_written_twice_has_the_weight_of_both() -> None:
    servers: list[Any] = [ONE, TWO, {"address": ONE, "weight": 3}, SERVICE, SERVICE]
    config = Config.model_validate({"backends": {"a": {"servers": servers}}})
    found = listed(SharedMemoryOwner(config), config)
    assert {server: entry["weight"] for server, entry in found.items()} == {ONE: 4, TWO: 1, SERVICE: 2}


def test_what_rules_have_refused_is_summed_over_workers() -> None:
    config = Config.model_validate({"backends": {"a": {"servers": [ONE]}, "b/x": {"servers": [ONE]}}})
    shared_state = SharedMemoryOwner(config)
    users, rate_limit = map(layout.RULES.index, ("users", "rate-limit"))
    told = [(shared_state.rows["b/x",], rate_limit, 3), (shared_state.rows["b/x",], users, 1), (UNROUTED, users, 2)]
    for lane in (FIRST_WORKER, FIRST_WORKER + 1):
        shared_state.open(lane - FIRST_WORKER)
        for row, rule, count in told:
            shared_state.shared_memory.writer(lane).add(layout.place(row, layout.REFUSED + rule), count)
    assert [one for one in refused(config, shared_state) if one is not None] == [
        {"backend": "b/x", "rule": "rate-limit", "requests": 6},
        {"backend": "b/x", "rule": "users", "requests": 2},
        {"backend": "-", "rule": "users", "requests": 4},
    ]


@pytest.mark.parametrize(("health", "why"), [({}, "last check: connect refused"), ("off", "")])
def test_the_last_check_is_told_as_long_as_there_are_checks(health: object, why: str) -> None:
    config = Config.model_validate({"backends": {"a": {"servers": [ONE], "health": health}}})
    shared_state = SharedMemoryOwner(config)
    shared_state.shared_memory.writer(MONITOR).put(layout.place(shared_state.rows["a", ONE], layout.HEALTH), layout.UP)
    shared_state.shared_memory.writer(MONITOR).put(
        layout.place(shared_state.rows["a", ONE], layout.HEALTH_WHY), finding(Fault.REFUSED) | 1 << 32
    )
    assert listed(shared_state, config)[ONE]["why"] == why


def test_a_backend_has_a_usable_server_where_one_is_up_that_takes_connections() -> None:
    backends: dict[str, Any] = {"a": {"servers": [ONE], "health": {}}, "name": {"servers": ["app:80"]}}
    backends |= {"none": {"servers": []}, "zero": {"servers": [{"address": ONE, "weight": 0}]}}
    backends |= {"srv": {"servers": [SERVICE]}}
    config = Config.model_validate({"backends": backends})
    shared_state = SharedMemoryOwner(config)
    shared_state.open(0)
    memory, row, now = shared_state.shared_memory, shared_state.rows["a", ONE], time.monotonic_ns()

    def works(route: str) -> bool:
        return has_usable_server(route, config, shared_state)

    def writes(writer: int, cell: int, value: int) -> bool:
        memory.writer(writer).put(layout.place(row, cell), value)
        return works("a")

    assert [works(route) for route in ("a", "name", "srv", "none", "zero", "unknown")] == [True, True, *[False] * 4]
    assert not writes(MONITOR, layout.HEALTH, layout.DOWN)
    assert writes(MONITOR, layout.HEALTH, layout.UP)
    assert not writes(FIRST_WORKER, layout.UNREACHED_AT, now)
    assert writes(MONITOR, layout.REACHED_AT, now + 1)
    assert not writes(MASTER, layout.ADMIN, layout.MAINT)
    assert writes(MASTER, layout.ADMIN, 0)
    memory.writer(FIRST_WORKER).put(layout.place(row, layout.EJECTED_AT), now)
    assert not writes(FIRST_WORKER, layout.EJECTED_UNTIL, now + 10**12)
    shared_state.unresolved["name", "app:80"] = "no such name"
    assert not works("name")
    shared_state.resolve(("name", "app:80"), [("192.0.2.1", 80)])
    assert works("name"), "the last answer stays"


def test_the_status_and_explain_have_the_same_words() -> None:
    """They had sentences of their own for the same state."""
    config = Config.model_validate({"backends": {"a": {"servers": [ONE, TWO]}}})
    shared_state = SharedMemoryOwner(config)
    row = shared_state.rows["a", ONE]
    writer = shared_state.shared_memory.writer(MASTER)
    known = Known(writer, shared_state.rows.taken(), {}, b"k" * 32)
    head = RequestParser(100, 1000).parse(b"GET / HTTP/1.1\r\nHost: a")

    def words() -> tuple[str, str]:
        shown = server_view("a", config.backends["a"], head, known, time.monotonic_ns())["servers"]
        return listed(shared_state, config)[ONE]["why"], next(one["why"] for one in shown if one["server"] == ONE)

    shared_state.shared_memory.writer(MASTER).put(layout.place(row, layout.ADMIN), layout.DRAIN)
    assert words() == ("as an administrator wants",) * 2
    shared_state.shared_memory.writer(MASTER).put(layout.place(row, layout.ADMIN), 0)
    shared_state.shared_memory.writer(MASTER).put(layout.place(row, layout.ADMIN_WEIGHT), 1)
    assert words() == ("its weight is 0",) * 2
    shared_state.shared_memory.writer(MASTER).put(layout.place(row, layout.ADMIN_WEIGHT), 0)
    shared_state.shared_memory.writer(MASTER).put(layout.place(row, layout.EJECTED_UNTIL), time.monotonic_ns() - 1)
    shared_state.shared_memory.writer(MASTER).put(layout.place(row, layout.EJECTED_AT), 1)
    assert words() == ("was ejected: one request at a time, until one goes well",) * 2
