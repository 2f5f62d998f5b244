"""Texts of records: a query without its values, no login, nothing that is no request line, nothing out of bounds."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.telemetry.recorder.recording import exchange, memory, reader, record, writer

LINES = [
    (b"GET / HTTP/1.1", "GET", "/", "HTTP/1.1"),
    (b"GET /a?b=c HTTP/1.1", "GET", "/a?b=…", "HTTP/1.1"),
    (b"GET /a?b=&c=d&&e HTTP/1.1", "GET", "/a?b=&c=…&&…", "HTTP/1.1"),
    (b"GET /a?b=c=d?e HTTP/1.1", "GET", "/a?b=…", "HTTP/1.1"),
    (b"GET /a? HTTP/1.0", "GET", "/a?", "HTTP/1.0"),
    (b"GET /a?secret with=spaces HTTP/1.1", "GET", "/a?secret with=…", "HTTP/1.1"),
    (b"GET /a?token", "GET", "/a?…", ""),
    (b"GET http://me:secret@a.com/x?y=z HTTP/1.1", "GET", "http://…@a.com/x?y=…", "HTTP/1.1"),
    (b"CONNECT me:secret@a.com:80 HTTP/1.1", "CONNECT", "…@a.com:80", "HTTP/1.1"),
    (b"GET http://a.com/x@y HTTP/1.1", "GET", "http://a.com/x@y", "HTTP/1.1"),
    (b"GET /x@y HTTP/1.1", "GET", "/x@y", "HTTP/1.1"),
    (b"GET  HTTP/1.1", "GET", "", "HTTP/1.1"),
    (b"OPTIONS * HTTP/1.1", "OPTIONS", "*", "HTTP/1.1"),
    (b"Authorization: Basic c2VjcmV0", "", "", ""),
    (b"\x16\x03\x01\x02\x00", "", "", ""),
    (b"", "", "", ""),
    (b"GET", "", "", ""),
    (b"GET /\xff\x1b[31m HTTP/1.1", "GET", "/\\xff\x1b[31m", "HTTP/1.1"),
]


@pytest.mark.parametrize(("line", "method", "target", "version"), LINES)
def test_a_request_line_is_kept_without_secrets(line: bytes, method: str, target: str, version: str) -> None:
    where = memory()
    record(writer(where), exchange(line=line))
    (found,) = reader(where).finished()
    assert (found.method, found.target, found.version) == (method, target, version)


def test_values_are_kept_where_they_are_wanted() -> None:
    where = memory()
    record(writer(where, queries=True), exchange(line=b"GET http://me:pw@a.com/a?b=c&d HTTP/1.1"))
    (found,) = reader(where).finished()
    assert found.target == "http://…@a.com/a?b=c&d"


@given(value=st.binary(max_size=700).map(lambda raw: raw.replace(b"&", b"").replace(b"=", b"")))
@example(value=b"x" * 520)
def test_a_value_never_gets_in(value: bytes) -> None:
    where = memory()
    record(writer(where), exchange(line=b"GET /?a=SECRET" + value + b"SECRET HTTP/1.1"))
    (found,) = reader(where).finished()
    assert "SECRET" not in found.target
    assert found.target.startswith("/?a=")


def test_what_is_long_is_cut() -> None:
    where = memory()
    made = exchange("i" * 128, b"GET /" + b"x" * 8000 + b" HTTP/1.1", client="c" * 100, host="h" * 300)
    record(writer(where), made)
    (found,) = reader(where).finished()
    assert (found.request_id, found.client, found.host) == ("i" * 128, "c" * 64, "h" * 200)
    assert found.target == "/" + "x" * 531 + "…"
    assert found.attempts[0].server == "10.0.0.1:80"
