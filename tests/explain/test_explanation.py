"""What is said of a request, from the text of a configuration to the JSON object."""

from __future__ import annotations

from typing import Any

import pytest

from l7.commands.explain import lines
from l7.config.reading.loading import load
from l7.explain.asked import Question
from l7.explain.explanation import explain

FILE = """\
users: {me: secret}
allow: [10.0.0.0/8]
limits: {body: 1KB}
trusted-proxies: [10.9.9.9]
defaults:
  request-headers: {remove: [X-Debug]}
error-pages: {4xx: /etc/4xx.html, 413: /etc/413.txt}
backends:
  a:
    servers: [127.0.0.1:1]
    deny: [10.6.6.6]
    compress: [gzip]
  a/x:
    servers: [127.0.0.1:1]
    users: off
    limits: {body: 2KB}
    request-headers: {set: {X-User: '{client}'}}
  'b, c': {respond: {status: 204}}
  c/path: {redirect: '/new{path}'}
"""


def look(url: str, *headers: str, client: str = "10.0.0.1", method: str = "GET", more: str = "") -> dict[str, Any]:
    loaded = load(["--config", "l7.yml"], {}, read_bytes=lambda _: (FILE + more).encode())
    return explain(loaded.config, Question(url, headers, method, client), loaded.sources).plain()


def rules(found: dict[str, Any]) -> dict[str, tuple[str, str | None, str | None]]:
    """Of each setting where it stands, whose it is, and what it says of this request."""
    return {one["setting"]: (one["source"], one["inherited"], one["verdict"]) for one in found["rules"]}


def test_a_rule_stands_where_it_was_written() -> None:
    assert rules(look("http://a/x/y")) == {
        "deny": ("l7.yml:11", "a", None),
        "allow": ("l7.yml:2", "all", None),
        "limits.body": ("l7.yml:16", None, None),
        "request-headers": ("l7.yml:17", None, None),
        "compress": ("l7.yml:12", "a", "not for this request"),
        "error-pages": ("l7.yml:7", "all", None),
    }
    assert rules(look("http://a/"))["request-headers"] == ("l7.yml:6", "defaults", None)


def test_what_comes_of_a_client_that_is_not_known_is_left_open() -> None:
    found = look("http://a/", client="")
    verdict = "say who asks: --client ADDRESS"
    assert (rules(found)["deny"][2], rules(found)["allow"][2], found["refused"]) == (verdict, verdict, None)


@pytest.mark.parametrize(
    ("url", "headers", "client", "status", "setting", "page"),
    [
        ("http://a/", (), "10.6.6.6", 403, "deny", "/etc/4xx.html"),
        ("http://a/", (), "192.0.2.1", 403, "allow", "/etc/4xx.html"),
        ("http://a/", ("X-Forwarded-For: 192.0.2.1",), "10.9.9.9", 403, "allow", "/etc/4xx.html"),
        ("http://a/", ("Content-Length: 1001",), "10.0.0.1", 413, "limits.body", "/etc/413.txt"),
        ("http://a/x", ("Content-Length: 2001",), "10.0.0.1", 413, "limits.body", "/etc/413.txt"),
        ("http://nobody/", (), "192.0.2.1", 403, "allow", "/etc/4xx.html"),
        ("http://nobody/", (), "10.0.0.1", 404, None, "/etc/4xx.html"),
    ],
)
def test_a_refusal_names_what_refuses(
    url: str, headers: tuple[str, ...], client: str, status: int, setting: str | None, page: str
) -> None:
    found = look(url, *headers, client=client, method="POST")
    refused = found["refused"]
    assert (refused["status"], refused["setting"], refused["page"]) == (status, setting, page)
    assert (found["request"], found["answer"]) == ([], None)


def test_a_route_may_take_more_than_all() -> None:
    assert look("http://a/x", "Content-Length: 2000", method="POST")["refused"] is None


def test_after_a_refusal_nothing_is_asked() -> None:
    found = look("http://b/", client="192.0.2.1")
    assert (found["refused"]["setting"], found["answer"]) == ("allow", None)
    assert "respond" in rules(found)


def test_own_answers_are_those_that_are_sent() -> None:
    found = look("http://b/")
    assert (found["route"], found["answer"]["status"], found["answer"]["setting"]) == ("b, c", 204, "respond")
    assert look("http://c/path//evil")["answer"]["fields"][0] == "Location: /new/path//evil"


def test_a_login_is_not_asked_of_everybody() -> None:
    assert rules(look("http://a/"))["users"] == ("l7.yml:1", "all", "else 401")
    asked = ("Origin: http://b", "Access-Control-Request-Method: PUT")
    assert rules(look("http://a/", *asked, method="OPTIONS"))["users"][2] == "not asked of this request"
    assert (look("http://a/")["login"], look("http://a/x")["login"]) == (True, False)


def test_a_checked_login_is_told_and_nothing_else_of_it() -> None:
    strip = "authorization: strip\nresponse-headers: {set: {X-User: '{user}'}}\n"
    sent = ("Authorization: Basic bWU6c2VjcmV0", "X-Forwarded-User: root")
    found = look("http://a/", *sent, more=strip)
    assert "X-User: <login>" in found["response"]
    assert [line for line in found["request"] if "User" in line or "Auth" in line] == ["X-Forwarded-User: <login>"]
    asked = ("Origin: http://b", "Access-Control-Request-Method: PUT")
    for found in (
        look("http://a/", *asked, method="OPTIONS", more=strip),
        look("http://a/", client="10.6.6.6", more=strip),
    ):
        assert [line for line in (*found["request"], *found["response"]) if "User" in line] == []


@pytest.mark.parametrize(
    ("header", "method", "status", "fields"),
    [
        ("Max-Forwards: 0", "TRACE", 200, []),
        ("Max-Forwards: 0", "OPTIONS", 200, ["Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"]),
        ("Via: " + ", ".join(["1.1 l7"] * 20), "GET", 508, []),
    ],
)
def test_what_goes_no_further(header: str, method: str, status: int, fields: list[str]) -> None:
    found = look("http://a/x", header, method=method)
    decided = found["answer"] or found["refused"]
    assert (decided["status"], decided["setting"], found["request"]) == (status, None, [])
    assert found["response"] == fields
    assert f"answer:  {status} " in "\n".join(lines(found))


def test_before_a_listener_leads_to_https_general_rules_alone_are_asked() -> None:
    more = (
        "listeners: [{address: '*:80', redirect-to-https: 8443}]\nresponse-headers: {set: {X-A: b, X-Path: '{path}'}}\n"
    )
    found = look("http://a/x", client="10.6.6.6", more=more)
    assert (found["redirect"], found["refused"], found["rules"]) == ("https://a:8443/x", None, [])
    assert found["response"] == ["Location: https://a:8443/x", "X-A: b", "X-Path: /x"]
    assert "\n  X-A: b" in "\n".join(lines(found))
    found = look("http://nobody/x", client="192.0.2.1", more=more)
    assert (found["redirect"], found["refused"]["status"], found["refused"]["page"]) == (None, 404, "/etc/4xx.html")
    assert found["response"] == ["X-A: b", "X-Path: /x"]


def test_what_a_rate_limit_tells() -> None:
    found = look("http://r/", more="  r: {respond: {status: 204}, rate-limit: {requests: 5, per: 2s, burst: 5}}\n")
    assert found["response"] == ['RateLimit-Policy: "l7";q=10;w=4', 'RateLimit: "l7";r=<left>;t=<seconds>']


def test_what_a_server_gets() -> None:
    found = look("http://a/x", "X-User: admin", "X-Debug: 1", "Accept-Encoding: gzip")
    assert "X-User: 10.0.0.1" in found["request"]
    assert "X-User: admin" not in found["request"]
    assert rules(found)["compress"][2] == "this client gets gzip"
    assert found["headers"]["X-Forwarded-For"] == "10.0.0.1"


@pytest.mark.parametrize(("url", "host"), [("http://a/y/..%2Fx", ["X-Host: a"]), ("http://a b/", [])])
def test_general_rules_hold_for_what_is_refused_before_any_is_asked(url: str, host: list[str]) -> None:
    found = look(
        url, more="response-headers: {set: {X-A: b, X-Host: '{host}', X-Id: '{request-id}'}}\ncompress: true\n"
    )
    assert (found["refused"]["status"], found["refused"]["page"], found["rules"]) == (400, "/etc/4xx.html", [])
    assert found["response"] == ["X-A: b", *host, "X-Id: <new-id>"]


def test_a_rule_that_flags_give_part_by_part() -> None:
    argv = ["a=b", "--defaults-rate-limit-per", "1s", "--response-headers-remove", "X-A"]
    loaded = load(argv, {"L7_DEFAULTS_RATE_LIMIT_REQUESTS": "5"})
    found = rules(explain(loaded.config, Question("http://a/", (), "GET", ""), loaded.sources).plain())
    assert found["rate-limit"][:2] == ("L7_DEFAULTS_RATE_LIMIT_REQUESTS", "defaults")
    assert found["response-headers"][:2] == ("--response-headers-remove", "all")
