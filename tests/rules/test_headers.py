"""Header rules on the lines of a head: remove, set, add."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.http.fields import name_of
from l7.http.messages import lines_of
from l7.rules.context import RuleContext
from l7.rules.heads.headers import FieldChanges
from tests.rules.contexts import context_of

RUNS = [b"Server: a\r\nX-Env: test\r\nVary: A", b"x-env: again\r\nCookie: b"]


def lines(changes: FieldChanges, runs: list[bytes] | None = None, context: RuleContext | None = None) -> list[bytes]:
    return lines_of(changes.apply(RUNS if runs is None else runs, context or context_of()))


@pytest.mark.parametrize(
    ("changes", "after"),
    [
        (FieldChanges(), RUNS),
        (FieldChanges(["server"]), [b"X-Env: test", b"Vary: A", b"x-env: again", b"Cookie: b"]),
        (FieldChanges(["X-ENV"]), [b"Server: a", b"Vary: A", b"Cookie: b"]),
        (FieldChanges(["Cookie", "Server"]), [b"X-Env: test", b"Vary: A", b"x-env: again"]),
        (FieldChanges(["X-Env", "Cookie", "Server", "Vary"]), []),
        (FieldChanges(["Env", "X-En", "Absent"]), RUNS),
        (FieldChanges([], {"X-Env": "prod"}), [b"Server: a", b"Vary: A", b"Cookie: b", b"X-Env: prod"]),
        (FieldChanges([], {}, {"vary": ["B", "C"]}), [*RUNS, b"vary: B", b"vary: C"]),
        (
            FieldChanges(["Vary"], {"Server": "b"}, {"Vary": ["D"], "Server": ["c"]}),
            [b"X-Env: test", b"x-env: again", b"Cookie: b", b"Server: b", b"Vary: D", b"Server: c"],
        ),
    ],
)
def test_remove_then_set_then_add(changes: FieldChanges, after: list[bytes]) -> None:
    assert lines(changes) == lines_of(after)
    assert RUNS == [b"Server: a\r\nX-Env: test\r\nVary: A", b"x-env: again\r\nCookie: b"]


def test_head_without_lines() -> None:
    assert lines(FieldChanges(["A"], {"B": "c"}), []) == [b"B: c"]
    assert lines(FieldChanges(["A"]), [b"A: b"]) == []


def test_value_that_looks_like_a_name_stays() -> None:
    assert lines(FieldChanges(["B"]), [b"A: B: c", b"C: \tb:"]) == [b"A: B: c", b"C: \tb:"]


def test_underscores_of_requests_count_as_hyphens() -> None:
    runs = [b"X_Env: a\r\nx_ENV: b\r\nX-Env: c\r\nB_c: d_e"]
    assert lines(FieldChanges([], {"X-Env": "prod"}, twins=True), runs) == [b"B_c: d_e", b"X-Env: prod"]
    assert lines(FieldChanges([], {"X-Env": "prod"}), runs) == [
        b"X_Env: a", b"x_ENV: b", b"B_c: d_e", b"X-Env: prod",
    ]  # fmt: skip
    assert lines(FieldChanges(["x_env"], twins=True), runs) == [b"B_c: d_e"]
    for name in ("_a", "-A"):
        assert lines(FieldChanges([name], twins=True), [b"_A: 1", b"-A: 2\r\n-b: 3"]) == [b"-b: 3"]


def test_variables() -> None:
    changes = FieldChanges([], {"X-A": "1", "X-From": "{client}", "X-B": "2"}, {"X-C": ["{host}", "3"]})
    assert lines(changes, []) == [b"X-A: 1", b"X-From: 192.0.2.7", b"X-B: 2", b"X-C: example.com", b"X-C: 3"]


@pytest.mark.parametrize("user", [b"", b"a\r\nX-Evil: b", b"\0"])
def test_value_that_cannot_be_sent_still_replaces(user: bytes) -> None:
    context = context_of()
    context.exchange.user = user
    assert lines(FieldChanges([], {"X-User": "{user}"}), [b"X-User: root\r\nA: b"], context) == [b"A: b"]


def test_strict_transport_security_is_for_https() -> None:
    changes = FieldChanges([], {"Strict-Transport-Security": "max-age=1", "X-A": "b"})
    assert lines(changes, []) == [b"X-A: b"]
    context = context_of(believed=b"X-Forwarded-Proto: https")
    assert lines(changes, [], context) == [b"Strict-Transport-Security: max-age=1", b"X-A: b"]


NAMES = st.sampled_from(
    ["A", "b", "^", "~", "X", "X-Env", "X_Env", "x-ENV", "Vary", "x^y", "x~y", "Y_", "Y-", "_Z", "-z"]
)
LINES = st.lists(
    st.tuples(NAMES, st.text("aB:_- ", max_size=6)).map(lambda pair: f"{pair[0]}: {pair[1]}".encode()), max_size=8
)


@given(LINES, st.lists(NAMES, max_size=3), st.dictionaries(NAMES, st.just("new"), max_size=3), st.booleans())
def test_as_if_line_by_line(before: list[bytes], remove: list[str], replace: dict[str, str], twins: bool) -> None:
    def folded(name: bytes) -> bytes:
        return name.lower().replace(b"_", b"-") if twins else name.lower()

    gone = {folded(name.encode()) for name in [*remove, *replace]}
    expected = [line for line in before if folded(name_of(line)) not in gone]
    expected += [f"{name}: new".encode() for name in replace]
    assert lines(FieldChanges(remove, replace, twins=twins), before) == expected


@given(st.binary(), st.text("{}user a", max_size=12))
def test_no_line_ever_ends_within(user: bytes, text: str) -> None:
    context = context_of()
    context.exchange.user = user
    try:
        changes = FieldChanges([], {"X-User": text + "{user}"})
    except ValueError:
        return
    for run in changes.apply([], context):
        assert not set(run) & {*range(0x20), 0x7F}


def test_names_of_strange_characters() -> None:
    runs = [b"A^b: 1\r\nX_Y: 2\r\nA~B: 3\r\nx-y: 4"]
    assert lines(FieldChanges(["a^B", "x_y"]), runs) == [b"A~B: 3", b"x-y: 4"]
    assert lines(FieldChanges(["a^B"], twins=True), runs) == [b"X_Y: 2", b"A~B: 3", b"x-y: 4"]
    assert lines(FieldChanges(["a~B"]), runs) == [b"A^b: 1", b"X_Y: 2", b"x-y: 4"]
