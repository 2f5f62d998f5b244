"""Who may be picked, and with which share: by what is known, at a time that the test decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from l7.balancing import ejection
from l7.balancing.ejection import EjectionReason
from l7.balancing.members import Member, alone
from l7.balancing.server_state import (
    STEPS,
    ServerRecord,
    ServerState,
    ServerStatus,
    StateRules,
    choose,
    evaluate,
    last_resort,
    read_record,
)
from l7.sharedmem import layout
from l7.sharedmem.memory import FIRST_ROW, MASTER, MONITOR, SharedMemory

S = 1_000_000_000
NOW = 100 * S
CHECKED = StateRules(checked=True)


def test_who_is_not_known_is_up() -> None:
    assert evaluate(ServerRecord(), 3, StateRules(), NOW) == ServerStatus(ServerState.UP, 3)


@pytest.mark.parametrize(
    ("known", "rules", "state"),
    [
        (ServerRecord(), StateRules(checked=True, starts_up=False), ServerState.DOWN),
        (ServerRecord(health=layout.UP), StateRules(checked=True, starts_up=False), ServerState.UP),
        (ServerRecord(health=layout.DOWN), CHECKED, ServerState.DOWN),
        (
            ServerRecord(health=layout.DOWN),
            StateRules(),
            ServerState.UP,
        ),  # the checks were taken out of the configuration
        (ServerRecord(ejected_until=NOW + 1), StateRules(), ServerState.EJECTED),
        (ServerRecord(ejected_until=NOW), StateRules(), ServerState.UP),
        (ServerRecord(health=layout.DOWN, ejected_until=NOW + 1), CHECKED, ServerState.DOWN),
        (ServerRecord(admin=layout.DRAIN, health=layout.DOWN), CHECKED, ServerState.DRAIN),
        (ServerRecord(admin=layout.MAINT, ejected_until=NOW + 1), StateRules(), ServerState.MAINT),
    ],
)
def test_an_administrator_is_above_checks_and_these_above_requests(
    known: ServerRecord, rules: StateRules, state: ServerState
) -> None:
    assert evaluate(known, 1, rules, NOW).state is state


def test_an_ejection_says_why_and_when_it_ends() -> None:
    why = ejection.why(EjectionReason.REFUSED, count=3)
    verdict = evaluate(ServerRecord(ejected_until=NOW + S, ejected_why=why), 1, StateRules(), NOW)
    assert (verdict.why, verdict.again, verdict.pickable) == ("connect refused ×3", NOW + S, False)


def test_checks_that_find_a_server_again_end_its_ejection() -> None:
    ejected = ServerRecord(
        ejected_at=NOW - S, ejected_until=NOW + 9 * S, health=layout.UP, health_since=NOW - 2 * S, falls=1
    )
    assert evaluate(ejected, 1, CHECKED, NOW).state is ServerState.EJECTED
    back = evaluate(replace(ejected, health_since=NOW), 1, CHECKED, NOW)
    assert (back.state, back.half_open) == (ServerState.UP, False)
    never_down = replace(ejected, health_since=NOW, falls=0)
    assert evaluate(never_down, 1, CHECKED, NOW).state is ServerState.EJECTED, (
        "a check that never failed proves nothing"
    )


def test_after_an_ejection_a_server_is_on_trial_until_a_good_answer() -> None:
    known = ServerRecord(ejected_at=NOW - 2 * S, ejected_until=NOW - S, ejected_good=7, good=7)
    assert evaluate(known, 1, StateRules(), NOW).half_open
    assert not evaluate(replace(known, good=8), 1, StateRules(), NOW).half_open


def test_an_administrator_sets_the_weight() -> None:
    assert evaluate(ServerRecord(admin_weight=6), 1, StateRules(), NOW).weight == 5
    zero = evaluate(ServerRecord(admin_weight=1), 3, StateRules(), NOW)
    assert (zero.weight, zero.pickable, zero.state) == (0, False, ServerState.UP)


def test_slow_start_goes_step_by_step() -> None:
    rules = StateRules(checked=True, slow_start=10 * S)
    back = ServerRecord(health=layout.UP, health_since=NOW, falls=1)
    steps = []
    now = NOW
    while True:
        verdict = evaluate(back, 1, rules, now)
        steps.append(verdict.tenths)
        if not verdict.again:
            break
        assert verdict.again > now
        now = verdict.again
    assert steps == [1, 2, 3, 4, 5, 6, 7, 8, 9, STEPS]
    assert now == NOW + 10 * S


@pytest.mark.parametrize(
    ("known", "tenths"),
    [
        (ServerRecord(health=layout.UP, health_since=NOW), STEPS),  # it was never down
        (ServerRecord(ejected_until=NOW - 5 * S), 5),
        (ServerRecord(admin_since=NOW - 3 * S), 3),
        (ServerRecord(ejected_until=NOW - 20 * S), STEPS),
    ],
)
def test_who_starts_slowly(known: ServerRecord, tenths: int) -> None:
    assert evaluate(known, 1, StateRules(checked=True, slow_start=10 * S), NOW).tenths == tenths


# ------------------------------------------------------------------------------------------------------- choose


def server(state: ServerState = ServerState.UP, weight: int = 1, *, backup: bool = False) -> Member:
    member = alone("a", weight, backup=backup)
    member.verdict = ServerStatus(state, weight)
    return member


def states(*letters: str) -> list[Member]:
    """``u`` up, ``d`` down, ``e`` ejected, ``m`` maintenance, ``0`` weight 0, ``?`` unknown; capitals: backups."""
    kinds = {
        "u": ServerState.UP,
        "d": ServerState.DOWN,
        "e": ServerState.EJECTED,
        "m": ServerState.MAINT,
        "0": ServerState.UP,
    }
    kinds["?"] = ServerState.DOWN
    made = [server(kinds[one.lower()], int(one != "0"), backup=one.isupper()) for one in letters]
    for member, one in zip(made, letters, strict=True):
        if one == "?":
            member.verdict = replace(member.verdict, unknown=True)
    return made


@pytest.mark.parametrize(
    ("letters", "panic", "chosen"),
    [
        ("", 0.25, []),
        ("uu", 0.25, [0, 1]),
        ("ud", 0.25, [0]),
        ("um0", 0.25, [0]),
        ("uuU", 0.25, [0, 1]),
        ("deU", 0.25, [2]),
        ("deUD", 0.25, [2]),
        ("uddd", 0.25, [0]),
        ("udddd", 0.25, [0, 1, 2, 3, 4]),
        ("udddd0m", 0.25, [0, 1, 2, 3, 4]),
        ("udddd", 0.0, [0]),
        ("uddddU", 0.0, [0]),
        ("uddddU", 0.25, [0, 5]),
        ("uddddUD", 0.25, [0, 5]),
        ("uddddD", 0.25, [0, 1, 2, 3, 4]),
        ("uddddU", 0.5, [0, 1, 2, 3, 4, 5]),
        ("dd", 0.25, [0, 1]),
        ("ddD", 0.25, [0, 1]),
        ("dd", 0.0, []),
        ("de", 0.0, [1]),
        ("mmD", 0.25, [2]),
        ("mm", 1.0, []),
        ("0m", 1.0, []),
        ("ud", 1.0, [0, 1]),
        ("??", 1.0, []),
        ("u??", 1.0, [0]),
    ],
)
def test_who_is_chosen(letters: str, panic: float, chosen: list[int]) -> None:
    servers = states(*letters)
    assert [servers.index(one) for one in choose(servers, panic)] == chosen


@dataclass
class Spare:
    """A server as `last_resort` sees it."""

    name: str
    verdict: ServerStatus
    backup: bool = False


def test_the_last_resort_is_in_order() -> None:
    up, ejected, down = (ServerStatus(one, 1) for one in (ServerState.UP, ServerState.EJECTED, ServerState.DOWN))
    servers = [
        Spare("down backup", down, backup=True),
        Spare("down", down),
        Spare("not checked", replace(down, unknown=True)),
        Spare("ejected backup", ejected, backup=True),
        Spare("backup", up, backup=True),
        Spare("refuses", replace(ejected, unreachable=True)),
        Spare("ejected", ejected),
        Spare("maint", ServerStatus(ServerState.MAINT, 1)),
        Spare("drain", ServerStatus(ServerState.DRAIN, 1)),
        Spare("weight 0", replace(up, weight=0)),
        Spare("picked", up),
    ]
    assert [one.name for one in last_resort(servers, servers[-1:])] == [
        "ejected", "refuses", "backup", "ejected backup", "down", "not checked", "down backup",
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------------------- facts


def test_facts_come_from_the_lanes_of_those_who_know() -> None:
    shared_memory = SharedMemory()
    for number in range(5):
        shared_memory.open(number)
    writer = shared_memory.writer(2)
    row, name = FIRST_ROW + 1, FIRST_ROW
    shared_memory.writer(MONITOR).put(layout.place(row, layout.HEALTH), layout.DOWN)
    shared_memory.writer(MONITOR).put(layout.place(row, layout.FALLS), 2)
    shared_memory.writer(3).put(layout.place(row, layout.EJECTED_UNTIL), 50)
    shared_memory.writer(3).put(layout.place(row, layout.EJECTED_TIMES), 1)
    shared_memory.writer(4).put(layout.place(row, layout.EJECTED_UNTIL), 60)
    shared_memory.writer(4).put(layout.place(row, layout.EJECTED_TIMES), 2)
    for number in (2, 3, 4):
        shared_memory.writer(number).put(layout.place(row, layout.GOOD), number)
    shared_memory.writer(MASTER).put(layout.place(name, layout.ADMIN), layout.DRAIN)
    shared_memory.writer(MASTER).put(layout.place(name, layout.ADMIN_SINCE), 1)
    known = read_record(writer, row)
    assert (known.health, known.falls, known.good) == (layout.DOWN, 2, 9)
    assert (known.ejected_until, known.ejected_times) == (60, 2)
    assert known.admin == 0
    assert read_record(writer, row, parent=name).admin == layout.DRAIN, "what holds for a name holds for its addresses"
    shared_memory.writer(MASTER).put(layout.place(row, layout.ADMIN_SINCE), 2)
    assert read_record(writer, row, parent=name).admin == 0, "until something else is said of an address"
