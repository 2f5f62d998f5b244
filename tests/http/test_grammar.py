"""Each production: what it takes, and the look-alikes that it must not take."""

from __future__ import annotations

import pytest

from l7.errors import UNKNOWN_VERSION, ProxyError
from l7.http import grammar
from l7.http.parser import RequestParser

EVERY = [bytes([code]) for code in range(256)]


def accepted(pattern, *examples: bytes) -> list[bytes]:
    return [example for example in examples if pattern.fullmatch(example)]


def test_a_token_is_made_of_tchar_only():
    taken = b"".join(byte for byte in EVERY if grammar.is_token(byte))
    assert sorted(taken) == sorted(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert not grammar.is_token(b"")
    assert not grammar.is_token(b"a b")
    assert not grammar.is_token(b"a\n")


def test_field_text_has_no_control_byte_but_the_tab():
    assert set(range(256)) - set(grammar.TEXT) == {*range(0x20), 0x7F} - {0x09}


def test_a_target_is_visible_ascii_without_a_fragment():
    assert set(range(256)) - set(grammar.TARGET) == {*range(0x21), 0x7F, *range(0x80, 0x100), ord("#")}


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"OPTIONS * HTTP/1.0", b"GET /b HTTP/1.9"])
def test_request_line_takes(line):
    assert RequestParser(10, 100).request_line(line).line == line


def test_request_line_of_another_version_is_well_formed():
    with pytest.raises(ProxyError) as caught:
        RequestParser(10, 100).request_line(b"GET /b HTTP/9.9")
    assert caught.value.kind is UNKNOWN_VERSION


@pytest.mark.parametrize(
    "line",
    [b"", b"GET", b"GET /", b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b" GET / HTTP/1.1", b"GET / HTTP/1.1 ",
     b"GET / http/1.1",
     b"GET / HTTP/1.10", b"GET / HTTP/11", b"GET / HTTP/1", b"GET / HTTP/1.", b"GET / HTTP/.1", b"GET / HTTP/1,1",
     b"GET / HTTP /1.1", b"GET / HTP/1.1", b"GET / HTTP/\xb2.1", b"GET / HTTP/1.1\n"],
)  # fmt: skip
def test_request_line_refuses(line):
    with pytest.raises(ProxyError):
        RequestParser(10, 100).request_line(line)


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 200 OK", b"HTTP/1.0 404 ", b"HTTP/1.1 204", b"HTTP/1.1 500 \xe9\tx", b"HTTP/1.9 100 a b"]
)
def test_status_line_takes(line):
    assert grammar.STATUS_LINE.fullmatch(line)


@pytest.mark.parametrize(
    "line",
    [b"", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1 20", b"HTTP/1.1 2000", b"HTTP/1.1 000 x", b"HTTP/1.1 099 x",
     b"HTTP/1.1 600 x",
     b"HTTP/1.1  200 OK", b"HTTP/2.0 200 OK", b"http/1.1 200 OK", b"HTP/1.1 200 OK", b"200 OK", b"ICY 200 OK",
     b"HTTP/1.1 200OK", b"HTTP/1.1 +20 OK", b"HTTP/1.1 200 O\0K", b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\x7fK",
     b" HTTP/1.1 200 OK"],
)  # fmt: skip
def test_status_line_refuses(line):
    assert not grammar.STATUS_LINE.fullmatch(line)


NOT_NUMBERS = [
    b"", b"+1", b"-1", b" 1", b"1 ", b"1_0", b"1,1", b"0x1", b"1.0", b"1e1", b"\x1c1", b"1\xa0", b"\xb2", b"\xd9\xa1",
    b"1\n",
]  # fmt: skip


@pytest.mark.parametrize("number", NOT_NUMBERS)
def test_numbers_are_ascii_digits_only(number):
    assert not grammar.CONTENT_LENGTH.fullmatch(number)
    assert not grammar.MAX_FORWARDS.fullmatch(number)
    assert number == b"1e1" or not grammar.CHUNK_SIZE.fullmatch(number)


def test_numbers_are_bounded():
    assert accepted(grammar.CONTENT_LENGTH, b"0", b"00", b"0" * 999 + b"7", b"9" * 18) == [
        b"0", b"00", b"0" * 999 + b"7", b"9" * 18,
    ]  # fmt: skip
    assert not accepted(grammar.CONTENT_LENGTH, b"1" + b"0" * 18, b"18446744073709551616", b"9" * 5000)
    assert accepted(grammar.CHUNK_SIZE, b"f" * 15, b"0" * 999 + b"F") == [b"f" * 15, b"0" * 999 + b"F"]
    assert not accepted(grammar.CHUNK_SIZE, b"f" * 16, b"10000000000000005", b"g")
    assert not accepted(grammar.MAX_FORWARDS, b"1" * 10)


def test_a_long_number_that_fails_fails_fast():
    assert not grammar.CONTENT_LENGTH.fullmatch(b"0" * 32_000 + b"x")
    assert not grammar.CHUNK_EXT.fullmatch(b";a=b " * 6_000 + b"\x7f")
    assert not grammar.CHUNK_EXT.fullmatch(b';a="' + b"\\a" * 16_000)
    assert not grammar.AUTHORITY.fullmatch(b"%41" * 10_000 + b"%")


@pytest.mark.parametrize(
    "extension",
    [b"", b";a", b";a=b", b" ;a", b"; a", b"\t;\ta\t=\tb", b';a="b"', b';a="\\""', b';a=";"', b';a=""', b";a;b=c;d"],
)
def test_chunk_extension_takes(extension):
    assert grammar.CHUNK_EXT.fullmatch(extension)


@pytest.mark.parametrize(
    "extension",
    [b" ", b"a", b";", b";;a", b";a=", b";=b", b";a b", b';a="', b';a="b', b';a="b"c', b';a="\x00"', b";a\r", b";a\n",
     b';a="\n"',
     b";a=b=c", b";\x00", b";a=\xe9", b", a", b";a "],
)  # fmt: skip
def test_chunk_extension_refuses(extension):
    assert not grammar.CHUNK_EXT.fullmatch(extension)


def test_a_protocol_is_a_token_with_or_without_a_version():
    assert accepted(grammar.PROTOCOL, b"websocket", b"a/1.0", b"h2c") == [b"websocket", b"a/1.0", b"h2c"]
    assert not accepted(grammar.PROTOCOL, b"", b"a/", b"/1", b"a/1/2", b"a b", b"a;b")


def test_a_request_id_is_visible_and_bounded():
    assert accepted(grammar.REQUEST_ID, b"a", b"x" * 128) == [b"a", b"x" * 128]
    assert not accepted(grammar.REQUEST_ID, b"", b"x" * 129, b"a b", b'a"', b"a\\", b"\xe9", b"a\n")


def test_elements_of_a_list():
    assert grammar.elements(b"") == []
    assert grammar.elements(b" , ,\t,") == []
    assert grammar.elements(b"Close , TE,\tx") == [b"close", b"te", b"x"]
    assert grammar.elements(b"close\x0b,\xa0te") == [b"close\x0b", b"\xa0te"]
