"""Heads: what the parser finds out, and what it refuses with which row of the failure table."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7 import errors
from l7.errors import ProxyError
from l7.http.messages import ABSENT, CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from l7.http.parser import LONGEST_METHOD, RequestParser, ResponseParser


def parse(*fields: bytes, line: bytes = b"GET /p HTTP/1.1", host: bytes | None = b"Host: a.test") -> RequestHead:
    head = [line, *([host] if host else []), *fields]
    return RequestParser(20, 100).parse(b"\r\n".join(head))


def refused(kind: errors.Kind, *fields: bytes, **options: bytes | None) -> None:
    with pytest.raises(ProxyError) as caught:
        parse(*fields, **options)
    assert caught.value.kind is kind, caught.value


def answer(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> ResponseHead:
    return ResponseParser(20).parse(b"\r\n".join([line, *fields]), method)


def bad_answer(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> None:
    with pytest.raises(ProxyError) as caught:
        answer(*fields, line=line, method=method)
    assert caught.value.kind is errors.BAD_RESPONSE


# ------------------------------------------------------------------------------------------------ the request line


def test_a_plain_request():
    head = parse(b"User-Agent: u", b"Referer: r", b"X-A:  1 ")
    assert (head.line, head.method, head.path, head.minor) == (b"GET /p HTTP/1.1", b"GET", b"/p", 1)
    assert (head.authority, head.host, head.length, head.persistent) == (b"a.test", "a.test", ABSENT, True)
    assert head.lines == [b"User-Agent: u", b"Referer: r", b"X-A:  1 "]
    assert (head.user_agent, head.referer, head.authorization, head.upgrade, head.expects) == (
        b"u",
        b"r",
        None,
        b"",
        False,
    )


@pytest.mark.parametrize("minor", range(10))
def test_minor_versions_are_0_or_1(minor):
    assert parse(line=b"GET / HTTP/1.%d" % minor).minor == min(minor, 1)


@pytest.mark.parametrize("version", [b"0.9", b"2.0", b"3.0", b"9.9", b"0.0"])
def test_other_major_versions_are_505(version):
    refused(errors.UNKNOWN_VERSION, line=b"GET / HTTP/" + version)
    refused(errors.UNKNOWN_VERSION, line=b"PRI * HTTP/2.0")


@pytest.mark.parametrize(
    "line",
    [b"", b" ", b"GET", b"GET /", b"GET / ", b"GET  / HTTP/1.1", b"GET\t/ HTTP/1.1", b"GET / HTTP/1.1 ",
     b" GET / HTTP/1.1", b"GET / http/1.1",
     b"GET / HTTP/1.10", b"GET / a HTTP/1.1", b"G\xc9T / HTTP/1.1", b"G@T / HTTP/1.1", b"GET: / HTTP/1.1",
     b"(GET) / HTTP/1.1",
     b"GET p HTTP/1.1", b"GET ? HTTP/1.1", b"GET * HTTP/1.1", b"POST * HTTP/1.1", b"GET ** HTTP/1.1",
     b"OPTIONS *x HTTP/1.1",
     b"GET /a#b HTTP/1.1", b"GET /\xe9 HTTP/1.1", b"GET /a\tb HTTP/1.1", b"GET a.test:80 HTTP/1.1",
     b"GET //a HTTP/1.1\t",
     b"GET http:// HTTP/1.1", b"GET http:///x HTTP/1.1", b"GET http:/x HTTP/1.1", b"GET http:a HTTP/1.1",
     b"GET ftp://a/ HTTP/1.1",
     b"GET http://u@a/ HTTP/1.1", b"GET http://u:p@a/ HTTP/1.1", b"GET http://a:99999/ HTTP/1.1",
     b"GET http://[::1/ HTTP/1.1",
     b"GET //[::1 HTTP/2", b"GET http://a\\b/ HTTP/1.1", b"GET http://?x HTTP/1.1", b"GET ws://a/ HTTP/1.1",
     b"GET https:a/ HTTP/1.1"],
)  # fmt: skip
def test_malformed_request_lines_are_400(line):
    refused(errors.BAD_REQUEST, line=line)


def test_targets_that_look_odd_travel_on():
    for target in (b"//", b"//[", b"/..", b"/%zz", b"/{a|b}^`", b"/http://b/", b"/?", b"/a?b?c", b'/"<>\\'):
        assert parse(line=b"GET " + target + b" HTTP/1.1").path == target


@pytest.mark.parametrize(
    ("target", "path", "authority", "host"),
    [
        (b"http://b.test/x?y", b"/x?y", b"b.test", "b.test"),
        (b"HTTP://B.test:81/x", b"/x", b"B.test:81", "b.test"),
        (b"https://b.test", b"/", b"b.test", "b.test"),
        (b"http://b.test?q", b"/?q", b"b.test", "b.test"),
        (b"http://b.test/?q?r", b"/?q?r", b"b.test", "b.test"),
        (b"http://[::1]:8/", b"/", b"[::1]:8", "[::1]"),
        (b"http://b.test/http://c/", b"/http://c/", b"b.test", "b.test"),
    ],
)
def test_absolute_form_decides_and_replaces_host(target, path, authority, host):
    head = parse(line=b"GET " + target + b" HTTP/1.1")
    assert (head.path, head.authority, head.host) == (path, authority, host)


def test_options_for_a_whole_server():
    assert parse(line=b"OPTIONS * HTTP/1.1").path == b"*"
    head = parse(line=b"OPTIONS http://b.test HTTP/1.1")
    assert (head.path, head.authority) == (b"*", b"b.test")
    assert parse(line=b"OPTIONS http://b.test/ HTTP/1.1").path == b"/"
    assert parse(line=b"OPTIONS http://b.test?x HTTP/1.1").path == b"/?x"


def test_connect_is_405_where_it_is_well_formed():
    for target in (b"a.test:443", b"[::1]:443", b"127.0.0.1:80"):
        refused(errors.METHOD_NOT_ALLOWED, line=b"CONNECT " + target + b" HTTP/1.1")
    for target in (b"/", b"a.test", b"a.test:", b"*", b"http://a/", b"u@a:80", b"a:99999", b"[::1]", b":80"):
        refused(errors.BAD_REQUEST, line=b"CONNECT " + target + b" HTTP/1.1")


def test_methods():
    assert parse(line=b"get / HTTP/1.1").method == b"get"
    assert parse(line=b"M" * LONGEST_METHOD + b" / HTTP/1.1").method == b"M" * LONGEST_METHOD
    refused(errors.NOT_IMPLEMENTED, line=b"M" * (LONGEST_METHOD + 1) + b" / HTTP/1.1")
    refused(errors.NOT_IMPLEMENTED, line=b"M" * 5000)


UTF8 = RequestParser(20, 100, utf8=True)


def utf8(target: bytes, version: bytes = b"HTTP/1.1") -> RequestHead:
    return UTF8.parse(b"GET " + target + b" " + version + b"\r\nHost: a.test")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/caf\xe9", b"/caf%C3%A9"),
        ("/\u65e5\u672c?q=\U0001f600&x=%C3%A9", b"/%E6%97%A5%E6%9C%AC?q=%F0%9F%98%80&x=%C3%A9"),
        ("/\x80\x85\u2028\ufeff", b"/%C2%80%C2%85%E2%80%A8%EF%BB%BF"),
        ("/{}|^%zz", b"/{}|^%zz"),
        ("http://b.test/\xfc?\xfc", b"/%C3%BC?%C3%BC"),
        ("http://b.test?\xfc", b"/?%C3%BC"),
    ],
)
def test_raw_utf_8_goes_on_escaped_where_that_is_wanted(target, path):
    """nginx passes it on raw, HAProxy refuses it, Caddy escapes the path and passes the query on raw."""
    raw = target.encode()
    for version in (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2"):
        head = utf8(raw, version)
        assert head.path == path
        assert head.line.isascii() and raw.isascii() is (head.line == b"GET " + raw + b" " + version)
    if not raw.isascii():
        refused(errors.BAD_REQUEST, line=b"GET " + raw + b" HTTP/1.1")


@pytest.mark.parametrize(
    "target",
    [b"/\xff", b"/\xc3", b"/\xc0\xaf", b"/\xed\xa0\x80", b"/\xf4\x90\x80\x80", b"/\xe2\x80", b"/\xc3\xa9\x00",
     b"/\xc3\xa9#x", b"/\xc3\xa9\x7f", b"/\xc3\xa9\t", "http://b\xfccher.test/".encode(), "\xfc".encode(),
     "*\xfc".encode(), "http://a@\xfc/".encode()],
)  # fmt: skip
def test_what_is_no_utf_8_or_stands_elsewhere_is_refused(target):
    with pytest.raises(ProxyError) as caught:
        utf8(target)
    assert caught.value.kind is errors.BAD_REQUEST


def test_what_is_escaped_counts_as_it_goes_on():
    assert len(utf8(b"/" + "\xe9".encode() * 16).path) == 97
    with pytest.raises(ProxyError) as caught:
        utf8(b"/" + "\xe9".encode() * 17)
    assert caught.value.kind is errors.TARGET_TOO_LONG


@given(st.text(st.characters(exclude_characters=" #", exclude_categories=["Cs", "Cc"]), max_size=15))
def test_every_text_comes_back_from_its_escaped_form(text):
    raw = text.encode()
    target = b"/" + raw
    assert unquote_to_bytes(utf8(target).path) == unquote_to_bytes(target)


def test_the_length_of_a_target():
    assert parse(line=b"GET /" + b"x" * 99 + b" HTTP/1.1").path == b"/" + b"x" * 99
    refused(errors.TARGET_TOO_LONG, line=b"GET /" + b"x" * 100 + b" HTTP/1.1")
    refused(errors.TARGET_TOO_LONG, line=b"GET http://a/" + b"x" * 100 + b" HTTP/1.1")
    refused(errors.TARGET_TOO_LONG, line=b"GET /" + b"x" * 100)


def test_the_number_of_fields():
    parse(*[b"A: b"] * 19)
    refused(errors.HEAD_TOO_LARGE, *[b"A: b"] * 20)


# ---------------------------------------------------------------------------------------------------------- Host


def test_host_is_needed_once_and_valid():
    refused(errors.BAD_REQUEST, host=None)
    refused(errors.BAD_REQUEST, b"Host: a.test")
    refused(errors.BAD_REQUEST, b"host: b.test")
    for value in (b"", b" ", b"a b", b"u@a", b"a:b", b"a,b c", b"a/", b"[::1", b"a\xe9"):
        refused(errors.BAD_REQUEST, host=b"Host: " + value)


def test_host_must_be_valid_even_where_the_target_decides():
    refused(errors.BAD_REQUEST, line=b"GET http://b/ HTTP/1.1", host=b"Host: a b")
    refused(errors.BAD_REQUEST, line=b"GET http://b/ HTTP/1.1", host=None)


def test_http_1_0_may_come_without_host():
    head = parse(line=b"GET / HTTP/1.0", host=None)
    assert (head.authority, head.host, head.persistent) == (b"", "", False)
    head = parse(line=b"GET http://b.test/x HTTP/1.0", host=None)
    assert (head.authority, head.host, head.path) == (b"b.test", "b.test", b"/x")
    refused(errors.BAD_REQUEST, line=b"GET / HTTP/1.0", host=b"Host: a b")


# ------------------------------------------------------------------------------------------------------- framing


@pytest.mark.parametrize(
    ("value", "length"), [(b"0", 0), (b"7", 7), (b"007", 7), (b"9" * 18, 10**18 - 1), (b"\t7 ", 7)]
)
def test_content_length(value, length):
    assert parse(b"Content-Length: " + value, line=b"POST / HTTP/1.1").length == length
    assert parse(b"content-length:" + value).length == length


BAD_LENGTHS = [
    b"", b"+7", b"-7", b"7,7", b"7, 7", b"7;", b"0x7", b"7 7", b"7_0", b"7.0", b"\xb2", b"\xd9\xa7", b"7\xa0", b"7\x85",
    b"1" + b"0" * 18, b"18446744073709551615", b"18446744073709551616", b"18446744073709551623", b"9" * 90, b"chunked",
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_LENGTHS)
def test_bad_content_length(value):
    refused(errors.BAD_REQUEST, b"Content-Length: " + value)
    bad_answer(b"Content-Length: " + value)
    bad_answer(b"Content-Length: " + value, method=b"HEAD")


@pytest.mark.parametrize("second", [b"7", b"8", b""])
def test_content_length_comes_once(second):
    refused(errors.BAD_REQUEST, b"Content-Length: 7", b"content-length: " + second)
    bad_answer(b"Content-Length: 7", b"content-length: " + second)


def test_chunked():
    for value in (b"chunked", b"Chunked", b" CHUNKED\t"):
        assert parse(b"Transfer-Encoding:" + value, line=b"POST / HTTP/1.1").length == CHUNKED
        assert answer(b"Transfer-Encoding:" + value).length == CHUNKED


@pytest.mark.parametrize("value", [b"gzip, chunked", b"gzip;q=1, chunked", b"x,chunked", b"identity, chunked"])
def test_unknown_codings_before_chunked_are_501(value):
    refused(errors.NOT_IMPLEMENTED, b"Transfer-Encoding: " + value)
    bad_answer(b"Transfer-Encoding: " + value)


@pytest.mark.parametrize(
    "value",
    [b"", b"gzip", b"identity", b"chunked, gzip", b"chunked, chunked", b"chunked,", b",chunked", b"chunked;",
     b"chunked;q=1",
     b'"chunked"', b"xchunked", b"chunkedx", b"chunked\xa0", b"chunked\x85", b"ch\xe2\x84\xaaunked", b"chun ked",
     b"chunked chunked",
     b"gzip, chunked, chunked", b"chunked, identity", b"chun\xe2\x84\xaaed", b"g zip, chunked"],
)  # fmt: skip
def test_other_codings_are_400(value):
    refused(errors.BAD_REQUEST, b"Transfer-Encoding: " + value)
    bad_answer(b"Transfer-Encoding: " + value)


def test_transfer_encoding_comes_alone_and_once():
    refused(errors.BAD_REQUEST, b"Transfer-Encoding: chunked", b"Content-Length: 5")
    refused(errors.BAD_REQUEST, b"Content-Length: 5", b"Transfer-Encoding: chunked")
    refused(errors.BAD_REQUEST, b"Content-Length: ", b"Transfer-Encoding: chunked")
    refused(errors.BAD_REQUEST, b"Transfer-Encoding: chunked", b"transfer-encoding: chunked")
    refused(errors.BAD_REQUEST, b"Transfer-Encoding: chunked", b"Transfer-Encoding:")
    refused(errors.BAD_REQUEST, b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0")
    bad_answer(b"Transfer-Encoding: chunked", b"Content-Length: 5")
    bad_answer(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")
    bad_answer(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK")


def test_trace_has_no_body():
    refused(errors.BAD_REQUEST, b"Content-Length: 1", line=b"TRACE / HTTP/1.1")
    refused(errors.BAD_REQUEST, b"Content-Length: 0", line=b"TRACE / HTTP/1.1")
    refused(errors.BAD_REQUEST, b"Transfer-Encoding: chunked", line=b"TRACE / HTTP/1.1")


# ---------------------------------------------------------------------------------------------------- connection


@pytest.mark.parametrize(
    ("version", "value", "persistent"),
    [(b"1.1", None, True), (b"1.0", None, False), (b"1.1", b"close", False), (b"1.1", b"x, CLOSE", False), (b"1.0",
     b"Keep-Alive", True),
     (b"1.0", b"keep-alive, close", False), (b"1.1", b"closed", True), (b"1.1", b"keep-alive", True), (b"1.0",
     b"close", False)],
)  # fmt: skip
def test_persistence(version, value, persistent):
    fields = [b"Connection: " + value] if value else []
    assert parse(*fields, line=b"GET / HTTP/" + version).persistent is persistent
    assert answer(*fields, line=b"HTTP/" + version + b" 200 OK").persistent is persistent


def test_fields_that_connection_names_are_removed():
    head = parse(b"X-A: 1", b"Connection: x-a, X-B", b"X-B: 2", b"X-C: 3", b"x-a: 4", b"connection: x-d", b"X-D: 5")
    assert head.lines == [b"X-C: 3"]
    assert answer(b"X-A: 1", b"Connection: X-A", b"X-B: 2").lines == [b"X-B: 2"]


@pytest.mark.parametrize("name", [b"Cookie", b"Content-Type", b"Authorization", b"Date", b"Via"])
def test_connection_cannot_take_away(name):
    assert name + b": v" in parse(name + b": v", b"Connection: " + name).lines


def test_connection_cannot_take_away_what_frames_and_routes():
    head = parse(b"Connection: host, content-length, x-forwarded-for", b"Content-Length: 3", b"X-Forwarded-For: 1")
    assert (head.host, head.length, head.forwarded) == ("a.test", 3, b"X-Forwarded-For: 1")
    assert parse(b"Connection: transfer-encoding", b"Transfer-Encoding: chunked").length == CHUNKED
    assert answer(b"Connection: content-length", b"Content-Length: 3").length == 3


@pytest.mark.parametrize(
    ("offered", "passed"),
    [(b"websocket", b"websocket"), (b"WebSocket", b"WebSocket"), (b"h2c", b""), (b"H2C", b""), (b"h2c, websocket",
     b"websocket"),
     (b"websocket, HTTP/2.0, h2, h2c/1", b"websocket"), (b"a/1, b/2", b"a/1, b/2"), (b"a b, c", b"c"), (b"", b""),
     (b",,", b""),
     (b"http", b""), (b"TLS/1.0", b"TLS/1.0")],
)  # fmt: skip
def test_upgrade_offers(offered, passed):
    assert parse(b"Connection: Upgrade", b"Upgrade: " + offered).upgrade == passed


def test_upgrade_needs_connection_and_http_1_1():
    assert parse(b"Upgrade: websocket").upgrade == b""
    assert parse(b"Upgrade: websocket", b"Connection: keep-alive").upgrade == b""
    assert parse(b"Upgrade: websocket", b"Connection: upgrade", line=b"GET / HTTP/1.0").upgrade == b""
    assert parse(b"Connection: upgrade").upgrade == b""
    assert not any(b"pgrade" in line for line in parse(b"Upgrade: websocket", b"Connection: keep-alive").lines)


def test_te():
    assert parse(b"TE: trailers", b"Connection: TE").trailers is True
    assert parse(b"TE: gzip, trailers", b"Connection: te").trailers is True
    assert parse(b"TE: trailers").trailers is False
    assert parse(b"TE: gzip", b"Connection: TE").trailers is False
    assert parse(b"TE: trailers", b"Connection: TE").lines == []


# ------------------------------------------------------------------------------------- expectations, Max-Forwards


def test_expect():
    assert parse(b"Expect: 100-Continue", b"Content-Length: 1").expects is True
    assert parse(b"Expect: 100-continue", b"Transfer-Encoding: chunked").expects is True
    assert parse(b"Expect: 100-continue", b"Content-Length: 0").expects is False
    assert parse(b"Expect: 100-continue").expects is False
    assert parse(b"Expect: anything", b"Content-Length: 1", line=b"POST / HTTP/1.0").expects is False
    for value in (b"", b"200-ok", b"100-continue, x", b"100-continue; a=b", b"100"):
        refused(errors.UNKNOWN_EXPECTATION, b"Expect: " + value)
    refused(errors.UNKNOWN_EXPECTATION, b"Expect: 100-continue", b"Expect: 100-continue")


def test_max_forwards_counts_for_trace_and_options():
    for method in (b"TRACE", b"OPTIONS"):
        line = method + b" / HTTP/1.1"
        assert parse(b"Max-Forwards: 07", line=line).max_forwards == 7
        assert parse(b"Max-Forwards: 0", line=line).max_forwards == 0
        assert parse(line=line).max_forwards == -1
        for value in (b"", b"-1", b"+1", b"x", b"1,1", b"9" * 10):
            refused(errors.BAD_REQUEST, b"Max-Forwards: " + value, line=line)


def test_max_forwards_just_travels_on_elsewhere():
    head = parse(b"Max-Forwards: many", b"X: 1")
    assert sorted(head.lines) == [b"Max-Forwards: many", b"X: 1"] and head.max_forwards == -1


def test_authorization_is_noted_travels_on_and_comes_once():
    head = parse(b"Authorization: Basic eA==")
    assert head.authorization == b"Basic eA==" and head.lines == [b"Authorization: Basic eA=="]
    refused(errors.BAD_REQUEST, b"Authorization: a", b"authorization: a")


def test_what_earlier_hops_said_is_noted():
    head = parse(b"X-Forwarded-For: 1.2.3.4", b"Forwarded: for=x", b"X-Request-ID: abc", b"Via: 1.1 a", b"X-Real-IP: 5")
    assert head.forwarded == b"X-Forwarded-For: 1.2.3.4\r\nForwarded: for=x\r\nX-Real-IP: 5"
    assert (head.request_id, head.via, head.lines) == (b"abc", b"1.1 a", [b"Via: 1.1 a"])


# ----------------------------------------------------------------------------------------------------- responses


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5", 5), (b"timeout=5, max=100", 5), (b"max=100, timeout=15", 15), (b"Timeout = 7", 7),
        (b'timeout="9"', 9), (b"timeout=0", 0), (b"max=100", -1), (b"5", -1), (b"timeout=-5", -1), (b"timeout=5s", -1),
        (b"timeout=", -1), (b"", -1), (b"timeout=12345678901", -1), (b"xtimeout=5", -1),
    ],
)  # fmt: skip
def test_how_long_a_server_keeps_a_connection(value, seconds):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: " + value
    response = ResponseParser(10).parse(head, b"GET")
    assert response.keep_alive == seconds and response.lines == []
    assert ResponseParser(10).parse(b"HTTP/1.1 200 OK", b"GET").keep_alive == -1


def test_a_plain_response():
    head = answer(
        b"Content-Length: 5",
        b"Date: now",
        b"X-A:1",
        b"Set-Cookie: a",
        b"Set-Cookie: b",
        line=b"HTTP/1.1 404 Not  Found",
    )
    assert (head.status, head.start.reason, head.length, head.declared) == (404, b"Not  Found", 5, 5)
    assert (head.persistent, head.dated) == (True, True)
    assert head.lines == [b"Date: now", b"X-A:1", b"Set-Cookie: a", b"Set-Cookie: b"]
    assert answer(line=b"HTTP/1.1 200").start.reason == b""
    assert answer().dated is False


@pytest.mark.parametrize(
    "line",
    [b"", b"HTTP/1.1 2000 OK", b"HTTP/1.1 099 x", b"HTTP/1.1 600 x", b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"200 OK",
     b"ICY 200 OK",
     b"HTTP/1.1  200 OK", b"HTP/1.1 200 OK", b"HTTP/1.1 abc", b"GET / HTTP/1.1", b"HTTP/1.1 20", b"<html>"],
)  # fmt: skip
def test_malformed_status_lines(line):
    bad_answer(line=line)


@pytest.mark.parametrize(
    "field", [b"A : b", b" A: b", b"A", b": b", b"A\xa0: b", b"", b"A: b\x00", b"A: b\rc", b"A: b\nc"]
)
def test_malformed_response_fields(field):
    bad_answer(b"X: 1", field)


def test_too_many_response_fields():
    answer(*[b"A: b"] * 20)
    with pytest.raises(ProxyError) as caught:
        answer(*[b"A: b"] * 21)
    assert str(caught.value) == "response head too large: more than 20 fields (limits.response-headers)"


@pytest.mark.parametrize(
    ("status", "method"),
    [(200, b"HEAD"), (404, b"HEAD"), (204, b"GET"), (304, b"GET"), (100, b"POST"), (103, b"GET"), (101, b"GET")],
)
@pytest.mark.parametrize("fields", [(), (b"Content-Length: 5",), (b"Transfer-Encoding: chunked",)])
def test_answers_that_never_have_a_body(status, method, fields):
    head = answer(*fields, line=b"HTTP/1.1 %d x" % status, method=method)
    assert head.length == ABSENT
    assert head.declared == (5 if fields and b"5" in fields[0] else ABSENT)


def test_a_response_without_length_ends_by_closing():
    assert answer().length == UNTIL_CLOSE
    assert answer(line=b"HTTP/1.0 200 OK").length == UNTIL_CLOSE
    assert answer(b"Content-Length: 0").length == 0


def test_response_upgrade():
    head = answer(b"Upgrade: websocket", b"Connection: upgrade", line=b"HTTP/1.1 101 S")
    assert head.upgrade == b"websocket" and head.lines == []
    assert answer(b"Upgrade: websocket", line=b"HTTP/1.1 101 S").upgrade == b""
