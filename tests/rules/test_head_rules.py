"""The rules about heads as they are made of a configuration: who wins, what is told, what own answers keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from l7.balancing.routing import Routes
from l7.config.reading.loading import load
from l7.explain.asked import Question
from l7.explain.explanation import explain
from l7.http.messages import LocalResponse, ResponseHead, StatusLine, lines_of
from l7.rules.compile import RuleCompiler, RuleResources
from l7.rules.rule import Rule
from l7.rules.ruleset import RuleSet
from tests.rules.contexts import context_of, unread


def rules_of(tmp_path: Path, text: str, path: bytes | None = b"/") -> RuleSet | None:
    """The rules of ``a.test`` for a path; with None those of requests without a route."""
    file = tmp_path / "config.yml"
    file.write_text(text, "utf-8")
    config = load(["-c", str(file)], {}).config
    routes = Routes(dict.fromkeys(config.backends))
    return RuleCompiler(config, routes, RuleResources()).of(None if path is None else routes.match("a.test", path))


def told(rules: RuleSet | None) -> list[tuple[str, str]]:
    return [(".".join(map(str, rule.path)), rule.describe()) for rule in rules or ()]


MERGED = """
response-headers:
  remove: [Server, X-Powered-By]
  set: {X-Frame-Options: DENY, Via: l7, X-One: '1'}
  add: {Link: [<a>, <b>], Vary: Origin}
backends:
  a.test:
    servers: [b]
    response-headers:
      remove: [via]
      set: {x-frame-options: SAMEORIGIN, server: app}
      add: {LINK: <c>}
  a.test/plain: {servers: [b]}
"""


def test_of_a_field_the_nearest_that_names_it_says_anything(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, MERGED)
    assert told(rules) == [
        ("response-headers", "remove X-Powered-By; set X-One: 1; add Vary: Origin"),
        (
            "backends.a.test.response-headers",
            "remove via; set x-frame-options: SAMEORIGIN; set server: app; add LINK: <c>",
        ),
    ]  # fmt: skip
    assert rules is not None
    response = ResponseHead(StatusLine(b"HTTP/1.1 200 OK\r\n", 200, b"OK", 1))
    response.runs = [b"Server: a\r\nVia: b\r\nLink: <d>\r\nX-Powered-By: e"]
    rules.on_response(context_of(), response)
    assert lines_of(response.runs) == [
        b"Link: <d>", b"X-One: 1", b"Vary: Origin", b"x-frame-options: SAMEORIGIN", b"server: app", b"LINK: <c>",
    ]  # fmt: skip


def test_where_only_the_top_says_anything(tmp_path: Path) -> None:
    whole = (
        "response-headers",
        "remove Server; remove X-Powered-By; set X-Frame-Options: DENY; set Via: l7; set X-One: 1; "
        "add Link: <a>; add Link: <b>; add Vary: Origin",
    )
    assert told(rules_of(tmp_path, MERGED, b"/plain")) == [whole]
    assert told(rules_of(tmp_path, MERGED, None)) == [whole]


def test_a_route_without_rules_has_none(tmp_path: Path) -> None:
    assert rules_of(tmp_path, "backends: {a.test: {servers: [b]}}") is None
    assert rules_of(tmp_path, "{defaults: {strip-prefix: true}, backends: {a.test: {servers: [b]}}}") is None


def test_all_of_them_in_order(tmp_path: Path) -> None:
    text = """
backends:
  a.test/api:
    servers: [b]
    response-headers: {set: {X-A: b}}
    request-headers: {set: {Authorization: Basic sesame, X-Env: prod}, remove: [Cookie]}
    host: app.internal
    strip-prefix: true
"""
    assert told(rules_of(tmp_path, text, b"/api/x")) == [
        ("backends.a.test/api.strip-prefix", "/api is taken off the path"),
        ("backends.a.test/api.host", "servers get app.internal as Host"),
        ("backends.a.test/api.request-headers", "remove Cookie; set Authorization: ***; set X-Env: prod"),
        ("backends.a.test/api.host", "Location and Content-Location with that Host become paths on the client's"),
        (
            "backends.a.test/api.strip-prefix",
            "/api is put in front of Location, Content-Location and the paths of cookies",
        ),
        ("backends.a.test/api.response-headers", "set X-A: b"),
    ]


def test_each_route_of_a_key_has_its_own_prefix(tmp_path: Path) -> None:
    text = "backends: {'b.test/x, a.test/v1, a.test/v2': {servers: [b], strip-prefix: true}}"
    for path in (b"/v1", b"/v2"):
        assert told(rules_of(tmp_path, text, path))[0][1] == f"{path.decode()} is taken off the path"


def test_a_redacted_value_is_not_sent(tmp_path: Path) -> None:
    text = "backends: {a.test: {servers: [b], request-headers: {set: {Authorization: '***'}}}}"
    rules = rules_of(tmp_path, text)
    assert rules is not None
    context = context_of()
    context.head.runs = [b"Authorization: x\r\nA: b"]
    rules.on_request(context)
    assert lines_of(context.head.runs) == [b"A: b"]


OWN = """
response-headers:
  remove: [Allow]
  set:
    WWW-Authenticate: none
    Content-Type: text/html
    Cache-Control: max-age=60
    Content-Security-Policy: "default-src 'self'"
    X-Who: '{client}'
    X-At: 'to {path}'
    X-A: é
  add: {Retry-After: '0'}
backends: {a.test: {servers: [b]}}
"""


OTHERS = ("Content-Security-Policy", "X-Who", "X-At", "X-A", "Retry-After")


@pytest.mark.parametrize(
    ("status", "fields", "added"),
    [
        (401, ("www-authenticate: Basic",), OTHERS),
        (503, ("Retry-After: 5", "Allow: GET"), ("WWW-Authenticate", *OTHERS[:-1])),
        (200, (), ("WWW-Authenticate", "Cache-Control", *OTHERS)),
        (200, ("cache-control: no-store",), ("WWW-Authenticate", *OTHERS)),
    ],
)  # fmt: skip
def test_what_an_answer_of_our_own_says_itself_stays(
    tmp_path: Path, status: int, fields: tuple[str, ...], added: tuple[str, ...]
) -> None:
    rules = rules_of(tmp_path, OWN)
    assert rules is not None
    answer = rules.own(context_of(), LocalResponse(status, "text/plain", b"x", fields))
    assert answer[:3] == (status, "text/plain", b"x")
    assert answer.fields[: len(fields)] == fields
    assert tuple(field.partition(":")[0] for field in answer.fields[len(fields) :]) == added
    assert "X-Who: 192.0.2.7" in answer.fields
    less = rules.own(unread(), LocalResponse(status, "text/plain", b"x", fields))
    assert [field for field in answer.fields if field not in less.fields] == ["X-At: to /a/b"]


def test_what_another_rule_says_in_an_answer_of_our_own_can_be_changed(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        "response-headers: {remove: [ratelimit], set: {RateLimit-Policy: x}}\nbackends: {a.test: {servers: [b]}}",
    )
    assert rules is not None
    own = LocalResponse(429, "", b"", ("Retry-After: 1", 'RateLimit-Policy: "l7";q=1;w=1', 'RateLimit: "l7";r=0;t=1'))
    assert rules.own(context_of(), own).fields == ("Retry-After: 1", "RateLimit-Policy: x")


def test_each_rule_says_its_setting(tmp_path: Path) -> None:
    rules: list[Rule] = list(rules_of(tmp_path, MERGED) or ())
    assert [rule.setting for rule in rules] == ["response-headers", "response-headers"]


def test_what_l7_explain_shows_of_them(tmp_path: Path) -> None:
    text = """
trusted-proxies: [192.0.2.1]
backends:
  a.test/api:
    servers: [b]
    strip-prefix: true
    host: HOST
    request-headers: {set: {X-Api-Key: sesame, X-Env: '{target}'}}
"""
    for written, host in (("app.internal", "app.internal"), ("server", "<address of the server>")):
        file = tmp_path / "config.yml"
        file.write_text(text.replace("HOST", written), "utf-8")
        config = load(["-c", str(file)], {}).config
        question = Question("http://a.test/api/x?y", headers=["X-Forwarded-Prefix: /outer"], client="192.0.2.1")
        shown = explain(config, question).request
        assert shown[0] == "GET /x?y HTTP/1.1"
        assert shown[1] == f"Host: {host}"
        assert "X-Env: /api/x?y" in shown
        assert "X-Api-Key: …" in shown
        assert [line for line in shown if line.startswith("X-Forwarded-Prefix")] == ["X-Forwarded-Prefix: /outer/api"]
