"""Heads that come in pieces."""

from __future__ import annotations

import random

import pytest

from l7 import errors
from l7.errors import ProxyError
from l7.http.heads import HeadReader
from l7.http.parser import RequestParser
from tests.harness.client import slices
from tests.http.strategies import named

HEAD = b"GET /p HTTP/1.1\r\nHost: a\r\nX: y"
RAW = HEAD + b"\r\n\r\n"


def reader(limit: int = 1000) -> HeadReader:
    return HeadReader(limit, RequestParser(20, 100))


def feed(one: HeadReader, pieces) -> bytes | None:
    head = None
    for piece in pieces:
        assert head is None, "fed after its head"
        head = one.feed(piece)
    return head


@pytest.mark.parametrize("how", ["whole", "line", "byte", *map(random.Random, range(20))], ids=named)
def test_cut_anywhere(how):
    one = reader()
    assert feed(one, slices(RAW, how)) == HEAD
    assert one.rest == b""


def test_what_follows_is_the_rest():
    one = reader()
    assert one.feed(RAW[:10]) is None
    assert one.feed(RAW[10:] + b"body\r\n\r\n") == HEAD
    assert one.rest == b"body\r\n\r\n"


@pytest.mark.parametrize("how", ["whole", "byte"])
@pytest.mark.parametrize("count", range(9))
def test_empty_lines_before_a_request(count, how):
    assert feed(reader(), slices(b"\r\n" * count + RAW, how)) == HEAD


@pytest.mark.parametrize("how", ["whole", "byte"])
def test_too_many_empty_lines(how):
    for raw in (b"\r\n" * 9 + RAW, b"\r\n" * 5000):
        with pytest.raises(ProxyError) as caught:
            feed(reader(), slices(raw, how))
        assert caught.value.kind is errors.BAD_REQUEST


def test_empty_lines_are_not_skipped_before_a_response():
    with pytest.raises(ProxyError) as caught:
        HeadReader(100).feed(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
    assert str(caught.value) == "invalid response: an empty line before the status line"


@pytest.mark.parametrize("how", ["whole", "byte", "line"])
def test_the_limit_is_the_same_however_it_comes(how):
    assert feed(reader(len(HEAD)), slices(RAW, how)) == HEAD
    with pytest.raises(ProxyError) as caught:
        feed(reader(len(HEAD) - 1), slices(RAW, how))
    assert caught.value.kind is errors.HEAD_TOO_LARGE


def test_an_endless_head_is_refused_within_the_limit():
    one = reader(200)
    one.feed(b"GET / HTTP/1.1\r\n")
    with pytest.raises(ProxyError) as caught:
        feed(one, [b"X: yyyyyy\r\n"] * 20)
    assert str(caught.value) == "request head too large: head larger than 200 bytes (limits.head)"
    with pytest.raises(ProxyError) as caught:
        HeadReader(200).feed(b"HTTP/1.1 200 OK\r\n" + b"x" * 300)
    assert str(caught.value) == "response head too large: head larger than 200 bytes (limits.response-head)"


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"GET / HTTP/1.1\n", errors.BAD_REQUEST),
        (b"GET / HTTP/1.1\rX", errors.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\r", errors.BAD_REQUEST),
        (b"GET /\x00", errors.BAD_REQUEST),
        (b"\x16\x03\x01\x02\x00\x01", errors.BAD_REQUEST),
        (b"GET /\r\n", errors.BAD_REQUEST),
        (b"GET / HTTP/2.0\r\n", errors.UNKNOWN_VERSION),
        (b"GET / HTTP/1.1\r\nHost: a\nX", errors.BAD_REQUEST),
        (b"GET / HTTP/1.1\r\nHost: a\x7f", errors.BAD_REQUEST),
        (b"GET /" + b"x" * 101, errors.TARGET_TOO_LONG),
        (b"M" * 101, errors.NOT_IMPLEMENTED),
        (b"\r\n\r\nGET\n", errors.BAD_REQUEST),
        (b"CONNECT a:1 HTTP/1.1\r\n", errors.METHOD_NOT_ALLOWED),
    ],
)
@pytest.mark.parametrize("how", ["whole", "byte"])
def test_what_cannot_become_a_head_is_refused_at_once(beginning, kind, how):
    with pytest.raises(ProxyError) as caught:
        feed(reader(), slices(beginning, how))
    assert caught.value.kind is kind


def test_beginnings_that_may_become_good_are_waited_for():
    for beginning in (
        b"G",
        b"GET",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r",
        b"\r",
        b"\r\n\r",
        b"GET / HTTP/1.1\r\nA: b\r\n\r",
    ):
        assert reader().feed(beginning) is None


def test_the_beginning_is_kept_for_the_log_and_bounded():
    one = HeadReader(5000)
    one.feed(b"HTTP/1.1 200 " + b"x" * 3000)
    assert one.beginning == b"HTTP/1.1 200 " + b"x" * 1011


def test_many_pieces_cost_linear_time():
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 3000
    one = HeadReader(100_000, RequestParser(5000, 100))
    for piece in slices(raw, "byte"):
        assert one.feed(piece) is None
