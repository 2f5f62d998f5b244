"""The sections of header rules: what is refused, in which words, and what is shown of what is secret."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from l7.config.sections.headers import RequestHeaders, ResponseHeaders, SentHost, plain


def complaint(section: type[RequestHeaders | ResponseHeaders], written: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        section.model_validate(written)
    (detail,) = refused.value.errors()
    return f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"


def test_what_may_be_written() -> None:
    changes = RequestHeaders.model_validate(
        {"remove": "Cookie", "set": {"X-Env": "prod", "X-Number": "5"}, "add": {"X-A": "b", "x-c": ["{client}", "d"]}}
    )
    assert changes.remove == ("Cookie",)
    assert changes.set == {"X-Env": "prod", "X-Number": "5"}
    assert changes.add == {"X-A": ("b",), "x-c": ("{client}", "d")}
    assert ResponseHeaders.model_validate({"set": {"X-Request-ID": "{request-id}", "Via": "x"}}).remove == ()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Host", "write `host: NAME` below the backend"),
        ("content-length", "l7 writes it itself, as the body needs it"),
        ("Transfer-Encoding", "l7 writes it itself, as the body needs it"),
        ("Transfer_Encoding", "l7 writes it itself, as the body needs it"),
        ("Connection", "it is for one connection only"),
        ("TE", "it is for one connection only"),
        ("Upgrade", "it is for one connection only"),
        ("Forwarded", "l7 says itself how a request came"),
        ("X-Forwarded-For", "l7 says itself how a request came"),
        ("X-Forwarded-Anything", "l7 says itself how a request came"),
        ("x_forwarded_for", "l7 says itself how a request came"),
        ("X-Request-ID", "l7 gives each request one"),
        ("X-Client-Cert-Subject", "only l7 says what is known of a client's certificate"),
    ],
)
@pytest.mark.parametrize("where", ["set", "add", "remove"])
def test_fields_of_requests_that_are_not_for_rules(name: str, why: str, where: str) -> None:
    told = complaint(RequestHeaders, {where: [name] if where == "remove" else {name: "x"}})
    assert told.startswith(where)
    assert name in told
    assert why in told


@pytest.mark.parametrize(
    "name", ["Content-Length", "Connection", "Date", "Trailer", "Sec-WebSocket-Accept", "X-Forwarded-For", "Host"]
)
def test_fields_of_responses_that_are_not_for_rules(name: str) -> None:
    assert name in complaint(ResponseHeaders, {"set": {name: "x"}})
    assert name in complaint(ResponseHeaders, {"remove": [name]})


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"set": {"a b": "x"}}, "'a b' is not a name"),
        ({"set": {"A": "b\r\nC: d"}}, "cannot stand in a field"),
        ({"set": {"A": "b\tc"}}, "cannot stand in a field"),
        ({"add": {"A": ["b", "c\0"]}}, "cannot stand in a field"),
        ({"set": {"A": ""}}, "below `remove` to take the field away"),
        ({"set": {"A": "{hots}"}}, "set.A: Value error, {hots}: unknown variable; did you mean 'host'?"),
        ({"add": {"A": ["b", "{hots}"]}}, "did you mean 'host'?"),
        ({"add": {"A": []}}, "write a value, or a list of them"),
        ({"set": {"X-Env": "a", "x-env": "b"}}, "'X-Env' and 'x-env' are the same field; write it once"),
        ({"set": ["A"]}, "set"),
        ({"sett": {}}, "sett"),
    ],
)
@pytest.mark.parametrize("section", [RequestHeaders, ResponseHeaders])
def test_what_is_refused(section: type[RequestHeaders | ResponseHeaders], written: Any, told: str) -> None:
    assert told in complaint(section, written)


@pytest.mark.parametrize("name", ["Authorization", "COOKIE", "X-Api-Key", "X-Auth-Token", "Apikey", "X_Secret"])
def test_what_proves_who_asks_is_not_shown(name: str) -> None:
    changes = RequestHeaders.model_validate({"set": {name: "open sesame"}})
    assert "sesame" not in repr(changes)
    assert plain(changes.set[name]) == "open sesame"
    assert "sesame" not in complaint(RequestHeaders, {"set": {name: "open sesame\n"}})


def test_ordinary_values_are_shown() -> None:
    for name in ("X-Env", "Accept", "X-Monkey", "Authority"):
        assert "prod" in repr(RequestHeaders.model_validate({"set": {name: "prod"}}))


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("client", "client"),
        ("server", "server"),
        ("App.internal", "app.internal"),
        ("app.internal:8080", "app.internal:8080"),
        ("[::1]:80", "[::1]:80"),
        ("[::1]", "[::1]"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_host_of_servers(written: str, host: str) -> None:
    assert TypeAdapter(SentHost).validate_python(written) == host


@pytest.mark.parametrize(
    "written", ["", "a b", "a:b", "a:0", "a:99999", "http://a", "a/b", "::1", "x[::1]", "a\nb", "*"]
)
def test_what_is_no_host(written: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(SentHost).validate_python(written)
