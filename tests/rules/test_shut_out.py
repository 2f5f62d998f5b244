"""Who is let in by `allow`, and kept out by `deny`."""

from __future__ import annotations

import pytest

from l7.balancing.routing import Routes
from l7.config.reading.loading import load
from l7.networks import NetworkSet
from l7.rules import shut_out as module
from l7.rules.compile import RuleCompiler, RuleResources
from l7.rules.shut_out import shut_out

BESIDE = """\
backends:
  a:
    servers: [b]
    %s
"""
AROUND = """\
deny: [10.1.0.0/16, 'unix:']
backends:
  a: {servers: [b], allow: %s}
  a/x: {servers: [b], deny: %s}
  a/x/y: {servers: [b], allow: %s}
"""


def told(text: str) -> list[str]:
    return [str(one) for one in shut_out(load(["-c", "l7.yml"], {}, read_bytes=lambda _: text.encode()))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("allow: [10.1.0.0/16, '::1']\n    deny: [10.0.0.0/8, '::/0']", "has all of these: nobody is let in"),
        ("allow: ['::ffff:10.1.0.0/112']\n    deny: [10.0.0.0/8]", "has all of these: nobody is let in"),
        ("allow: [10.0.0.0/8]\n    deny: [128.0.0.0/1, 0.0.0.0/1]", "has all of these: nobody is let in"),
        ("allow: [0.0.0.0/0, '::/0']\n    deny: [128.0.0.0/1, 0.0.0.0/1]", "keeps out 0.0.0.0/0"),
        ("allow: ['unix:']\n    deny: ['unix:']", "has all of these: nobody is let in"),
        ("allow: [10.1.0.0/16, '::1', 'unix:']\n    deny: [10.0.0.0/8, 'unix:']", "keeps out 10.1.0.0/16, unix:"),
        ("allow: [10.0.0.0/8, '::1']\n    deny: [10.1.0.0/16, 0.0.0.0/1]", "keeps out 10.0.0.0/8"),
        ("allow: [10.0.0.0/8, 'unix:', '::1']\n    deny: [10.1.0.0/16]", ""),
        ("allow: off\n    deny: [0.0.0.0/0, '::/0']", ""),
    ],
)
def test_who_is_let_in_and_kept_out_at_once_is_told(text: str, words: str) -> None:
    assert told(BESIDE % text) == (
        [f"l7.yml:4: backends.a.allow: deny beside it goes first, and {words}"] if words else []
    )


def test_it_is_told_of_the_general_ones_too_and_once() -> None:
    found = told("allow: [10.6.6.6]\ndeny: [10.6.6.6]\n" + BESIDE % "users: {a: b}")
    assert found == ["l7.yml:1: allow: deny beside it goes first, and has all of these: nobody is let in"]


def test_what_is_denied_around_a_route_is_told() -> None:
    at_the_top = "l7.yml:3: backends.a.allow: deny at the top goes first, and"
    of_a_path = "l7.yml:5: backends.a/x/y.allow: deny of a/x goes first, and"
    way_out = "; deny: off beside it ends that"
    assert told(AROUND % ("[10.1.2.0/24, 'unix:']", "off", "[10.1.2.3]")) == [
        f"{at_the_top} has all of these: nobody is let in{way_out}"
    ]
    assert told(AROUND % ("[10.1.2.0/24, 10.2.0.0/16]", "[10.2.0.0/16]", "[10.2.0.0/16]")) == [
        f"{at_the_top} keeps out 10.1.2.0/24{way_out}",
        f"{of_a_path} has all of these: nobody is let in{way_out}",
    ]


def test_to_deny_some_of_those_who_are_allowed_around_is_what_it_is_for() -> None:
    assert told("allow: [10.0.0.0/8, 10.1.2.3]\n" + BESIDE % "deny: [10.1.2.3]") == []


def test_what_many_routes_have_around_them_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "deny: [10.0.0.0/8]\nbackends:\n" + "".join(
        f"  h{number}: {{servers: [b], allow: [192.0.2.{number}]}}\n" for number in range(9)
    )
    made: list[NetworkSet] = []

    def counted(networks: tuple[str, ...]) -> NetworkSet:
        made.append(NetworkSet(networks))
        return made[-1]

    monkeypatch.setattr(module, "NetworkSet", counted)
    assert told(text) == [] and len(made) == 1
    config = load(["-c", "l7.yml"], {}, read_bytes=lambda _: text.encode()).config
    routes, resources = Routes(config.backends), RuleResources()
    for match in routes.rules:
        rules = RuleCompiler(config, routes, resources).of(match)
        own = f"192.0.2.{match.host[1:]}"
        words = ["clients of 10.0.0.0/8 are refused", f"only clients of {own}/32 are let in"]
        assert rules is not None and [rule.describe() for rule in rules] == words
    assert len(resources.networks) == 10
