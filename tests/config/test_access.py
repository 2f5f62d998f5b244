"""``users``, ``allow``, ``deny`` and ``limits`` of routes in the file: what is refused, shown and compared."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from l7.config.changes import changes
from l7.config.reading.loading import load
from l7.config.rendering.dump import render_dump
from l7.config.schema import Config
from l7.errors import ConfigError

BACKEND = "backends:\n  a:\n    servers: [b]\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str) -> Config:
    Path("config.yml").write_text(text)
    return load(["-c", "config.yml"], {}).config


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BACKEND + "    users: {}\n", "config.yml:4: backends.a.users: has no logins; write some, or off where"),
        (BACKEND + "    users: [a]\n", "config.yml:4: backends.a.users: write logins with their passwords"),
        (BACKEND + "    users: {a: ''}\n", "config.yml:4: backends.a.users.a: "),
        (BACKEND + "    users:\n", "config.yml:4: backends.a.users: "),
        (BACKEND + "    allow: []\n", "config.yml:4: backends.a.allow: the list is empty; write off"),
        (BACKEND + "    allow: [10.0.0.1/8]\n", "config.yml:4: backends.a.allow[0]: "),
        (BACKEND + "    deny: [example.com]\n", "config.yml:4: backends.a.deny[0]: "),
        (BACKEND + "    limits: {body: lots}\n", "config.yml:4: backends.a.limits.body: "),
        (
            BACKEND + "    limits: {head: 1KB}\n",
            "config.yml:4: backends.a.limits.head: holds for all routes: write limits.head",
        ),
        (
            BACKEND + "    limits: {bodi: 1KB}\n",
            "config.yml:4: backends.a.limits.bodi: unknown key; did you mean 'body'",
        ),
        (
            BACKEND + "    trusted-proxies: [10.0.0.0/8]\n",
            "config.yml:4: backends.a.trusted-proxies: holds for all routes",
        ),
        ("defaults: {limits: {head: 1KB}}\n" + BACKEND, "config.yml:1: defaults.limits.head: holds for all routes"),
        (
            "rate-limit: {requests: 5}\n" + BACKEND,
            "config.yml:1: rate-limit: write it below a backend, or below defaults",
        ),
        ("servers: [b]\n" + BACKEND, "config.yml:1: servers: write it below a backend"),
        ("allow: []\n" + BACKEND, "config.yml:1: allow: the list is empty"),
        ("authorization: strip\n" + BACKEND + "    users: off\n", "config.yml:1: authorization: strip needs users"),
        ("defaults: {users: {a: b}}\n" + BACKEND, "config.yml:1: defaults.users: write it at the top of the file"),
        ("defaults: {allow: off}\n" + BACKEND, "config.yml:1: defaults.allow: write it at the top of the file"),
        ("defaults: {deny: off}\n" + BACKEND, "config.yml:1: defaults.deny: write it at the top of the file"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    assert str(caught.value).startswith(problem)
    assert len(caught.value.problems) == 1


def test_users_of_a_route_are_checked_logins_too() -> None:
    config = loaded("authorization: strip\n" + BACKEND + "    users: {a: b}\n")
    assert config.authorization == "strip"
    users = config.backends["a"].users
    assert users is not None
    assert users["a"].get_secret_value() == "b"


@pytest.mark.parametrize("route", ["a/x/*", "'a/x*'", "'b, a/x/**'"])
def test_a_star_in_a_path_is_told(route: str) -> None:
    """Other proxies write a prefix so; here it would guard nothing but a path with a star."""
    Path("config.yml").write_text(f"backends:\n  {route}: {{servers: [b], users: {{a: b}}}}\n")
    (found,) = load(["-c", "config.yml"], {}).warnings
    assert found.where == "config.yml:2"
    assert found.what == "'*' in a path stands for itself, and any path is a prefix: write a/x"


def test_no_star_in_a_path_is_told() -> None:
    Path("config.yml").write_text(
        "backends:\n  '*/x': {servers: [b]}\n  '*.a': {servers: [b]}\n  a/*/x: {servers: [b]}\n"
    )
    assert load(["-c", "config.yml"], {}).warnings == ()


def test_the_dump_shows_no_password_and_loads_back() -> None:
    rest = "  a/x: {servers: [b], users: off, allow: off}\n  a/y: {servers: [b]}\n"
    Path("config.yml").write_text(
        BACKEND + "    users: {ops: hunter2}\n    deny: ['unix:', 10.6.6.6]\n    limits: {body: 10MB}\n" + rest
    )
    first = load(["-c", "config.yml"], {})
    dump = render_dump(first)
    assert "hunter2" not in dump
    assert "ops: '***'  # config.yml:4" in dump
    assert "users: 'off'  # config.yml:7" in dump
    Path("dump.yml").write_text(dump)
    again = load(["-c", "dump.yml"], {})
    assert [(problem.where, problem.path) for problem in again.warnings] == [("backends.a.users", "ops")]
    assert yaml.safe_load(render_dump(again)) == yaml.safe_load(dump)
    for route in ("a/x", "a/y"):
        assert again.config.backends[route] == first.config.backends[route]


def test_what_changes() -> None:
    def config(**settings: object) -> Config:
        return Config.model_validate({"backends": {"a": {"servers": ["b"], **settings}}}, by_name=True)

    old = config(users={"a": "hunter2", "b": "hunter2"}, allow=["10.0.0.0/8"])
    assert changes(old, config(users={"a": "hunter3", "c": "x"}, deny=["::1"])) == [
        "backends.a.allow: [10.0.0.0/8] -> inherit",
        "backends.a.deny: inherit -> ['::1/128']",
        "backends.a.users.a: password changed",
        "backends.a.users.b: removed",
        "backends.a.users.c: added",
    ]
    assert changes(config(users="off"), config(users={"a": "b"})) == ["backends.a.users: off -> 1 login"]
    assert changes(config(), config(users="off")) == ["backends.a.users: inherit -> off"]
