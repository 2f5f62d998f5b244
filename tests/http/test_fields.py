"""The scan of field lines: what is kept, taken out, dropped, refused."""

from __future__ import annotations

import gc

import pytest

from l7.errors import BAD_REQUEST, BAD_RESPONSE, HEAD_TOO_LARGE, RESPONSE_HEAD_TOO_LARGE, ProxyError
from l7.http import fields
from l7.http.fields import Table
from l7.http.messages import lines_of
from l7.http.parser import RequestParser, ResponseParser


def request_table() -> Table:
    return Table(fields.REQUEST_FIELDS, BAD_REQUEST, fields.FORWARDED, underscores=True)


def response_table() -> Table:
    return Table(fields.RESPONSE_FIELDS, BAD_RESPONSE, fields.ORDINARY)


def trailer_table() -> Table:
    return Table(fields.TRAILER_FIELDS, BAD_REQUEST, fields.DROP, underscores=True)


def scan(table: Table, *lines: bytes) -> tuple[list[bytes], dict[int, bytes]]:
    values: fields.Values = [None] * fields.KINDS
    kept: list[bytes] = []
    text = b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    assert table.scan(text, 0, 1000, kept, values) == len(text)
    return lines_of(kept), {kind: value for kind, value in enumerate(values) if value is not None}


def test_lines_travel_on_untouched_and_in_order():
    lines = [b"X-b:2", b"Accept:  a \t", b"X-b: \t1", b"Empty:", b"cookie: \xe9", b"A:b:c", b"X-b: 3"]
    assert scan(request_table(), *lines) == (lines, {})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"Host", fields.HOST),
        (b"CONTENT-LENGTH", fields.LENGTH),
        (b"transfer-encoding", fields.CODING),
        (b"Connection", fields.CONNECTION),
        (b"TE", fields.TE),
        (b"Upgrade", fields.UPGRADE),
        (b"Expect", fields.EXPECT),
        (b"Max-Forwards", fields.MAX_FORWARDS),
        (b"X-Request-ID", fields.REQUEST_ID),
    ],
)
def test_what_l7_acts_on_is_taken_out(name, kind):
    assert scan(request_table(), name + b":\t v \t") == ([], {kind: b"v"})


@pytest.mark.parametrize("name", [b"User-Agent", b"Referer", b"Via", b"Authorization"])
def test_what_l7_only_notes_stays(name):
    kept, values = scan(request_table(), name + b": v ")
    assert kept == [name + b": v "] and list(values.values()) == [b"v"]


@pytest.mark.parametrize(
    "name",
    [b"Keep-Alive", b"Proxy-Connection", b"Proxy-Authorization", b"Proxy-Authenticate", b"Proxy-Authentication-Info",
     b"HTTP2-Settings"],
)  # fmt: skip
def test_hop_by_hop_fields_are_dropped(name):
    assert scan(request_table(), name + b": x", name.upper() + b": x") == ([], {})
    noted = {fields.KEEP_ALIVE: b"x"} if name == b"Keep-Alive" else {}
    assert scan(response_table(), name + b": x") == ([], noted)


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"x-forwarded-anything", b"Forwarded", b"X-Real-IP"])
def test_what_earlier_hops_say_is_kept_apart(name):
    assert scan(request_table(), name + b": 1", name + b":2") == (
        [],
        {fields.FORWARDED: name + b": 1\r\n" + name + b":2"},
    )


@pytest.mark.parametrize(
    "name",
    [b"X_Forwarded_For", b"X-Forwarded_Proto", b"x_forwarded_x", b"Content_Length", b"Transfer_Encoding",
     b"X_Request_ID",
     b"Max_Forwards", b"X_Real_IP", b"Keep_Alive", b"Proxy_Connection"],
)  # fmt: skip
def test_underscore_twins_are_dropped(name):
    assert scan(request_table(), name + b": x") == ([], {})


def test_other_underscores_travel_on():
    lines = [b"X_Mine: 1", b"user_agent: 2", b"_: 3"]
    assert scan(request_table(), *lines) == (lines, {})
    assert scan(response_table(), b"Content_Length: 1", b"X_Forwarded_For: 1") == (
        [b"Content_Length: 1", b"X_Forwarded_For: 1"],
        {},
    )


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"Transfer-Encoding", b"Authorization", b"Max-Forwards"])
def test_some_fields_come_once_only(name):
    for again in (name, name.lower(), name.upper()):
        with pytest.raises(ProxyError) as caught:
            scan(request_table(), name + b": 1", again + b": 1")
        assert caught.value.kind is BAD_REQUEST


def test_lists_are_joined():
    assert scan(request_table(), b"Connection: a", b"connection:", b"Connection: b") == (
        [],
        {fields.CONNECTION: b"a, , b"},
    )
    kept, values = scan(request_table(), b"Via: 1.1 a", b"Via: 1.1 b")
    assert len(kept) == 2 and values == {fields.VIA: b"1.1 a, 1.1 b"}


def test_the_first_user_agent_is_logged_and_all_travel_on():
    kept, values = scan(request_table(), b"User-Agent: a", b"User-Agent: b")
    assert kept == [b"User-Agent: a", b"User-Agent: b"] and values == {fields.USER_AGENT: b"a"}


@pytest.mark.parametrize(
    "line",
    [b":", b": v", b"name", b" : v", b"Name : v", b"Name\t: v", b" Name: v", b"\tName: v", b"Na me: v",
     b"Na(me: v", b"Na/me: v",
     b'"Name": v', b"N\xe9: v", b"N\x85: v", b"N\xa0: v", b"Transfer-Encoding\x0b: chunked", b"Content-Length\xa0: 5",
     b"{}: v",
     b"Host@: a", b"a,b: c", b"a;b: c", b"[a]: c", b"a\\: c", b"=: c", b"\xe2\x84\xaaeep-alive: c"],
)  # fmt: skip
def test_malformed_lines_are_refused_also_the_second_time(line):
    for table, kind in ((request_table(), BAD_REQUEST), (response_table(), BAD_RESPONSE)):
        for _ in range(2):
            with pytest.raises(ProxyError) as caught:
                scan(table, b"Good: 1", line)
            assert caught.value.kind is kind


@pytest.mark.parametrize("name", sorted(fields.TRAILER_FIELDS))
def test_trailers_never_say_what_heads_say(name):
    assert scan(trailer_table(), name + b": x", name.title() + b": x", b"X-Sum: 1") == ([b"X-Sum: 1"], {})


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"x-forwarded-new", b"X_Forwarded_For", b"Transfer_Encoding"])
def test_trailers_never_say_where_a_request_came_from(name):
    assert scan(trailer_table(), name + b": x") == ([], {})


def test_a_name_that_shares_its_slot_is_another():
    """As long as one that l7 acts on, with the same first letter, or of any other name's slot."""
    lines = [
        b"Hose: a",
        b"Contention: a",
        b"X-Forwarded: a",
        b"Via-: a",
        b"V: a",
        b"T: 1",
        b"Tea: 1",
        b"Contend-Length: 1",
    ]
    assert scan(request_table(), *lines) == (lines, {})
    assert scan(response_table(), *lines, b"Host: a") == ([*lines, b"Host: a"], {})


CONTROLS = [bytes([code]) for code in (*range(0x09), *range(0x0A, 0x20), 0x7F)]


@pytest.mark.parametrize("byte", CONTROLS)
def test_control_bytes_anywhere_in_a_head_are_refused(byte):
    for head in (
        b"HTTP/1.1 200 A" + byte + b"B\r\nC: d",
        b"HTTP/1.1 200 A" + byte + b"\r\nC: d",
        byte + b"HTTP/1.1 200 A\r\nC: d",
        b"HTTP/1.1 200 A\r\nC: d" + byte + b"e",
        b"HTTP/1.1 200 A\r\nC: d" + byte,
        b"HTTP/1.1 200 A\r\nC" + byte + b": d",
    ):
        with pytest.raises(ProxyError) as caught:
            ResponseParser(10).parse(head, b"GET")
        assert caught.value.kind is BAD_RESPONSE
        with pytest.raises(ProxyError) as caught:
            RequestParser(10, 100).parse(b"GET / HTTP/1.1\r\nHost: a\r\nC: d" + byte + b"e")
        assert caught.value.kind is BAD_REQUEST


def test_tabs_and_high_bytes_are_text():
    assert scan(response_table(), b"B: \t\x80\xff") == ([b"B: \t\x80\xff"], {})


def test_too_many_fields():
    text = b"A: b\r\n" * 11 + b"\r\n"
    for table, expected in ((request_table(), HEAD_TOO_LARGE), (response_table(), RESPONSE_HEAD_TOO_LARGE)):
        assert table.scan(text, 0, 11, [], [None] * fields.KINDS) == len(text)
        with pytest.raises(ProxyError) as caught:
            table.scan(text, 0, 10, [], [None] * fields.KINDS)
        assert caught.value.kind is expected


def test_a_head_that_has_not_come_to_its_end():
    table = request_table()
    whole = b"A: 1\r\nB_c: 2\r\n\r\n"
    for size in range(len(whole)):
        assert table.scan(whole[:size], 0, 9, [], [None] * fields.KINDS) == -1
    assert table.scan(whole + b"A: 1", 0, 9, [], [None] * fields.KINDS) == len(whole)


def test_nothing_of_a_head_is_left_for_the_next():
    table = request_table()
    before = [referent for referent in gc.get_referents(table) if not isinstance(referent, type)]
    scan(table, b"Host: a", b"Cookie: b", b"X-New: c", b"Authorization: d")
    assert [referent for referent in gc.get_referents(table) if not isinstance(referent, type)] == before


def test_name_of():
    assert fields.name_of(b"Ab-C: d:e") == b"ab-c"
