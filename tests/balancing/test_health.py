"""Rise and fall, and what is said of a server that is down."""

from __future__ import annotations

import errno
import random

import pytest

from l7.balancing.health import HEALTHY, Fault, HealthState, HealthStatus, finding, words
from l7.config.sections.backends import Health

CHECK = Health(path="/healthz", body="ok", timeout="500ms", expect="200-299,304")  # type: ignore[arg-type]
REFUSED = finding(Fault.REFUSED)


def feed(verdict: HealthStatus, findings: str) -> str:
    """The states after each finding: ``+`` is good, ``-`` is bad; ``U``, ``D`` in the result."""
    states = ""
    for mark in findings:
        verdict.note(HEALTHY if mark == "+" else REFUSED)
        states += "U" if verdict.state is HealthState.UP else "D"
    return states


@pytest.mark.parametrize(
    ("findings", "states"),
    [
        ("+", "U"),
        ("-", "D"),
        ("+--+--+", "UUUUUUU"),
        ("+---", "UUUD"),
        ("+---+", "UUUDD"),
        ("+---++", "UUUDDU"),
        ("-+-+-++", "DDDDDDU"),
        ("+---++---++", "UUUDDUUUDDU"),
    ],
)
def test_rise_and_fall(findings: str, states: str) -> None:
    assert feed(HealthStatus(2, 3), findings) == states


def test_a_verdict_that_was_reached_before_is_gone_on_from() -> None:
    assert feed(HealthStatus(2, 3, HealthState.UP), "--+---") == "UUUUUD"
    assert feed(HealthStatus(2, 3, HealthState.DOWN), "+-++") == "DDDU"


def test_only_a_change_is_told() -> None:
    verdict = HealthStatus(1, 2)
    told = [verdict.note(found) for found in (HEALTHY, HEALTHY, REFUSED, REFUSED, REFUSED, HEALTHY)]
    assert told == [True, False, False, True, False, True]


def test_it_never_changes_without_rise_or_fall_findings_that_agree() -> None:
    draw = random.Random(6)
    for rise, fall in ((1, 1), (2, 3), (5, 2)):
        verdict, row, before = HealthStatus(rise, fall), 0, ""
        for count in range(500):
            mark = draw.choice("+-")
            row, before = (row + 1 if mark == before else 1), mark
            if verdict.note(HEALTHY if mark == "+" else REFUSED) and count:
                assert row >= (rise if mark == "+" else fall)
            assert verdict.state is not HealthState.UNKNOWN


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (finding(Fault.REFUSED), "connect refused"),
        (finding(Fault.UNREACHABLE, errno.EHOSTUNREACH), "connect: no route to host"),
        (finding(Fault.NO_CONNECTION), "no connection within 500ms"),
        (finding(Fault.NO_ANSWER), "no answer within 500ms"),
        (finding(Fault.CLOSED), "closed without an answer"),
        (finding(Fault.RESET), "connection reset"),
        (finding(Fault.INVALID), "invalid response"),
        (finding(Fault.STATUS, 503), "status 503, expected 200-299,304"),
        (finding(Fault.BODY), "the body lacks 'ok'"),
        (HEALTHY, "checks passed"),
    ],
)
def test_words(found: int, said: str) -> None:
    verdict = HealthStatus(2, 3)
    verdict.note(found)
    assert words(verdict.why, CHECK) == said
    verdict.note(found)
    verdict.note(found)
    assert words(verdict.why, CHECK) == f"{said} ×3"


def test_a_reason_counts_its_own_row_only() -> None:
    verdict = HealthStatus(2, 3)
    for found in (REFUSED, REFUSED, finding(Fault.STATUS, 500), finding(Fault.STATUS, 503)):
        verdict.note(found)
    assert words(verdict.why, CHECK) == "status 503, expected 200-299,304"


def test_a_reason_fits_into_a_cell() -> None:
    verdict = HealthStatus(2, 3, HealthState.DOWN, REFUSED | 0x7FFFFFFF << 32)
    verdict.note(REFUSED)
    assert verdict.why < 2**63
    assert words(verdict.why, CHECK) == "connect refused ×2147483647"


def test_one_that_is_down_and_found_well_is_returning() -> None:
    verdict = HealthStatus(2, 3, HealthState.DOWN)
    assert not verdict.returning
    verdict.note(finding(Fault.REFUSED))
    assert not verdict.returning
    verdict.note(HEALTHY)
    assert verdict.returning
    verdict.note(HEALTHY)
    assert not verdict.returning, "it is back"
