"""Rows of the shared memory belong to servers, whatever generation serves them."""

from __future__ import annotations

import errno

import pytest

from l7.balancing.dns_records import ResolvedEndpoint
from l7.config.schema import Config
from l7.master.state.rows import OutOfRowsError, RowAllocator, keys_of
from l7.master.state.shared_state import SharedMemoryOwner
from l7.networks import host_port
from l7.sharedmem import layout
from l7.sharedmem.memory import FIRST_ROW, LEAST_ROWS, MASTER, UNROUTED, SharedMemory


def config(**servers: list[str]) -> Config:
    return Config(backends={host: {"servers": addresses} for host, addresses in servers.items()})


@pytest.fixture
def shared_memory() -> SharedMemory:
    return SharedMemory()


def test_every_backend_and_server_has_a_row() -> None:
    shared_state = SharedMemoryOwner(config(a=["x:1", "y:2"], b=["x:1"]))
    taken = shared_state.rows.taken()
    assert set(taken) == {(), ("a",), ("a", "x:1"), ("a", "y:2"), ("b",), ("b", "x:1")}
    assert taken[()] == UNROUTED
    assert sorted(taken.values()) == [UNROUTED, *range(FIRST_ROW, FIRST_ROW + 5)]


def test_resolved_addresses_have_rows() -> None:
    resolved = {("a", "name:1"): [("192.0.2.1", 1, 0, -1), ("::1", 1, 0, -1)]}
    keys = set(keys_of(config(a=["name:1"]), resolved))
    assert keys == {("a",), ("a", "name:1"), ("a", "name:1", "192.0.2.1:1"), ("a", "name:1", "[::1]:1")}
    assert host_port("::1", 1) == "[::1]:1"


def test_a_server_that_stays_keeps_its_row() -> None:
    shared_state = SharedMemoryOwner(config(a=["x:1", "y:2"]))
    row = shared_state.rows["a", "y:2"]
    shared_state.extend(config(a=["z:3", "y:2"]))
    shared_state.settle([config(a=["z:3", "y:2"])])
    assert shared_state.rows["a", "y:2"] == row
    assert ("a", "x:1") not in shared_state.rows.taken()


def test_a_server_that_returns_finds_its_row(shared_memory: SharedMemory) -> None:
    rows = RowAllocator(shared_memory)
    rows.take([("a",), ("b",)])
    row = rows["a",]
    rows.keep([("b",)])
    rows.take([("c",), ("a",)])
    assert rows["a",] == row
    assert rows["c",] != row


def test_a_freed_row_is_given_away_last_and_cleared(
    shared_memory: SharedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("l7.master.state.rows.REUSED_FROM", FIRST_ROW + 4)
    monkeypatch.setattr("l7.master.state.rows.TIMES_USED", 1)
    rows, master = RowAllocator(shared_memory), shared_memory.writer(MASTER)
    rows.take([("a",), ("b",)])
    row = rows["a",]
    master.put(layout.place(row, layout.REQUESTS), 5)
    rows.keep([("b",)])
    rows.take([("c",), ("d",)])
    assert row not in (rows["c",], rows["d",])
    assert master.total(layout.place(row, layout.REQUESTS)) == 5
    rows.take([("e",)])
    assert rows["e",] == row
    assert master.total(layout.place(row, layout.REQUESTS)) == 0
    rows.take([("f",)])  # none is free: there are more
    assert rows["f",] == FIRST_ROW + 4


def test_all_rows_that_a_reload_reuses_are_cleared_in_one_go(
    shared_memory: SharedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To find what is written takes longer, the more there is: for each row of ten thousand that was minutes."""
    monkeypatch.setattr("l7.master.state.rows.REUSED_FROM", 0)
    monkeypatch.setattr("l7.master.state.rows.TIMES_USED", 0)
    rows, master, looks = RowAllocator(shared_memory), shared_memory.writer(MASTER), []
    before, after = [(f"a{number}",) for number in range(100)], [(f"b{number}",) for number in range(100)]
    rows.take(before)
    for key in before:
        master.put(layout.place(rows[key], layout.REQUESTS), 5)
    rows.keep([])
    written = shared_memory.written
    monkeypatch.setattr(shared_memory, "written", lambda: looks.append(1) or written())
    rows.take(after)
    assert max(rows.used()) < FIRST_ROW + 100
    assert {master.total(layout.place(rows[key], layout.REQUESTS)) for key in after} == {0}
    assert looks == [1]


def test_more_rows_are_mapped_when_they_are_given_away(shared_memory: SharedMemory) -> None:
    rows = RowAllocator(shared_memory)
    rows.take([(str(number),) for number in range(LEAST_ROWS)])
    assert shared_memory.rows == 2 * LEAST_ROWS
    last = rows[str(LEAST_ROWS - 1),]
    shared_memory.writer(MASTER).put(layout.place(last, layout.REQUESTS), 1)


def test_there_is_an_end_of_rows(shared_memory: SharedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l7.master.state.rows.MOST_ROWS", FIRST_ROW + 1)
    rows = RowAllocator(shared_memory)
    with pytest.raises(OutOfRowsError, match="more than 1 backends and servers"):
        rows.take([("a",), ("b",)])


def test_without_memory_for_a_row_it_is_said(shared_memory: SharedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = RowAllocator(shared_memory)
    rows.take([("a",)])

    def reserve(_rows: int) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(shared_memory, "reserve", reserve)
    with pytest.raises(OutOfRowsError, match="no memory for more than 2 backends and servers: Cannot allocate memory"):
        rows.take([("b",)])


def test_names_that_are_gone_are_forgotten() -> None:
    shared_state = SharedMemoryOwner(config(a=["x:1"]))
    shared_state.resolved["a", "x:1"] = [ResolvedEndpoint("192.0.2.1", 1, 9)]
    shared_state.settle([config(a=["x:1"])])
    assert shared_state.resolved
    shared_state.settle([config(a=["y:1"])])
    assert not shared_state.resolved


def test_the_lane_of_a_worker_that_is_gone_has_nothing_in_flight() -> None:
    shared_state = SharedMemoryOwner(config(a=["x:1"]))
    shared_state.open(1)
    row = shared_state.rows["a", "x:1"]
    shared_state.shared_memory.writer(shared_state.lane(1)).put(layout.place(row, layout.IN_FLIGHT), 3)
    shared_state.retire(1)
    assert shared_state.shared_memory.writer(MASTER).total(layout.place(row, layout.IN_FLIGHT)) == 0
