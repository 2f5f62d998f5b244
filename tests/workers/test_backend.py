"""A backend in one worker: its members come and go, and what others find out is taken over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from l7.balancing.dns_records import ResolvedEndpoint
from l7.balancing.routing import Match
from l7.balancing.server_state import ServerState
from l7.config.schema import Config
from l7.sharedmem import layout
from l7.workers.transport.stream import DeadlineSweeper
from l7.workers.upstream.backend import BackendRuntime, BackendTable
from l7.workers.upstream.context import BackendContext
from l7.workers.upstream.pool import ConnectionPool
from tests.workers.loop import Ends, alone, other_lane, running, turn

NAMED = {"servers": [{"address": "name:80", "weight": 3}, "127.0.0.1:1"]}


@pytest.fixture
def sweeper() -> Iterator[DeadlineSweeper]:
    with running() as sweeper:
        yield sweeper


def made(sweeper: DeadlineSweeper, **settings: object) -> tuple[BackendTable, BackendRuntime, BackendContext]:
    config = Config.model_validate({"backends": {"a": {**NAMED, **settings}}})
    context = alone(config, writers=4)
    upstreams = BackendTable(config, sweeper, context)
    return upstreams, upstreams["a"], context


def labels(upstream: BackendRuntime) -> list[str]:
    return [member.label for member in upstream.available]


def test_a_name_is_one_member_until_it_is_resolved(sweeper: DeadlineSweeper) -> None:
    upstreams, upstream, _ = made(sweeper)
    assert labels(upstream) == ["name:80", "127.0.0.1:1"]
    upstreams.set_members(
        "a", "name:80", [ResolvedEndpoint("192.0.2.1", 80, 40, -1), ResolvedEndpoint("192.0.2.2", 8080, 41, 5)]
    )
    assert labels(upstream) == ["192.0.2.1:80", "192.0.2.2:8080", "127.0.0.1:1"]
    assert [member.weight for member in upstream.members] == [3, 5, 1]
    upstreams.set_members("a", "other:80", [])
    upstreams.set_members("b", "name:80", [])
    assert len(upstream.members) == 3


def test_who_stays_goes_on_and_who_leaves_finishes(sweeper: DeadlineSweeper) -> None:
    upstreams, upstream, _ = made(sweeper)
    upstreams.set_members(
        "a", "name:80", [ResolvedEndpoint("192.0.2.1", 80, 40, -1), ResolvedEndpoint("192.0.2.2", 80, 41, -1)]
    )
    stays, leaves, _ = upstream.members
    leaves.begin()
    upstreams.set_members(
        "a", "name:80", [ResolvedEndpoint("192.0.2.1", 80, 40, -1), ResolvedEndpoint("192.0.2.3", 80, 42, -1)]
    )
    assert upstream.members[0] is stays
    assert labels(upstream) == ["192.0.2.1:80", "192.0.2.3:80", "127.0.0.1:1"]
    assert leaves.load() == 1
    upstream.release(leaves)
    assert leaves.load() == 0


def test_a_connection_to_who_has_left_is_not_kept(ends: Ends) -> None:
    upstreams, upstream, _ = made(ends.sweeper)
    upstreams.set_members("a", "name:80", [ResolvedEndpoint("192.0.2.1", 80, 40, -1)])
    pool: ConnectionPool = upstream.members[0].pool
    idle, _ = ends.pair(server=True)
    used, _ = ends.pair(server=True)
    pool.check_in(idle)
    upstreams.set_members("a", "name:80", [ResolvedEndpoint("192.0.2.2", 80, 41, -1)])
    assert idle.closed
    pool.check_in(used)
    assert used.closed
    turn()


def test_a_service_is_one_member_until_it_is_resolved(sweeper: DeadlineSweeper) -> None:
    upstreams, upstream, _ = made(sweeper, servers=["srv:_http._tcp.example.com"])
    assert labels(upstream) == ["srv:_http._tcp.example.com"]
    upstreams.set_members("a", "srv:_http._tcp.example.com", [ResolvedEndpoint("192.0.2.1", 80, 40, 2)])
    assert labels(upstream) == ["192.0.2.1:80"]


def test_what_is_resolved_at_the_start_is_used_at_once(sweeper: DeadlineSweeper) -> None:
    config = Config.model_validate({"backends": {"a": NAMED}})
    context = alone(config)
    resolved = {("a", "name:80"): [ResolvedEndpoint("192.0.2.1", 80, 40, -1)]}
    upstream = BackendTable(config, sweeper, BackendContext(context.writer, context.rows, resolved))["a"]
    assert labels(upstream) == ["192.0.2.1:80", "127.0.0.1:1"]


def test_an_address_that_is_written_twice_has_both_weights(sweeper: DeadlineSweeper) -> None:
    _, upstream, _ = made(sweeper, servers=["b:1", "c:1", {"address": "b:1", "weight": 2}])
    assert [(member.label, member.weight) for member in upstream.members] == [("b:1", 3), ("c:1", 1)]


def test_what_others_find_out_is_noticed_with_the_next_tick(sweeper: DeadlineSweeper) -> None:
    upstreams, upstream, context = made(sweeper, health={"path": "/"})
    row = context.rows["a", "127.0.0.1:1"]
    control = other_lane(1)
    control.put(layout.place(row, layout.HEALTH), layout.DOWN)
    upstreams.tick()
    assert labels(upstream) == ["name:80", "127.0.0.1:1"], "nobody has said that anything changed"
    control.changed(row)
    upstreams.tick()
    assert labels(upstream) == ["name:80"]
    assert upstream.members[1].verdict.state is ServerState.DOWN


def test_only_what_was_changed_is_looked_at_again(sweeper: DeadlineSweeper) -> None:
    config = Config.model_validate({"backends": {name: {"servers": ["127.0.0.1:1"]} for name in "abc"}})
    context = alone(config)
    upstreams = BackendTable(config, sweeper, context)
    before = {route: upstreams[route].available for route in "abc"}
    control = other_lane(0)
    row = context.rows["b", "127.0.0.1:1"]
    for name in "abc":
        control.put(layout.place(context.rows[name, "127.0.0.1:1"], layout.ADMIN), layout.MAINT)
    control.changed(row)
    upstreams.tick()
    assert {route for route in "abc" if upstreams[route].available != before[route]} == {"b"}
    for _ in range(layout.REMEMBERED + 1):
        control.changed(row)
    upstreams.tick()
    assert {route for route in "abc" if upstreams[route].available != before[route]} == set("abc")


def test_a_backend_is_made_when_it_is_asked_for_and_knows_what_came_before(sweeper: DeadlineSweeper) -> None:
    config = Config.model_validate({"backends": dict.fromkeys("abc", NAMED)})
    upstreams = BackendTable(config, sweeper, alone(config))
    upstreams.set_members("a", "name:80", [ResolvedEndpoint("192.0.2.1", 80, 40, -1)])
    assert not upstreams._made
    match = Match("a", "a", "", None)
    upstream = upstreams.of(match)
    assert labels(upstream) == ["192.0.2.1:80", "127.0.0.1:1"]
    assert match.payload is upstream is upstreams["a"]
    assert list(upstreams._made) == ["a"]
    with pytest.raises(KeyError):
        upstreams["d"]
