"""A recorded request as a story: who reads it learns where the time went, who ended it, and where to look."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from l7.errors import FAILURES, Kind
from l7.telemetry.recorder.records import Attempt, RequestRecord
from l7.telemetry.stories.advice import ended_by, next_look
from l7.telemetry.stories.phases import phases
from l7.telemetry.stories.request_story import WIDTH, story, time_line
from l7.telemetry.stories.times import lasted, moment

FIRST = Attempt("10.0.0.1:80", ("round-robin",), 2, 3, 0.5, None, None, None, 1.0, "connection refused")
SECOND = Attempt("10.0.0.2:80", ("round-robin", "retry"), 1, 3, 1.0, 0.5, 0.0, 1.5, None, "")
PLAIN = RequestRecord(
    request_id="ab" * 16, started=1_700_000_000.25, client="192.0.2.1", host="a.com", method="GET", target="/x?y=…",
    version="HTTP/1.1", route="a.com", policy="round-robin", port=443, tls="1.3", queue=0.25, total=4.0, received=0,
    sent=100, status=200, code="--", failure="", reason="", worker=2, generation=3, connection=4, nth=5,
    attempts=(FIRST, SECOND), tried=2, died=False, under_way=False,
)  # fmt: skip
NOWHERE = replace(PLAIN, attempts=(), tried=0, queue=0.0, status=408, failure="too slow, say")
"""It came to no server."""


def test_the_phases_are_the_whole_time() -> None:
    found = [(one.name, one.begin, one.end) for one in phases(PLAIN)]
    assert found == [
        ("read, checked, routed", 0.0, 0.25),
        ("waited for a server", 0.25, 0.5),
        ("connect to 10.0.0.1:80", 0.5, 1.0),
        ("connect to 10.0.0.2:80", 1.0, 1.5),
        ("wait for 10.0.0.2:80", 1.5, 3.0),
        ("answer to the client", 3.0, 4.0),
    ]
    assert phases(PLAIN)[2].note == "connection refused"


def test_a_wait_between_attempts_is_not_one_before_them() -> None:
    later = replace(PLAIN, queue=2.0, total=6.0, attempts=(FIRST, replace(SECOND, began=3.0)))
    assert [(one.name, one.begin, one.end) for one in phases(later)][:3] == [
        ("read, checked, routed", 0.0, 0.5),
        ("connect to 10.0.0.1:80", 0.5, 1.0),
        ("waited for a server", 1.0, 3.0),
    ]


def test_one_that_waits_after_its_last_attempt_ends_with_the_wait() -> None:
    failed = replace(PLAIN, queue=3.0, attempts=(FIRST,), tried=1, status=502, code="SC", failure="connection refused")
    assert [(one.name, one.begin, one.end) for one in phases(failed)][-1] == ("waited for a server", 1.0, 4.0)


SLOWLY = replace(SECOND, began=0.5, sending=1.0, first_byte=0.5)


@pytest.mark.parametrize(
    ("record", "names"),
    [
        # A body that the client, or the server, was slow with is no wait for the server's answer.
        (replace(PLAIN, attempts=(SLOWLY,)), ["send to 10.0.0.2:80", "wait for 10.0.0.2:80", "answer to the client"]),
        (
            replace(
                PLAIN,
                attempts=(
                    replace(SLOWLY, sending=None, first_byte=None, failed_at=4.0, failure="request body too slow"),
                ),
            ),
            ["send to 10.0.0.2:80"],
        ),
        # Nothing can be answered any more where an answer has begun, and to nobody who has left.
        (
            replace(PLAIN, code="SD", attempts=(replace(SLOWLY, failed_at=3.5, failure="response cut short"),)),
            ["wait for 10.0.0.2:80", "answer to the client", "closed by l7"],
        ),
        (
            replace(PLAIN, status=499, code="CH", attempts=(replace(SLOWLY, first_byte=None, failed_at=3.5),)),
            ["wait for 10.0.0.2:80", "closed by l7"],
        ),
        (
            replace(PLAIN, status=504, code="sH", attempts=(replace(SLOWLY, first_byte=None, failed_at=3.5),)),
            ["wait for 10.0.0.2:80", "answered by l7"],
        ),
        (replace(PLAIN, status=101, attempts=(SLOWLY,)), ["wait for 10.0.0.2:80", "both ways, as a tunnel"]),
        (replace(NOWHERE, code="cR"), ["wait for the client's head"]),
        (replace(NOWHERE, code="CR"), ["wait for the client's head"]),
        (replace(NOWHERE, code="cD"), ["wait for the client's body"]),
        (replace(NOWHERE, code="CD"), ["wait for the client's body"]),
        (replace(NOWHERE, code="PR"), ["answered by l7"]),
    ],
)
def test_each_phase_is_of_whom_was_waited_for(record: RequestRecord, names: list[str]) -> None:
    found = phases(replace(record, queue=0.0))
    assert [one.name for one in found][-len(names) :] == names
    assert found[-1].end == record.total and all(one.end == two.begin for one, two in pairwise(found))


def test_the_time_line_is_to_scale() -> None:
    drawn = time_line(PLAIN)
    assert [line.count("#") for line in drawn] == [3, 3, 6, 6, 18, 12]
    bars = [line.split()[-3] if "refused" not in line else line.split()[-5] for line in drawn]
    assert all(len(bar) == WIDTH and set(bar) <= {"#", "."} for bar in bars)
    assert "connection refused" in drawn[2] and "500 ms" in drawn[2]


def test_where_a_worker_died_the_server_that_was_asked_is_not_left_out() -> None:
    asked = replace(SECOND, connect=None, first_byte=None)
    told = list(story(replace(PLAIN, total=-1.0, status=0, code="IH", died=True, attempts=(FIRST, asked)), 0.0))
    at = next(number for number, line in enumerate(told) if line.startswith("where the time went"))
    assert told[at].endswith("and until its worker ended)")
    (last,) = [line for line in told[at:] if line.startswith("  at 10.0.0.2:80 ")]
    assert last.split()[-5:] == ["-", "when", "the", "worker", "ended"]


@pytest.mark.parametrize(
    ("record", "now"),
    [
        (
            replace(PLAIN, attempts=(), tried=0, route="", status=404, code="LR", failure="no backend for this host"),
            0.0,
        ),
        (replace(PLAIN, total=0.0, queue=-1.0, attempts=()), 0.0),
        (replace(PLAIN, total=-1.0, status=0, code="", under_way=True), 1_700_000_010.0),
        (replace(PLAIN, total=-1.0, status=0, code="IH", died=True), 0.0),
        (replace(PLAIN, attempts=(replace(SECOND, first_byte=None),), total=-1.0, under_way=True), 1_700_000_002.0),
        (replace(PLAIN, method="", target="", version="", status=400, code="PR", attempts=()), 0.0),
        (replace(PLAIN, port=0, tls="", connection=0, tried=40), 0.0),
    ],
)
def test_every_kind_of_request_has_a_story(record: RequestRecord, now: float) -> None:
    told = list(story(record, now))
    assert told[0] == f"request {record.request_id}"
    assert "how it ended" in told and all("\n" not in line for line in told)
    assert all(one.begin <= one.end for one in phases(record, now))


@pytest.mark.parametrize("kind", FAILURES, ids=lambda kind: f"{kind.name} {kind.code}")
def test_each_failure_is_put_into_words(kind: Kind) -> None:
    record = replace(PLAIN, status=kind.logged, code=kind.code, failure=kind.name, reason=f"{kind.name}: x")
    who, reason = ended_by(record)
    assert who.startswith(f"{kind.code}: ") and "unknown" not in who and reason.endswith(": x")
    assert all("{" not in line for line in next_look(record))


@pytest.mark.parametrize(
    "name",
    [kind.name for kind in FAILURES if kind.status >= 500 and kind.code != "PR"],
)
def test_each_failure_of_a_server_and_of_ours_says_where_to_look(name: str) -> None:
    assert list(next_look(replace(PLAIN, status=502, code="SC", failure=name)))


def test_what_is_slow_and_what_the_server_answered_is_said() -> None:
    slow = "\n".join(story(replace(PLAIN, attempts=(replace(SECOND, began=0.1, first_byte=3.0),), queue=0.0), 0.0))
    assert "75% of it: wait for 10.0.0.2:80" in slow and "`l7 tail --by path --server 10.0.0.2:80`: whether" in slow
    assert "`l7 tail --by server --target /x`: whether" in slow
    hostile = "\n".join(story(replace(PLAIN, target="/x;reboot", queue=0.0), 0.0))
    assert "`l7 tail --by server --target PATH`: whether" in hostile
    for held_up, words in (
        (replace(SECOND, began=3.0), "whether the client sends its requests slowly"),
        (replace(SECOND, began=0.1, connect=3.0), "what holds up connections to 10.0.0.2:80"),
        (replace(SLOWLY, sending=3.0), "whether the client sends its body slowly, or 10.0.0.2:80 takes it slowly"),
        (replace(SECOND, began=0.1, connect=0.0), "whether 10.0.0.2:80 sends its body slowly, or the client takes it"),
    ):
        assert words in next(next_look(replace(PLAIN, attempts=(held_up,), tried=1, queue=0.0)))
    waiting = "\n".join(story(replace(NOWHERE, total=-1.0, status=0, under_way=True, failure=""), PLAIN.started + 2))
    assert "no server was asked yet  ####" in waiting and "or waits for a server with room" in waiting
    assert "look next: `l7 top`: which route" in waiting
    assert not list(next_look(replace(PLAIN, status=101, attempts=(SLOWLY,), queue=0.0)))
    waited = list(next_look(replace(PLAIN, attempts=(SECOND,), tried=1)))
    assert "`max-connections` of the route" in waited[0] and "`l7 tail --by generation --route a.com`" in waited[1]
    assert "`l7 status`" in next(next_look(PLAIN))
    failed = "\n".join(story(replace(PLAIN, status=500), 0.0))
    assert "the 500 is the server's own answer" in failed and "look next: what 10.0.0.2:80 logged at" in failed


def test_what_l7_answered_is_not_put_on_a_server() -> None:
    own = "\n".join(story(replace(PLAIN, attempts=(), tried=0, status=503, queue=-1.0), 0.0))
    assert "l7 answered it itself, as the configuration says" in own and "server's own" not in own
    assert "look next" not in own


def test_times_are_short() -> None:
    told = (None, -1.0, 0.0, 0.00031, 0.0123, 0.43, 1.2, 12.34, 123.4, 9999.4, 10_000.0)
    assert [lasted(one) for one in told] == [
        "-", "-", "0 us", "310 us", "12.3 ms", "430 ms", "1.20 s", "12.3 s", "123 s", "9999 s", "2.8 h",
    ]  # fmt: skip
    # Where rounding makes the next unit of it, or one digit more.
    assert [lasted(one) for one in (0.0009997, 0.09997, 0.9997, 9.997, 99.97)] == [
        "1.0 ms", "100 ms", "1.00 s", "10.0 s", "100 s",
    ]  # fmt: skip
    assert moment(1_700_000_000.25).endswith(".250") and moment(1_700_000_000.25).startswith("2023-11-1")
