"""``l7 tail --by``: recorded requests put together, and filters by target and client."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from l7.commands.recorder.summary import FIELDS, MOST_ROWS, print_summary, summary
from l7.config.reading.command_options import GROUPS
from l7.telemetry.recorder.records import Attempt, RequestRecord
from l7.telemetry.recorder.request_filter import RequestFilter

ONE, TWO = "10.0.0.1:80", "10.0.0.2:80"
FAILED = Attempt(ONE, ("round-robin",), 2, 2, 0.0, 0.0, 0.0, None, 0.25, "closed early")
RETRY = Attempt(TWO, ("round-robin", "retry"), 1, 2, 0.25, 0.0, 0.0, 0.5, None, "")
GOOD = replace(RETRY, reasons=("round-robin",), began=0.0)
PLAIN = RequestRecord(
    request_id="ab" * 16, started=1000.0, client="192.0.2.1", host="a", method="GET", target="/x?y=…",
    version="HTTP/1.1", route="a", policy="round-robin", port=80, tls="", queue=0.0, total=1.0, received=0, sent=1,
    status=200, code="--", failure="", reason="", worker=1, generation=3, connection=1, nth=1, attempts=(GOOD,),
    tried=1, died=False, under_way=False,
)  # fmt: skip


def test_each_attempt_counts_for_its_server() -> None:
    records = [PLAIN, replace(PLAIN, request_id="cd" * 16, attempts=(FAILED, RETRY), tried=2, total=4.0)]
    one, two = summary(records, "server")
    assert (one.value, len(one.times), one.failed, one.retried, one.longest) == (ONE, 1, 1, 0, 0.25)
    assert (two.value, len(two.times), two.failed, two.retried, two.longest) == (TWO, 2, 0, 1, 3.75)
    assert two.slowest == "cd" * 16


def test_one_that_failed_at_last_failed_at_its_last_server() -> None:
    (row,) = summary([replace(PLAIN, status=500)], "server")
    assert row.failed == 1
    (row,) = summary([replace(PLAIN, attempts=(), tried=0, status=503, code="SC")], "server")
    assert (row.value, row.failed) == ("-", 1)


def test_what_failed_most_and_took_longest_stands_first_and_numbers_in_order() -> None:
    records = [
        replace(PLAIN, target="/quick", total=0.1), replace(PLAIN, target="/slow", total=9.0),
        replace(PLAIN, target="/bad", status=502, code="SH", generation=10),
        replace(PLAIN, target="/quick?z", total=0.2),
    ]  # fmt: skip
    assert [(row.value, len(row.times)) for row in summary(records, "path")] == [
        ("/bad", 1),
        ("/slow", 1),
        ("/quick", 2),
    ]
    assert [row.value for row in summary(records, "generation")] == ["3", "10"]


def test_the_share_is_the_time_that_so_many_took_at_most() -> None:
    (row,) = summary([replace(PLAIN, total=number / 100) for number in range(1, 101)], "route")
    assert (row.share(50), row.share(99), row.share(100)) == (0.5, 0.99, 1.0)
    (row,) = summary([PLAIN], "route")
    assert (row.share(50), row.share(99)) == (1.0, 1.0)


@pytest.mark.parametrize("by", ["host", "server"])
def test_a_time_that_is_not_known_is_none_at_all(by: str, capsys: pytest.CaptureFixture[str]) -> None:
    died = replace(PLAIN, request_id="cd" * 16, total=-1.0, status=0, died=True, code="IH")
    (row,) = summary([died, PLAIN], by)
    assert (row.requests, row.failed, row.share(50), row.slowest) == (2, 1, 1.0, "ab" * 16)
    print_summary([died], by, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["requests"], found["p50"], found["p99"], found["longest"]) == (1, None, None, None)
    assert found["slowest"] == "cd" * 16


def test_a_wait_is_counted_for_the_first_server() -> None:
    waiting = replace(PLAIN, attempts=(FAILED, RETRY), tried=2, queue=0.125)
    assert [(row.value, row.waited) for row in summary([waiting], "server")] == [(ONE, 0.125), (TWO, 0.0)]
    assert [row.waited for row in summary([waiting], "host")] == [0.125]


@pytest.mark.parametrize("by", GROUPS)
def test_every_field_has_a_table_also_of_what_clients_make_up(by: str, capsys: pytest.CaptureFixture[str]) -> None:
    strange = replace(PLAIN, host="\x1b[31m", target="/\x1b]0;x\x07", client="", status=0, died=True, code="IH")
    print_summary([PLAIN, strange], by, as_json=False)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == [by, "requests"] and rows
    assert "\x1b" not in "".join(rows)
    assert set(FIELDS) == set(GROUPS)


def test_very_many_rows_are_cut_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    records = [replace(PLAIN, target=f"/{number}") for number in range(MOST_ROWS + 5)]
    print_summary(records, "path", as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "and 5 more with 5 requests"
    print_summary(records, "path", as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == MOST_ROWS + 5
    assert rows[0] == {
        "path": "/0", "requests": 1, "failed": 0, "retried": 0, "p50": 1.0, "p99": 1.0, "longest": 1.0,
        "waited-p99": 0.0, "slowest": "ab" * 16,
    }  # fmt: skip


def test_filters_by_target_and_client() -> None:
    assert RequestFilter(target="/x").takes(PLAIN) and not RequestFilter(target="/y").takes(PLAIN)
    assert RequestFilter(client="192.0.2.1").takes(PLAIN) and not RequestFilter(client="192.0.2.2").takes(PLAIN)
