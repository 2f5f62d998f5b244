"""Bodies: where they end, what of them is payload, what is refused."""

from __future__ import annotations

import random

import pytest

from l7.errors import (
    BAD_REQUEST,
    BAD_RESPONSE,
    BODY_TOO_LARGE,
    Kind,
    ProxyError,
)
from l7.http import framing
from l7.http.framing import REQUEST_TRAILERS, RESPONSE_TRAILERS, ChunkedReader, CloseReader, LengthReader
from l7.http.messages import ABSENT, CHUNKED, UNTIL_CLOSE
from tests.harness.chunks import chunk
from tests.harness.client import slices
from tests.http.strategies import named

HOWS = ["whole", "line", "byte", *map(random.Random, range(8))]


def chunked(fields: int = 10, size: int = 1000, limit: int | None = None) -> ChunkedReader:
    reader = ChunkedReader(REQUEST_TRAILERS, fields, size)
    if limit is not None:
        reader.bound(limit)
    return reader


def feed(reader, data: bytes, how="whole") -> tuple[bytes, bytes]:
    """Payload and rest."""
    payload, rest = b"", b""
    for piece in slices(data, how):
        if reader.done:
            rest += piece
        else:
            payload += reader.feed(piece)
    return payload, reader.rest + rest


def broken(data: bytes, how="whole", reader: ChunkedReader | None = None, kind=BAD_REQUEST) -> None:
    with pytest.raises(ProxyError) as caught:
        feed(reader or chunked(), data, how)
    assert caught.value.kind is kind, caught.value


@pytest.mark.parametrize("how", HOWS, ids=named)
def test_length(how):
    reader = LengthReader(10)
    assert feed(reader, b"0123456789GET /", how) == (b"0123456789", b"GET /")
    assert reader.done and reader.left == 0 and reader.trailers == []


def test_no_length_is_done_before_it_begins():
    assert LengthReader(0).done
    reader = LengthReader(0)
    assert (reader.feed(b"GET /"), reader.rest) == (b"", b"GET /")


def test_until_close_never_ends_by_itself():
    reader = CloseReader()
    assert feed(reader, b"0\r\n\r\n" * 3) == (b"0\r\n\r\n" * 3, b"") and not reader.done


@pytest.mark.parametrize("how", HOWS, ids=named)
@pytest.mark.parametrize(
    ("coded", "payload"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"A\r\n0123456789\r\n00a\r\n0123456789\r\n000\r\n\r\n", b"0123456789" * 2),
        (b"2\r\n\r\n\r\n1\r\n0\r\n0\r\n\r\n", b"\r\n0"),
        (b'1;a\r\nx\r\n1 ; a = "\\";"\r\ny\r\n0;last\r\n\r\n', b"xy"),
        (b"1\r\nx\r\n" * 300 + b"0\r\n\r\n", b"x" * 300),
    ],
)
def test_chunks(coded, payload, how):
    reader = chunked()
    assert feed(reader, coded + b"GET / HTTP/1.1\r\n", how) == (payload, b"GET / HTTP/1.1\r\n")
    assert reader.done and reader.trailers == []


@pytest.mark.parametrize("how", HOWS, ids=named)
def test_trailers(how):
    reader = chunked()
    coded = b"1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nX-Sum:2\r\nX-Forwarded-For: 1\r\nHost: b\r\n\r\n"
    assert feed(reader, coded + b"rest", how) == (b"x", b"rest")
    assert reader.trailers == [b"X-Sum: 1", b"X-Sum:2"]


BROKEN = [
    b"\r\n", b"\r\n5\r\nhello\r\n0\r\n\r\n", b" 5\r\n", b"5 \r\n", b"\t5\r\n", b"+5\r\n", b"-5\r\n", b"0x5\r\n",
    b"5_0\r\n", b"5h\r\n", b"g\r\n", b"5,\r\n",
    b";a\r\n", b"5;\r\n", b"5;;a\r\n", b"5;a=\r\n", b"5;a b\r\n", b'5;a="\r\n', b"5\n", b"5\nhello\n0\n\n",
    b"5\r\nhello\n0\r\n\r\n", b"5;a\n\r\n",
    b"5\r\nhello0\r\n\r\n", b"5\r\nhello!\r\n", b"5\r\nhello\rX", b"5\r\nhello\r\r\n", b"5\r\nhell\r\n0\r\n\r\n",
    b"4\r\nhello\r\n",
    b"5\r\nhello\r\n\r\n", b"10000000000000000\r\n", b"ffffffffffffffff\r\n", b"fffffffffffffffff\r\n",
    b"f" * 5000 + b"\r\n",
    b"\xb2\r\n", b"\xd9\xa5\r\n", b"5\xa0\r\n", b"5\x85\r\n", b"5\x0b\r\n", b"5\x00\r\n", b"5;a\x00\r\n",
    b"5;a\r;b\r\n", b"5\r;a\r\n", b"\x005\r\n",
    b"5;a=\x7f\r\n", b"5\r\nhello\r\n0\r\nX : y\r\n\r\n", b"0\r\n X: y\r\n\r\n", b"0\r\nX\r\n\r\n", b"0\r\n: y\r\n\r\n",
    b"0\r\nX: a\x00\r\n\r\n", b"0\r\nX: a\rb\r\n\r\n", b"0\r\nX: a\nY: b\r\n\r\n", b"0\r\nX: a\r\n b\r\n\r\n",
    b"0\r\nX: a\n\r\n", b"0\n\n", b"0\r\n\n",
    b"0\r\nGET / HTTP/1.1\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("how", ["whole", "byte", "line"])
@pytest.mark.parametrize("coded", BROKEN)
def test_broken_chunks(coded, how):
    broken(coded, how)
    broken(b"3\r\nabc\r\n" + coded, how)
    if coded.startswith(b"0"):
        broken(coded, how, ChunkedReader(RESPONSE_TRAILERS, 10, 1000), BAD_RESPONSE)


@pytest.mark.parametrize(
    "coded",
    [
        b"5",
        b"5\r",
        b"5\r\n",
        b"5\r\nhell",
        b"5\r\nhello",
        b"5\r\nhello\r",
        b"5\r\nhello\r\n",
        b"0\r\n",
        b"0\r\n\r",
        b"0\r\nX: y\r\n",
    ],
)
@pytest.mark.parametrize("how", ["whole", "byte"])
def test_a_body_without_its_end_is_not_done(coded, how):
    reader = chunked()
    feed(reader, coded, how)
    assert not reader.done


@pytest.mark.parametrize("how", ["whole", "byte", "line"])
def test_size_lines_are_bounded_the_same_way_however_they_come(how):
    longest = b"1;" + b"a" * (framing.LONGEST_SIZE_LINE - 2)
    assert feed(chunked(), longest + b"\r\nx\r\n0\r\n\r\n", how)[0] == b"x"
    broken(longest + b"a\r\nx\r\n0\r\n\r\n", how)
    broken(b"0" * 2000, how)


@pytest.mark.parametrize("how", ["whole", "line"])
def test_extensions_are_bounded_over_the_whole_body(how):
    one = b"1;" + b"a" * 1000 + b"\r\nx\r\n"
    feed(chunked(), one * 16 + b"0\r\n\r\n", how)
    broken(one * 17, how)


@pytest.mark.parametrize("how", ["whole", "byte", "line"])
def test_trailers_are_bounded(how):
    line = b"X: 3456\r\n"
    assert len(feed(r := chunked(size=45), b"0\r\n" + line * 5 + b"\r\n", how)) and len(r.trailers) == 5
    broken(b"0\r\n" + line * 5 + b"\r\n", how, chunked(size=44))
    broken(b"0\r\n" + line * 5 + b"\r\n", how, chunked(fields=4))
    broken(b"0\r\nX: " + b"y" * 5000, how)
    broken(b"0\r\nX: " + b"y" * 5000, how, ChunkedReader(RESPONSE_TRAILERS, 10, 1000), BAD_RESPONSE)


@pytest.mark.parametrize(
    ("coded", "kind", "detail"),
    [
        (b"5;" + b"a" * 2000, BAD_REQUEST, "a chunk size with extensions of more than 1024 bytes"),
        (b"5;" + b"a" * 2000 + b"\r\n", BAD_REQUEST, "a chunk size with extensions of more than 1024 bytes"),
        ((b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 17, BAD_REQUEST, "more than 16384 bytes of chunk extensions in a body"),
        (b"0\r\nX: " + b"a" * 2000, BAD_REQUEST, "trailers larger than 1000 bytes (limits.head)"),
        (b"0\r\nX: " + b"a" * 2000 + b"\r\n", BAD_REQUEST, "trailers larger than 1000 bytes (limits.head)"),
        (b"0\r\n" + b"X: y\r\n" * 11, BAD_REQUEST, "more than 10 trailer fields (limits.headers)"),
        (b"3\r\nabc\r\n5\r\n", BODY_TOO_LARGE, "larger than 7 bytes (limits.body)"),
    ],
)
def test_what_is_too_large_is_said_with_its_number_and_its_setting(coded: bytes, kind: Kind, detail: str) -> None:
    with pytest.raises(ProxyError) as caught:
        feed(chunked(limit=None if kind is not BODY_TOO_LARGE else 7), coded)
    assert (caught.value.kind, caught.value.detail) == (kind, detail)


@pytest.mark.parametrize("how", ["whole", "byte"])
def test_the_limit_counts_payload_as_it_is_announced(how):
    assert feed(chunked(limit=6), b"3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n", how)[0] == b"abcabc"
    broken(b"3\r\nabc\r\n4\r\n", how, chunked(limit=6), BODY_TOO_LARGE)
    broken(b"7\r\n", how, chunked(limit=6), BODY_TOO_LARGE)


def test_a_bound_holds_for_what_has_come_already():
    reader = chunked()
    reader.feed(b"3\r\nabc\r\n3\r\na")
    reader.bound(6)
    with pytest.raises(ProxyError) as caught:
        reader.bound(5)
    assert (caught.value.kind, caught.value.detail) == (BODY_TOO_LARGE, "larger than 5 bytes (limits.body)")
    reader.bound(0xFFFFFFFFFFFFFFF)
    assert reader.feed(b"bc\r\n0\r\n\r\n") == b"bc"
    with pytest.raises(ProxyError):
        chunked(limit=0).feed(b"1\r\n")


def test_thousands_of_chunks_in_one_piece():
    assert feed(chunked(), b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n")[0] == b"x" * 50_000


def test_readers_follow_the_head():
    assert isinstance(framing.request_reader(CHUNKED, 1, 1), ChunkedReader)
    assert framing.request_reader(ABSENT, 1, 1).done
    assert framing.request_reader(5, 1, 1).left == 5
    framing.bound_request(framing.request_reader(5, 1, 1), 5, 5)
    with pytest.raises(ProxyError):
        framing.bound_request(framing.request_reader(6, 1, 1), 6, 5)
    assert isinstance(framing.response_reader(CHUNKED, 1, 1), ChunkedReader)
    assert isinstance(framing.response_reader(UNTIL_CLOSE, 1, 1), CloseReader)
    assert framing.response_reader(ABSENT, 1, 1).done
    assert not framing.response_reader(3, 1, 1).done


def test_writing():
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert framing.last_chunk([]) == b"0\r\n\r\n"
    assert framing.last_chunk([b"A: b", b"C: d"]) == b"0\r\nA: b\r\nC: d\r\n\r\n"


def passed(coded: bytes, how="whole", table=REQUEST_TRAILERS) -> bytes:
    """What goes on of a chunked body where it goes on in chunks."""
    reader = ChunkedReader(table, 10, 1000)
    reader.framed = True
    return feed(reader, coded, how)[0]


@pytest.mark.parametrize("how", HOWS, ids=named)
@pytest.mark.parametrize(
    ("coded", "goes_on"),
    [
        (b"0\r\n\r\n", b"0\r\n\r\n"),
        (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"A\r\n0123456789\r\n0\r\n\r\n"),
        (b"005\r\nhello\r\n000\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"5;a=b\r\nhello\r\n1\r\n!\r\n0;c\r\n\r\n", b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
        (b"1\r\na\r\n0\r\nX-Sum: 1\r\nHost: b\r\n\r\n", b"1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n"),
    ],
)
def test_chunks_go_on_as_they_came_where_they_are_plain(coded, goes_on, how):
    assert passed(coded, how) == goes_on


def test_a_received_block_of_plain_chunks_is_not_copied():
    block = b"".join(chunk(b"x" * size) for size in (1, 20, 300, 4000))
    assert passed(block) is block


@pytest.mark.parametrize("how", HOWS, ids=named)
def test_a_chunk_that_is_cut_short_goes_on_as_far_as_it_came(how):
    reader = ChunkedReader(REQUEST_TRAILERS, 10, 1000)
    reader.framed = True
    assert feed(reader, b"400\r\nabc", how) == (b"400\r\nabc", b"")
    assert reader.ahead() == 0x400 - 3
    reader.skip(0x400 - 3)
    assert feed(reader, b"\r\n0\r\n\r\nGET /") == (b"\r\n0\r\n\r\n", b"GET /")
    assert reader.overhead == 7


@pytest.mark.parametrize(
    "coded", [b"+5\r\n", b"0x5\r\n", b"5 \r\nhello", b"5\nhello", b"5\r\nhellos\r\n", b"g\r\n", b"\r\n"]
)
def test_what_is_not_chunked_to_the_letter_does_not_go_on(coded):
    with pytest.raises(ProxyError):
        passed(coded + b"0\r\n\r\n")


def test_a_size_beyond_all_numbers_is_a_size_line_that_is_refused():
    reader = chunked(limit=10)
    reader.framed = True
    with pytest.raises(ProxyError) as caught:
        reader.feed(b"f" * 15 + b"\r\n")
    assert caught.value.kind is BODY_TOO_LARGE
