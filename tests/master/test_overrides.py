"""Orders about servers: found, written, kept over reloads, handed down."""

from __future__ import annotations

from typing import Any

import pytest

from l7.config.schema import Config
from l7.ipc.requests import ServerRequest
from l7.master.state.overrides import ServerOverrides
from l7.master.state.shared_state import SharedMemoryOwner
from l7.sharedmem import layout
from l7.sharedmem.memory import MASTER
from l7.telemetry.events import Events

ONE, TWO, NAME = "127.0.0.1:8081", "127.0.0.1:8082", "app.test:8080"


def config(*servers: str) -> Config:
    return Config(backends={"a.example": {"servers": list(servers)}, "b.example/api": {"servers": [ONE]}})


@pytest.fixture
def shared_state() -> SharedMemoryOwner:
    shared_state = SharedMemoryOwner(config(ONE, TWO, NAME))
    shared_state.resolve(("a.example", NAME), [["10.0.0.1", 8080, -1], ["10.0.0.2", 8080, -1]])
    return shared_state


@pytest.fixture
def control_server(shared_state: SharedMemoryOwner) -> ServerOverrides:
    return ServerOverrides(shared_state, Events("error"))


def order(
    control_server: ServerOverrides, host: str, address: str, want: str, weight: str | int | None = None
) -> dict[str, Any]:
    return control_server.answer(ServerRequest(host, address, want, weight))


def read(shared_state: SharedMemoryOwner, *key: str) -> tuple[int, int]:
    row = shared_state.rows[key]
    return shared_state.shared_memory.writer(MASTER).read(
        MASTER, layout.place(row, layout.ADMIN)
    ), shared_state.shared_memory.writer(MASTER).read(MASTER, layout.place(row, layout.ADMIN_WEIGHT))


def test_states_and_weights_are_written_and_readers_told(
    shared_state: SharedMemoryOwner, control_server: ServerOverrides
) -> None:
    seen = []
    for want, weight, written in (
        ("drain", None, (layout.DRAIN, 0)),
        ("weight", 10, (layout.DRAIN, 11)),
        ("maint", None, (layout.MAINT, 11)),
        ("ready", None, (0, 11)),
        ("weight", "0", (0, 1)),
        ("weight", "default", (0, 0)),
    ):
        assert order(control_server, "a.example", ONE, want, weight)["ok"]
        assert read(shared_state, "a.example", ONE) == written
        seen.append(shared_state.shared_memory.writer(MASTER).read(MASTER, layout.place(0, layout.CHANGES)))
    assert len(set(seen)) == len(seen)
    assert read(shared_state, "a.example", TWO) == (0, 0)
    assert read(shared_state, "b.example/api", ONE) == (0, 0)


@pytest.mark.parametrize("host", ["a.example", "A.Example.", "b.example/api/"])
@pytest.mark.parametrize("address", [ONE, f"http://{ONE}", f"//{ONE}/"])
def test_servers_are_found_however_they_are_written(control_server: ServerOverrides, host: str, address: str) -> None:
    (server,) = order(control_server, host, address, "drain")["servers"]
    assert server["server"] == ONE
    assert server["state"] == "drain"


def test_a_name_and_one_of_its_addresses(shared_state: SharedMemoryOwner, control_server: ServerOverrides) -> None:
    order(control_server, "a.example", NAME, "drain")
    order(control_server, "a.example", "10.0.0.2:8080", "maint")
    assert read(shared_state, "a.example", NAME)[0] == layout.DRAIN
    assert read(shared_state, "a.example", NAME, "10.0.0.1:8080")[0] == 0
    assert read(shared_state, "a.example", NAME, "10.0.0.2:8080")[0] == layout.MAINT


def since(shared_state: SharedMemoryOwner, *key: str) -> int:
    return shared_state.shared_memory.writer(MASTER).read(
        MASTER, layout.place(shared_state.rows[key], layout.ADMIN_SINCE)
    )


def test_a_server_is_back_only_when_it_was_away(
    shared_state: SharedMemoryOwner, control_server: ServerOverrides
) -> None:
    order(control_server, "a.example", ONE, "weight", 10)
    order(control_server, "a.example", ONE, "ready")
    assert since(shared_state, "a.example", ONE) == 0  # or its slow start would begin
    order(control_server, "a.example", ONE, "drain")
    drained = since(shared_state, "a.example", ONE)
    order(control_server, "a.example", ONE, "weight", 5)
    assert since(shared_state, "a.example", ONE) == drained > 0
    order(control_server, "a.example", ONE, "ready")
    assert since(shared_state, "a.example", ONE) > drained


def test_of_a_name_and_an_address_what_was_said_last_counts(
    shared_state: SharedMemoryOwner, control_server: ServerOverrides
) -> None:
    address = ("a.example", NAME, "10.0.0.2:8080")
    order(control_server, "a.example", NAME, "drain")
    order(control_server, "a.example", address[2], "weight", 5)
    assert since(shared_state, *address) < since(shared_state, "a.example", NAME)
    order(control_server, "a.example", address[2], "ready")
    assert since(shared_state, *address) > since(shared_state, "a.example", NAME)
    order(control_server, "a.example", NAME, "drain")
    assert since(shared_state, *address) < since(shared_state, "a.example", NAME)
    order(control_server, "a.example", NAME, "weight", 2)
    assert read(shared_state, "a.example", NAME)[1] == 3
    assert read(shared_state, *address)[1] == 0


def test_what_is_in_flight_is_told(shared_state: SharedMemoryOwner, control_server: ServerOverrides) -> None:
    for writer, key in ((2, ("a.example", NAME, "10.0.0.1:8080")), (3, ("a.example", NAME, "10.0.0.2:8080"))):
        shared_state.shared_memory.open(writer)
        shared_state.shared_memory.writer(writer).put(layout.place(shared_state.rows[key], layout.IN_FLIGHT), writer)
    assert order(control_server, "a.example", NAME, "drain")["servers"][0]["in-flight"] == 5
    assert order(control_server, "a.example", "10.0.0.2:8080", "drain")["servers"][0]["in-flight"] == 3


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
    control_server: ServerOverrides, host: str, address: str, want: str, weight: object, why: str
) -> None:
    answer = order(control_server, host, address, want, weight)
    assert not answer["ok"]
    assert why in answer["reasons"][0]
    assert control_server.lines() == []


def test_orders_hold_over_reloads_and_end_with_the_server(
    shared_state: SharedMemoryOwner, control_server: ServerOverrides
) -> None:
    order(control_server, "a.example", ONE, "drain")
    order(control_server, "a.example", "10.0.0.2:8080", "weight", 7)
    for servers in ((ONE, NAME), (NAME, ONE, TWO)):
        shared_state.extend(config(*servers))
        shared_state.settle([config(*servers)])
        control_server.settle()
        assert read(shared_state, "a.example", ONE)[0] == layout.DRAIN
    shared_state.resolve(("a.example", NAME), [["10.0.0.3", 8080, -1]])
    control_server.settle()
    assert len(control_server.lines()) == 2, "its server is still there"
    shared_state.resolve(("a.example", NAME), [["10.0.0.2", 8080, -1]])
    control_server.renew()
    assert read(shared_state, "a.example", NAME, "10.0.0.2:8080")[1] == 8, "an address that comes back"
    shared_state.settle([config(TWO)])
    control_server.settle()
    assert control_server.lines() == []
    shared_state.extend(config(ONE, TWO))
    assert read(shared_state, "a.example", ONE) == (0, 0), "one that is added again is ready"


def test_orders_are_shown_and_handed_down(shared_state: SharedMemoryOwner, control_server: ServerOverrides) -> None:
    order(control_server, "a.example", ONE, "maint")
    order(control_server, "a.example", "10.0.0.2:8080", "weight", 7)
    order(control_server, "a.example", TWO, "ready")
    lines = [
        "server a.example 127.0.0.1:8081: maint, as an administrator wants",
        "server a.example app.test:8080 at 10.0.0.2:8080: ready, weight 7, as an administrator wants",
    ]
    assert control_server.lines() == lines
    others = SharedMemoryOwner(config(TWO, ONE, NAME))
    heir = ServerOverrides(others, Events("error"))
    heir.adopt(control_server.plain())
    assert heir.lines() == lines
    assert read(others, "a.example", ONE) == (layout.MAINT, 0)
    others.resolve(("a.example", NAME), [["10.0.0.2", 8080, -1]])
    heir.renew()
    assert read(others, "a.example", NAME, "10.0.0.2:8080") == (0, 8)
