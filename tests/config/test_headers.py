"""The sections of header rules: what is refused, in which words, and what is shown of what is secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from l7.config.changes import changes
from l7.config.reading.loading import load
from l7.config.rendering.dump import render_dump
from l7.config.sections.headers import RequestHeaders, ResponseHeaders, SentHost, plain
from l7.errors import ConfigError


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
    for values in ("open sesame", ["open sesame"]):
        changes = RequestHeaders.model_validate({"add": {name: values}})
        assert "sesame" not in repr(changes)
        assert [plain(value) for value in changes.add[name]] == ["open sesame"]
    assert "sesame" not in complaint(RequestHeaders, {"add": {name: ["a", "open sesame\n"]}})


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
    ("written", "words"),
    [
        ("", "is not a host name"),
        ("a b", "is not a host name"),
        ("a:b", "'b' is not a port"),
        ("a:0", "'0' is not a port"),
        ("a:99999", "'99999' is not a port"),
        ("http://a", "neither a URL nor a path; write client, server or a host"),
        ("a/b", "neither a URL nor a path"),
        ("::1", "is not a host"),
        ("x[::1]", "is not a host"),
        ("a\nb", "is not a host name"),
        ("*", "is not a host name"),
    ],
)
def test_what_is_no_host(written: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(SentHost).validate_python(written)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "backends: {a.test: {strip-prefix: true, servers: [b]}}",
            "backends.a.test.strip-prefix: a route without a path has no prefix; write one, as in a.test/api",
        ),
        ("backends: {a.test/api: {strip-prefix: true, servers: [b]}}", ""),
        ("backends: {'a.test, b.test/api': {strip-prefix: true, servers: [b]}}", ""),
        ("{defaults: {strip-prefix: true}, backends: {a.test: {servers: [b]}}}", ""),
    ],
)
def test_prefix_that_there_is_not(tmp_path: Path, text: str, told: str) -> None:
    assert told in refusal(tmp_path, text) if told else not refusal(tmp_path, text)


def refusal(tmp_path: Path, text: str) -> str:
    """What `l7 check` says of a file; empty where it takes it."""
    file = tmp_path / "config.yml"
    file.write_text(text, "utf-8")
    try:
        load(["-c", str(file)], {})
    except ConfigError as refused:
        return str(refused).replace(str(file), "config.yml")
    return ""


def test_fields_that_stand_beside_set(tmp_path: Path) -> None:
    path = tmp_path / "l7.yml"
    path.write_text("response-headers: {X-A: b, sett: {}}\nbackends: {a: {servers: [b], request-headers: {X-B: c}}}\n")
    with pytest.raises(ConfigError) as caught:
        load(["--config", str(path)], {})
    assert [problem.what for problem in caught.value.problems] == [
        "unknown key; write fields below set, as in `set: {X-A: ...}`",
        "unknown key; did you mean 'set'?",
        "unknown key; write fields below set, as in `set: {X-B: ...}`",
    ]


def test_where_it_stands_in_the_file(tmp_path: Path) -> None:
    text = """
response-headers:
  set: {X-A: b, Connection: close}
backends:
  a.test:
    servers: [b]
    request-headers:
      set:
        X-A: '{hots}'
        Authorization: "sesame\\0"
      remove:
        - X-Forwarded-For
"""
    assert [line.partition(": ")[0::2] for line in refusal(tmp_path, text).splitlines()] == [
        ("config.yml:3", "response-headers.set.Connection: Connection cannot be changed by a rule: it is for one "
         "connection only, and l7 writes it itself"),
        ("config.yml:9", "backends.a.test.request-headers.set.X-A: {hots}: unknown variable; did you mean 'host'? (the "
         "text itself is written {{hots}})"),
        ("config.yml:10", "backends.a.test.request-headers.set.Authorization: a line end, a tab or another control "
         "character cannot stand in a field"),
        ("config.yml:12", "backends.a.test.request-headers.remove[0]: X-Forwarded-For cannot be changed by a rule: l7 "
         "says itself how a request came; from whom more of it is believed is for trusted-proxies to say"),
    ]  # fmt: skip


def test_dump_hides_what_proves_who_asks_and_loads_back(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(
        "backends: {a.test: {servers: [b], request-headers: {set: {Authorization: Basic sesame, X-Env: '{host}'}, "
        "add: {X-Key: [sesame], X-Tag: [a]}}}}"
    )
    dump = render_dump(load(["-c", str(file)], {}))
    assert "sesame" not in dump
    assert re.search(r"Authorization: '\*\*\*'", dump)
    assert "X-Env: '{host}'" in dump
    file.write_text(dump)
    again = load(["-c", str(file)], {})
    assert again.config.backends["a.test"].request_headers.set["X-Env"] == "{host}"
    assert ["servers do not get it" in str(problem) for problem in again.warnings] == [True, True]
    assert "backends.a.test.request-headers.set" in str(again.warnings[0])
    assert "backends.a.test.request-headers.add" in str(again.warnings[1])


def test_a_backend_decides_of_the_fields_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(
        """
defaults:
  request-headers: {set: {Authorization: Basic x, X-A: '1', X-B: '2'}, add: {X-C: '3', X-D: '4'}, remove: [Cookie]}
backends:
  a.test: {servers: [b], request-headers: {set: {authorization: Basic y}, remove: [x-a], add: {X-c: '5'}}}
  b.test: {servers: [b]}
  c.test: {servers: [b], request-headers: {remove: X-B}}
"""
    )
    loaded = load(["-c", str(file)], {})
    own = loaded.config.backends["a.test"].request_headers
    assert {name: plain(value) for name, value in own.set.items()} == {"authorization": "Basic y", "X-B": "2"}
    assert own.add == {"X-c": ("5",), "X-D": ("4",)}
    assert own.remove == ("x-a",)
    assert loaded.config.backends["b.test"].request_headers == loaded.config.defaults.request_headers
    assert loaded.config.backends["c.test"].request_headers.set.keys() == {"Authorization", "X-A"}
    dump = render_dump(loaded)
    assert "Basic" not in dump
    file.write_text(dump)
    assert load(["-c", str(file)], {}).config.backends["a.test"].request_headers.add == own.add


def test_a_reload_tells_what_is_different_but_no_secret(tmp_path: Path) -> None:
    told = []
    for word in ("sesame", "poppy"):
        file = tmp_path / f"{word}.yml"
        file.write_text(
            f"response-headers: {{add: {{X-Word: [{word}, b]}}}}\n"
            f"backends: {{a.test: {{servers: [b], request-headers: {{set: {{Authorization: {word}}}, "
            f"add: {{X-Key: [{word}], X-Env: prod}}}}}}}}"
        )
        told.append(load(["-c", str(file)], {}).config)
    assert changes(told[0], told[1]) == [
        "response-headers.add.X-Word: [sesame, b] -> [poppy, b]",
        "backends.a.test.request-headers.set.Authorization: changed",
        "backends.a.test.request-headers.add.X-Key: changed",
    ]
