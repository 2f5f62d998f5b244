"""Which rule wins, and why it says it did."""

from __future__ import annotations

import time

import pytest

from l7.balancing.routing import Match, Routes

TABLE = {
    "example.com": "site",
    "example.com/api": "api",
    "example.com/api/v2": "api-v2",
    "only.example.com/app": "app",
    "*.example.com": "wild",
    "*.example.com/api": "wild-api",
    "*.deep.example.com": "deep",
    "*.paths.example.com/p": "paths",
    "plain.org": "plain",
    "[::1]": "six",
    "*": "rest",
    "*/health": "health",
}


@pytest.mark.parametrize(
    ("host", "path", "payload"),
    [
        ("example.com", b"/", "site"),
        ("example.com", b"*", "site"),
        ("example.com", b"", "site"),
        ("example.com", b"/api", "api"),
        ("example.com", b"/api/", "api"),
        ("example.com", b"/api/x", "api"),
        ("example.com", b"/api?x", "api"),
        ("example.com", b"/apix", "site"),
        ("example.com", b"/API", "site"),
        ("example.com", b"/x?/api", "site"),
        ("example.com", b"/api/v2", "api-v2"),
        ("example.com", b"/api/v2?q=/", "api-v2"),
        ("example.com", b"/api/v22", "api"),
        ("only.example.com", b"/app", "app"),
        ("only.example.com", b"/app/x", "app"),
        ("only.example.com", b"/apple", "wild"),
        ("only.example.com", b"/api", "wild-api"),
        ("only.example.com", b"*", "wild"),
        ("a.example.com", b"/", "wild"),
        ("a.b.c.example.com", b"/", "wild"),
        ("x.deep.example.com", b"/", "deep"),
        ("deep.example.com", b"/", "wild"),
        ("x.paths.example.com", b"/p", "paths"),
        ("x.paths.example.com", b"/q", "wild"),
        (".example.com", b"/", "rest"),
        ("notexample.com", b"/", "rest"),
        ("plain.org", b"/api", "plain"),
        ("plain.org", b"*", "plain"),
        ("[::1]", b"/", "six"),
        ("unknown", b"/health", "health"),
        ("unknown", b"*", "rest"),
        ("", b"/", "rest"),
    ],
)
def test_the_most_specific_rule_wins(host: str, path: bytes, payload: str) -> None:
    match = Routes(TABLE).match(host, path)
    assert match is not None
    assert match.payload == payload


def test_nothing_matches_without_a_default() -> None:
    routes = Routes({"example.com/api": 1, "*.example.org": 2})
    assert routes.match("example.com", b"/") is None
    assert routes.match("example.com", b"*") is None
    assert routes.match("example.org", b"/") is None
    assert Routes({}).match("example.com", b"/") is None


@pytest.mark.parametrize(
    ("host", "path", "key", "why"),
    [
        ("example.com", b"/", "example.com", "exact host"),
        (
            "example.com",
            b"/api/x",
            "example.com/api",
            "exact host, longest path prefix /api",
        ),
        ("a.example.com", b"/", "*.example.com", "wildcard *.example.com"),
        (
            "a.example.com",
            b"/api",
            "*.example.com/api",
            "wildcard *.example.com, longest path prefix /api",
        ),
        ("nobody", b"/", "*", "default *"),
        ("nobody", b"/health", "*/health", "default *, longest path prefix /health"),
    ],
)
def test_a_match_says_why(host: str, path: bytes, key: str, why: str) -> None:
    match = Routes(TABLE).match(host, path)
    assert match is not None
    assert (match.key, match.why()) == (key, why)
    assert why in repr(match)


def test_several_rules_with_one_key_lead_to_one_place() -> None:
    key = "example.com, *.example.org/api, *"
    routes = Routes({key: "shared", "example.com/x": "own"})
    for host, path, why in (
        ("example.com", b"/", "exact host example.com"),
        ("a.example.org", b"/api", "wildcard *.example.org, longest path prefix /api"),
        ("other", b"/", "default *"),
    ):
        match = routes.match(host, path)
        assert match is not None
        assert (match.key, match.payload, match.why()) == (key, "shared", why)
    own = routes.match("example.com", b"/x")
    assert own is not None
    assert own.payload == "own"


def test_every_rule_is_listed() -> None:
    rules = Routes(TABLE).rules
    assert len(rules) == len(TABLE)
    assert all(isinstance(rule, Match) for rule in rules)


def test_long_hosts_and_paths_cost_no_more_than_the_table_reaches() -> None:
    routes = Routes({"*.example.com": 1, "example.com/api": 2} | {f"h{i}.example.org": 3 for i in range(10_000)})
    host, path = "a." * 4000 + "example.com", b"/" * 8000
    begin = time.process_time()
    for _ in range(1000):
        assert routes.match(host, path).payload == 1  # type: ignore[union-attr]
        assert routes.match("example.com", path) is None
    assert time.process_time() - begin < 2.0, "a walk over every label and segment takes minutes"
