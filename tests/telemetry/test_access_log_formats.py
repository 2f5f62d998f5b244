"""Lines are nginx's to the letter, and nobody can forge one."""

from __future__ import annotations

import gc
import json
import locale
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.exchange import NOT_REACHED, Exchange
from l7.http.grammar import REQUEST_ID
from l7.telemetry.access_log_formats import FORMATS, CombinedFormat, JsonFormat, L7Format, LocalTime
from l7.telemetry.line_writing import escape
from l7.tls.details import TlsDetails

NOON = 1_700_000_000.1239
COMBINED = re.compile(
    r'(?P<client>\S+) - (?P<user>\S+) \[(?P<time>[^]]+)\] "(?P<request>[^"]*)" (?P<status>\d{3}) (?P<sent>\d+) '
    r'"(?P<referer>[^"]*)" "(?P<agent>[^"]*)"'
)
L7 = re.compile(
    COMBINED.pattern + r" (?P<id>\S+) (?P<host>\S+) (?P<server>\S+) (?P<times>-?\d+/-?\d+/-?\d+/-?\d+) "
    r"(?P<attempts>\d+) (?P<received>\d+) \"(?P<reason>[^\"]*)\" (?P<code>\S\S)"
)


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "XYZ-5:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def make_exchange(**fields: object) -> Exchange:
    exchange = Exchange("192.0.2.7", 12.0)
    exchange.request_line = b"GET /x?y HTTP/1.1"
    exchange.host = "example.com"
    exchange.request_id = "0123abcd"
    exchange.user = b"admin"
    exchange.referer = b"https://example.com/"
    exchange.user_agent = b"curl/8.0"
    exchange.server = "127.0.0.1:8081"
    exchange.attempts = 1
    exchange.status = 200
    exchange.received, exchange.sent = 5, 1234
    exchange.queue_time, exchange.connect_time, exchange.response_time = 0.0, 0.0019, 0.0125
    exchange.total_time = 1.5
    for name, value in fields.items():
        setattr(exchange, name, value)
    return exchange


def test_combined_is_nginx_to_the_letter() -> None:
    assert CombinedFormat(lambda: NOON).line(make_exchange()) == (
        "192.0.2.7 - admin [15/Nov/2023:03:43:20 +0530] "
        '"GET /x?y HTTP/1.1" 200 1234 "https://example.com/" "curl/8.0"\n'
    )


def test_l7_adds_what_a_proxy_knows() -> None:
    line = L7Format(lambda: NOON).line(make_exchange())
    head = CombinedFormat(lambda: NOON).line(make_exchange()).rstrip("\n")
    assert line == head + ' 0123abcd example.com 127.0.0.1:8081 0/1/12/1500 1 5 "-" --\n'


def test_what_is_empty_is_a_dash() -> None:
    line = L7Format(lambda: NOON).line(Exchange("", 0.0))
    assert line == '- - - [15/Nov/2023:03:43:20 +0530] "-" 000 0 "-" "-" - - - -1/-1/-1/0 0 0 "-" --\n'


def test_json_has_the_same_fields() -> None:
    line = JsonFormat(lambda: NOON).line(make_exchange(response_time=NOT_REACHED, code="sH"))
    assert json.loads(line) == {
        "time": "2023-11-15T03:43:20.123+05:30",
        "client": "192.0.2.7",
        "user": "admin",
        "request": "GET /x?y HTTP/1.1",
        "status": 200,
        "bytes_sent": 1234,
        "referer": "https://example.com/",
        "user_agent": "curl/8.0",
        "request_id": "0123abcd",
        "host": "example.com",
        "server": "127.0.0.1:8081",
        "queue": 0,
        "connect": 1,
        "first_byte": -1,
        "total": 1500,
        "attempts": 1,
        "bytes_received": 5,
        "termination": "sH",
        "reason": "",
        "scheme": "http",
        "tls_version": "",
        "tls_cipher": "",
        "tls_sni": "",
        "tls_resumed": False,
    }


def test_json_has_what_was_agreed_on_in_tls() -> None:
    exchange = make_exchange()
    exchange.tls = TlsDetails("1.3", "TLS_AES_128_GCM_SHA256", 'a"b', resumed=True)
    line = json.loads(JsonFormat().line(exchange))
    assert (line["scheme"], line["tls_version"], line["tls_cipher"]) == ("https", "1.3", "TLS_AES_128_GCM_SHA256")
    assert (line["tls_sni"], line["tls_resumed"]) == ('a"b', True)


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b'a"b', r"a\x22b"),
        (b"a\\b", r"a\x5Cb"),
        (b"\r\n\0\x1f", r"\x0D\x0A\x00\x1F"),
        (b"\x7f\x80\xff", r"\x7F\x80\xFF"),
        ("ä".encode(), r"\xC3\xA4"),
        (b" !#~[]", " !#~[]"),
    ],
)
def test_escaping_is_nginx_default(raw: bytes, written: str) -> None:
    assert escape(raw) == written
    for field in ("request_line", "referer", "user_agent"):
        assert written in CombinedFormat(lambda: NOON).line(make_exchange(**{field: raw}))


def test_json_text_is_utf8_or_escaped() -> None:
    record = json.loads(JsonFormat().line(make_exchange(user_agent="ä\u2028\n".encode(), referer=b"\xff\x01")))
    assert record["user_agent"] == "ä\u2028\n"
    assert record["referer"] == "\\xff\x01"


ANY = (
    {name: st.binary() for name in ("request_line", "user", "referer", "user_agent")}
    | {name: st.text() for name in ("client", "host", "server")}
    | {"request_id": st.from_regex(REQUEST_ID.pattern.decode(), fullmatch=True)}
)


@given(st.fixed_dictionaries(ANY))
def test_no_request_forges_a_line(fields: dict[str, Any]) -> None:
    exchange = make_exchange(**fields)
    for form, pattern in ((CombinedFormat(), COMBINED), (L7Format(), L7)):
        text = form.line(exchange)
        assert text.isascii()
        assert text[:-1].isprintable()
        assert text.endswith("\n")
        found = pattern.fullmatch(text[:-1])
        assert found is not None, text
        assert found["request"] == (escape(exchange.request_line) or "-")
        assert found["agent"] == (escape(exchange.user_agent) or "-")
    text = JsonFormat().line(exchange)
    assert text.isascii()
    assert text[:-1].isprintable()
    assert json.loads(text)["host"] == exchange.host


def test_times_change_with_the_second_and_the_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalTime()
    assert local.iso(NOON) == "2023-11-15T03:43:20.123+05:30"
    assert local.iso(NOON + 0.5) == "2023-11-15T03:43:20.623+05:30"
    assert local.nginx(NOON + 1) == b"15/Nov/2023:03:43:21 +0530"
    monkeypatch.setenv("TZ", "XYZ+3:30")
    time.tzset()
    assert local.nginx(NOON) == b"14/Nov/2023:18:43:20 -0330"
    assert local.iso(NOON) == "2023-11-14T18:43:20.123-03:30"


def test_months_are_english_in_every_locale() -> None:
    before = locale.setlocale(locale.LC_TIME)
    try:
        for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C"):
            try:
                locale.setlocale(locale.LC_TIME, name)
            except locale.Error:
                continue
            assert b"/Nov/" in LocalTime().nginx(NOON)
    finally:
        locale.setlocale(locale.LC_TIME, before)


def test_every_format_has_a_name() -> None:
    assert set(FORMATS) == {"combined", "l7", "json"}
    for make in FORMATS.values():
        assert make().line(make_exchange()).count("\n") == 1


def test_lines_are_written_one_behind_the_other_in_a_buffer_that_grows() -> None:
    for form in (make(lambda: NOON) for make in FORMATS.values()):
        lines = [form.line(make_exchange(user_agent=b"\xff" * size, sent=size)) for size in (0, 1, 7, 8, 9, 30_000)]
        buffer, at = bytearray(b"?" * 10), 0
        for size in (0, 1, 7, 8, 9, 30_000):
            at = form.write(buffer, at, make_exchange(user_agent=b"\xff" * size, sent=size))
        assert buffer[:at].decode() == "".join(lines)


@pytest.mark.parametrize("number", [0, 7, 10, -1, 2**63 - 1, -(2**63) + 1])
def test_numbers(number: int) -> None:
    assert f' {number} "' in CombinedFormat(lambda: NOON).line(make_exchange(sent=number))


def test_nothing_of_a_request_is_kept() -> None:
    for form in (make(lambda: NOON) for make in FORMATS.values()):
        form.line(make_exchange())
        before = gc.get_referents(form)
        form.line(make_exchange(user_agent=b"another", host="another", client="::1"))
        assert gc.get_referents(form) == before
