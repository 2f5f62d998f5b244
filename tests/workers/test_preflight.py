"""The look ahead of a reload: which backends have no server that takes a connection, within a bounded time."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from l7.balancing.dns_records import FoundAddress, NameAnswer
from l7.config.schema import Config
from l7.config.values.addresses import Address
from l7.sharedmem import layout
from l7.workers.transport import dial
from l7.workers.transport.stream import DeadlineSweeper
from l7.workers.upstream import preflight
from l7.workers.upstream.backend import BackendTable
from l7.workers.upstream.preflight import Preflight, PreflightSpec
from tests.harness.full_queue import full_queue
from tests.workers.loop import alone, other_lane, running, until

REFUSING = "127.0.0.1:9"


@pytest.fixture
def sweeper() -> Iterator[DeadlineSweeper]:
    with running() as sweeper:
        yield sweeper
        until(lambda: not sweeper.streams, "what was opened is closed again")


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def hanging() -> Iterator[str]:
    with full_queue() as address:
        yield address


def table(sweeper: DeadlineSweeper, backends: dict[str, list[Any]], **context: Any) -> BackendTable:
    config = Config.model_validate({"backends": {name: {"servers": servers} for name, servers in backends.items()}})
    known = alone(config, writers=4)
    return BackendTable(config, sweeper, type(known)(known.writer, known.rows, **context))


def look(
    sweeper: DeadlineSweeper,
    backends: dict[str, list[Any]],
    seconds: float = 10.0,
    leave: Event | None = None,
    **rest: Any,
) -> dict[str, str]:
    spec = PreflightSpec(seconds, tuple(backends))
    return dict(Preflight(spec, table(sweeper, backends, **rest)).run(leave or Event()))


def test_one_server_that_takes_a_connection_is_enough(sweeper: DeadlineSweeper, listening: str, tmp_path: Path) -> None:
    missing = f"unix:{tmp_path}/none"
    found = look(sweeper, {"a": [REFUSING, listening], "b": [REFUSING, missing], "c": [listening], "empty": []})
    assert found == {"b": f"{REFUSING}: connect refused, {missing}: connect: no such file or directory"}


def test_a_server_that_hangs_is_not_waited_for_longer_than_the_time(
    sweeper: DeadlineSweeper, listening: str, hanging: str
) -> None:
    began = time.monotonic()
    found = look(sweeper, {"a": [hanging], "b": [hanging, REFUSING], "c": [hanging, listening]}, 1.5)
    assert 1.5 <= time.monotonic() - began < 8.0
    assert set(found) == {"a", "b"}
    assert found["a"].startswith(f"{hanging}: connect timed out: no answer within ")


def test_nobody_is_waited_for_when_all_is_known(sweeper: DeadlineSweeper, listening: str, hanging: str) -> None:
    began = time.monotonic()
    assert look(sweeper, {"a": [hanging, listening], "b": [REFUSING]}, 20.0) == {"b": f"{REFUSING}: connect refused"}
    assert time.monotonic() - began < 15.0


def test_a_worker_that_is_to_leave_looks_no_longer(sweeper: DeadlineSweeper, hanging: str) -> None:
    leave = Event()
    gevent.spawn_later(0.05, leave.set)
    began = time.monotonic()
    assert look(sweeper, {"a": [hanging]}, 20.0, leave) == {}
    assert time.monotonic() - began < 15.0


def test_what_there_was_no_time_for_is_held_against_nobody(
    sweeper: DeadlineSweeper, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "AT_A_TIME", 2)
    assert set(look(sweeper, {name: [hanging] for name in "abcd"}, 1.5)) == {"a", "b"}


def test_all_backends_have_their_first_server_tried_before_any_its_second(
    sweeper: DeadlineSweeper, hanging: str, listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "AT_A_TIME", 1)
    assert set(look(sweeper, {"a": [REFUSING, hanging], "b": [REFUSING], "c": [listening]}, 1.5)) == {"a", "b"}


def test_a_name_is_looked_up(sweeper: DeadlineSweeper, listening: str) -> None:
    host, _, port = listening.partition(":")

    def look_up(address: Address) -> NameAnswer:
        known = address.host == "known"
        return NameAnswer((FoundAddress(host, int(port)),), 60.0) if known else NameAnswer((), why="no such name")

    found = look(sweeper, {"a": ["known:1"], "b": ["unknown"], "c": ["srv:_http._tcp.unknown"]}, look_up=look_up)
    assert found == {
        "b": "unknown:80: the name cannot be resolved: no such name",
        "c": "srv:_http._tcp.unknown: the name cannot be resolved: no such name",
    }


def test_servers_that_are_to_get_nothing_are_not_needed(sweeper: DeadlineSweeper) -> None:
    backends = {"a": [{"address": REFUSING, "weight": 0}], "b": [REFUSING]}
    upstreams = table(sweeper, backends)
    other_lane(0).put(upstreams["b"].members[0].at + layout.ADMIN, layout.MAINT)
    upstreams["b"].refresh(time.monotonic_ns())
    assert Preflight(PreflightSpec(5.0, ("a", "b")), upstreams).run(Event()) == []


def test_a_lack_of_our_own_is_held_against_nobody(sweeper: DeadlineSweeper, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise OSError(errno.EMFILE, "no descriptor")

    monkeypatch.setattr(dial, "Socket", lacking)
    assert look(sweeper, {"a": [REFUSING]}) == {}


def test_a_unix_socket_whose_queue_is_full_listens(sweeper: DeadlineSweeper, tmp_path: Path) -> None:
    with full_queue(f"{tmp_path}/full") as address:
        assert look(sweeper, {"a": [address]}, 0.3) == {}


def test_of_many_servers_five_are_named(sweeper: DeadlineSweeper) -> None:
    why = look(sweeper, {"a": [f"127.0.0.1:{port}" for port in range(1, 9)]})["a"]
    assert why.count("connect refused") == 5
    assert why.endswith(" and 3 more")
