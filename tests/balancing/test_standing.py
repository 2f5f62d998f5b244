"""Who may be picked, and with which share: by what is known, at a time that the test decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from l7.balancing import cells, ejection
from l7.balancing.ejection import Reason
from l7.balancing.lane import Lane
from l7.balancing.members import Member, alone
from l7.balancing.standing import STEPS, Facts, Rules, Standing, Verdict, choose, facts, judge, last_resort
from l7.telemetry.ledger import CONTROL, FIRST_ROW, MASTER, Ledger

S = 1_000_000_000
NOW = 100 * S
CHECKED = Rules(checked=True)


def test_who_is_not_known_is_up() -> None:
    assert judge(Facts(), 3, Rules(), NOW) == Verdict(Standing.UP, 3)


@pytest.mark.parametrize(
    ("known", "rules", "standing"),
    [
        (Facts(), Rules(checked=True, starts_up=False), Standing.DOWN),
        (Facts(health=cells.UP), Rules(checked=True, starts_up=False), Standing.UP),
        (Facts(health=cells.DOWN), CHECKED, Standing.DOWN),
        (Facts(health=cells.DOWN), Rules(), Standing.UP),  # the checks were taken out of the configuration
        (Facts(ejected_until=NOW + 1), Rules(), Standing.EJECTED),
        (Facts(ejected_until=NOW), Rules(), Standing.UP),
        (Facts(health=cells.DOWN, ejected_until=NOW + 1), CHECKED, Standing.DOWN),
        (Facts(admin=cells.DRAIN, health=cells.DOWN), CHECKED, Standing.DRAIN),
        (Facts(admin=cells.MAINT, ejected_until=NOW + 1), Rules(), Standing.MAINT),
    ],
)
def test_an_administrator_is_above_checks_and_these_above_requests(
    known: Facts, rules: Rules, standing: Standing
) -> None:
    assert judge(known, 1, rules, NOW).standing is standing


def test_an_ejection_says_why_and_when_it_ends() -> None:
    why = ejection.why(Reason.REFUSED, count=3)
    verdict = judge(Facts(ejected_until=NOW + S, ejected_why=why), 1, Rules(), NOW)
    assert (verdict.why, verdict.again, verdict.pickable) == ("connect refused ×3", NOW + S, False)


def test_checks_that_find_a_server_again_end_its_ejection() -> None:
    ejected = Facts(ejected_at=NOW - S, ejected_until=NOW + 9 * S, health=cells.UP, health_since=NOW - 2 * S, falls=1)
    assert judge(ejected, 1, CHECKED, NOW).standing is Standing.EJECTED
    back = judge(replace(ejected, health_since=NOW), 1, CHECKED, NOW)
    assert (back.standing, back.trial) == (Standing.UP, False)
    never_down = replace(ejected, health_since=NOW, falls=0)
    assert judge(never_down, 1, CHECKED, NOW).standing is Standing.EJECTED, "a check that never failed proves nothing"


def test_after_an_ejection_a_server_is_on_trial_until_a_good_answer() -> None:
    known = Facts(ejected_at=NOW - 2 * S, ejected_until=NOW - S, ejected_good=7, good=7)
    assert judge(known, 1, Rules(), NOW).trial
    assert not judge(replace(known, good=8), 1, Rules(), NOW).trial


def test_an_administrator_sets_the_weight() -> None:
    assert judge(Facts(admin_weight=6), 1, Rules(), NOW).weight == 5
    zero = judge(Facts(admin_weight=1), 3, Rules(), NOW)
    assert (zero.weight, zero.pickable, zero.standing) == (0, False, Standing.UP)


def test_slow_start_goes_step_by_step() -> None:
    rules = Rules(checked=True, slow_start=10 * S)
    back = Facts(health=cells.UP, health_since=NOW, falls=1)
    steps = []
    now = NOW
    while True:
        verdict = judge(back, 1, rules, now)
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
        (Facts(health=cells.UP, health_since=NOW), STEPS),  # it was never down
        (Facts(ejected_until=NOW - 5 * S), 5),
        (Facts(admin_since=NOW - 3 * S), 3),
        (Facts(ejected_until=NOW - 20 * S), STEPS),
    ],
)
def test_who_starts_slowly(known: Facts, tenths: int) -> None:
    assert judge(known, 1, Rules(checked=True, slow_start=10 * S), NOW).tenths == tenths


# ------------------------------------------------------------------------------------------------------- choose


def server(standing: Standing = Standing.UP, weight: int = 1, *, backup: bool = False) -> Member:
    member = alone("a", weight, backup=backup)
    member.verdict = Verdict(standing, weight)
    return member


def states(*letters: str) -> list[Member]:
    """``u`` up, ``d`` down, ``e`` ejected, ``m`` maintenance, ``0`` weight 0, ``?`` unknown; capitals: backups."""
    kinds = {"u": Standing.UP, "d": Standing.DOWN, "e": Standing.EJECTED, "m": Standing.MAINT, "0": Standing.UP}
    kinds["?"] = Standing.DOWN
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
    verdict: Verdict
    backup: bool = False


def test_the_last_resort_is_in_order() -> None:
    up, ejected, down = (Verdict(one, 1) for one in (Standing.UP, Standing.EJECTED, Standing.DOWN))
    servers = [
        Spare("down backup", down, backup=True),
        Spare("down", down),
        Spare("not checked", replace(down, unknown=True)),
        Spare("ejected backup", ejected, backup=True),
        Spare("backup", up, backup=True),
        Spare("refuses", replace(ejected, unreachable=True)),
        Spare("ejected", ejected),
        Spare("maint", Verdict(Standing.MAINT, 1)),
        Spare("drain", Verdict(Standing.DRAIN, 1)),
        Spare("weight 0", replace(up, weight=0)),
        Spare("picked", up),
    ]
    assert [one.name for one in last_resort(servers, servers[-1:])] == [
        "ejected", "refuses", "backup", "ejected backup", "down", "not checked", "down backup",
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------------------- facts


def test_facts_come_from_the_lanes_of_those_who_know() -> None:
    ledger = Ledger(8, 5)
    for number in range(5):
        ledger.open(number)
    lane = Lane(ledger.cells, ledger.rows * cells.ROW, 2)
    row, name = FIRST_ROW + 1, FIRST_ROW
    ledger.write(CONTROL, row, cells.HEALTH, cells.DOWN)
    ledger.write(CONTROL, row, cells.FALLS, 2)
    ledger.write(3, row, cells.EJECTED_UNTIL, 50)
    ledger.write(3, row, cells.EJECTED_TIMES, 1)
    ledger.write(4, row, cells.EJECTED_UNTIL, 60)
    ledger.write(4, row, cells.EJECTED_TIMES, 2)
    for number in (2, 3, 4):
        ledger.write(number, row, cells.GOOD, number)
    ledger.write(MASTER, name, cells.ADMIN, cells.DRAIN)
    ledger.write(MASTER, name, cells.ADMIN_SINCE, 1)
    known = facts(lane, row)
    assert (known.health, known.falls, known.good) == (cells.DOWN, 2, 9)
    assert (known.ejected_until, known.ejected_times) == (60, 2)
    assert known.admin == 0
    assert facts(lane, row, parent=name).admin == cells.DRAIN, "what holds for a name holds for its addresses"
    ledger.write(MASTER, row, cells.ADMIN_SINCE, 2)
    assert facts(lane, row, parent=name).admin == 0, "until something else is said of an address"
