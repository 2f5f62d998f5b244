"""Which answers are compressed, in which coding, and what becomes of their fields."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.config import codings as values
from l7.config.codings import library
from l7.config.values.rules import codings
from l7.http.messages import ABSENT, CHUNKED, RequestHead, ResponseHead, StatusLine
from l7.rules.compression import encoders
from l7.rules.compression.eligibility import EVENTS, MINIMUM, is_text_like
from l7.rules.compression.encoders import UNKNOWN, encoder
from l7.rules.compression.entity_tags import with_strong_forms
from l7.rules.compression.negotiation import choose
from l7.rules.compression.plan import Asked, Plan, head_of, true_of_other_bytes

ALL = (b"zstd", b"br", b"gzip")


def decoders() -> dict[bytes, Callable[[bytes], bytes]]:
    zstd, brotli = library("zstd"), library("br")
    assert zstd is not None and brotli is not None, "the extra `compression` is not installed"
    return {b"gzip": lambda data: zlib.decompress(data, 31), b"zstd": zstd.decompress, b"br": brotli.decompress}


# ------------------------------------------------------------------------------------------- Accept-Encoding


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (b"", None),
        (b"gzip", b"gzip"),
        (b"GZIP", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"gzip, deflate, br, zstd", b"zstd"),
        (b"gzip, deflate, br", b"br"),
        (b"deflate", None),
        (b"deflate, compress, bogus", None),
        (b"*", b"zstd"),
        (b"*;q=0", None),
        (b"*;q=0, gzip", b"gzip"),
        (b"zstd;q=0, *", b"br"),
        (b"gzip;q=1.0, br;q=0.9", b"gzip"),
        (b"gzip;q=0.3, *;q=0.2", b"gzip"),
        (b"gzip ; q=0.001 , br ; q = 0", b"gzip"),
        (b"gzip;Q=0.5", b"gzip"),
        (b"gzip;q=0", None),
        (b"gzip;q=0.000", None),
        (b"identity", None),
        (b"identity, gzip", b"gzip"),
        (b"identity;q=1, gzip;q=0.5", None),
        (b"identity;q=0.5, gzip;q=1", b"gzip"),
        (b"identity;q=0", None),
        (b"gzip;q=2", None),
        (b"gzip;q=", None),
        (b"gzip;q=0.1234", None),
        (b"gzip;q=-1", None),
        (b"gzip;q=1e0", None),
        (b"gzip;level=9", b"gzip"),
        (b",,gzip,,", b"gzip"),
        (b"gzip;q=0, gzip", b"gzip"),
        (b";q=1", None),
        (b"gzip\t,\tbr;q=0.5", b"gzip"),
    ],
)
def test_the_coding_of_a_client(value: bytes | None, expected: bytes | None) -> None:
    assert choose(value, ALL) == expected


def test_among_equals_the_route_chooses() -> None:
    assert choose(b"gzip, br, zstd", (b"gzip", b"zstd")) == b"gzip"
    assert choose(b"br", (b"gzip", b"zstd")) is None


def test_a_long_field_is_read_and_not_remembered() -> None:
    assert choose(b"a, " * 10_000 + b"br", ALL) == b"br"


@given(st.binary(max_size=60))
def test_nothing_in_the_field_is_a_failure(value: bytes) -> None:
    assert choose(value, ALL) in (None, *ALL)


# ------------------------------------------------------------------------------------------- answers


def asked(*lines: bytes, method: bytes = b"GET", minor: int = 1, upgrade: bytes = b"") -> Asked:
    head = RequestHead(method + b" / HTTP/1.1", method, b"/", b"a", minor)
    head.upgrade = upgrade
    head.runs = [b"\r\n".join(lines or [b"Accept-Encoding: gzip"])]
    return Asked(head, ALL)


def answer(*lines: bytes, status: int = 200, length: int = 5000) -> ResponseHead:
    response = ResponseHead(StatusLine(b"", status, b"OK", 1))
    response.length = length
    response.declared = max(length, ABSENT)
    response.runs = [b"\r\n".join(lines)] if lines else []
    return response


JSON = b"Content-Type: application/json"


def planned(response: ResponseHead, *lines: bytes) -> Plan:
    plan = asked(*lines).plan(response)
    assert plan is not None
    return plan


@pytest.mark.parametrize(
    "kind",
    [
        b"text/html; charset=utf-8", b"TEXT/CSS", b"text/plain", b"application/json", b"application/problem+json",
        b"image/svg+xml", b"application/wasm", b"application/x-ndjson", b"font/ttf", b"text/javascript ;v=1",
    ],
)  # fmt: skip
def test_text_is_compressed(kind: bytes) -> None:
    assert planned(answer(b"Content-Type: " + kind)).coding == b"gzip"


@pytest.mark.parametrize(
    "kind",
    [
        b"image/png", b"application/zip", b"application/octet-stream", b"application/grpc", b"application/grpc+proto",
        b"multipart/form-data; boundary=x", b"multipart/byteranges", b"font/woff2", b"video/mp4", EVENTS, b"", b"json",
    ],
)  # fmt: skip
def test_what_is_no_text_is_left_alone(kind: bytes) -> None:
    assert not is_text_like(kind)
    assert asked().plan(answer(b"Content-Type: " + kind)) is None


@pytest.mark.parametrize(
    "response",
    [
        answer(),
        answer(JSON, length=MINIMUM - 1),
        answer(JSON, length=0),
        answer(JSON, b"Content-Encoding: br"),
        answer(JSON, b"content-encoding: identity"),
        answer(JSON, b"Content-Range: bytes 0-4999/9000", status=206),
        answer(JSON, b"Content-Range: bytes 0-4999/9000"),
        answer(JSON, b"Cache-Control: public, No-Transform"),
        answer(JSON, b"Cache-Control: public", b"Cache-Control: no-transform"),
        answer(JSON, b"Set-Cookie: session=1"),
        answer(JSON, status=204, length=ABSENT),
        answer(JSON, status=205),
        answer(JSON, status=226),
        answer(JSON, status=101, length=ABSENT),
    ],
    ids=lambda response: b" ".join([b"%d" % response.status, b"%d" % response.length, *response.runs]).decode(),
)
def test_these_answers_stay_as_they_are(response: ResponseHead) -> None:
    runs = list(response.runs)
    assert asked().plan(response) is None
    assert response.runs == runs


@pytest.mark.parametrize("status", [200, 201, 203, 400, 403, 404, 422, 500, 503])
def test_answers_of_every_status_with_content_are_compressed(status: int) -> None:
    assert planned(answer(JSON, status=status)).coding == b"gzip"


def test_a_length_that_is_not_known_is_no_reason_against_it() -> None:
    assert planned(answer(JSON, length=CHUNKED)).coding == b"gzip"
    assert planned(answer(JSON, length=MINIMUM)).coding == b"gzip"


def test_the_cookie_of_l7_itself_is_no_reason_against_it() -> None:
    own = b"Set-Cookie: l7=abc; Path=/"
    assert asked().plan(answer(JSON, own)) is None
    plan = asked().plan(answer(JSON, own), own)
    assert plan is not None and plan.coding == b"gzip"
    assert asked().plan(answer(JSON, b"Set-Cookie: session=1", own), own) is None


def test_no_transform_of_the_client_counts_too() -> None:
    plan = planned(answer(JSON), b"Accept-Encoding: gzip", b"Cache-Control: no-cache, no-transform")
    assert plan.coding is None


def test_neither_old_clients_nor_those_that_change_protocols_get_a_coding() -> None:
    for one in (asked(minor=0), asked(upgrade=b"websocket")):
        plan = one.plan(answer(JSON))
        assert plan is not None and plan.coding is None and plan.plain[-1] == b"Vary: Accept-Encoding"


def test_several_lines_are_one_list() -> None:
    assert asked(b"accept-encoding: gzip;q=0.1", b"Accept: x", b"ACCEPT-ENCODING:\tbr").coding == b"br"
    assert asked(b"Accept: x").coding is None


# ------------------------------------------------------------------------------------------- fields


def test_the_fields_of_a_compressed_answer() -> None:
    response = answer(
        JSON, b'ETag: "a"', b"Accept-Ranges: bytes", b"Content-Digest: x", b"repr-digest: x", b"Digest: x",
        b"Content-MD5: x", b"X-Own: 1", length=5000,
    )  # fmt: skip
    plan = planned(response)
    assert b"\r\n".join(plan.runs).split(b"\r\n") == [
        JSON, b'ETag: W/"a"', b"X-Own: 1", b"Vary: Accept-Encoding", b"Content-Encoding: gzip",
    ]  # fmt: skip
    head = head_of(response, plan.runs, CHUNKED)
    assert (head.length, head.declared, head.digits, head.start) == (CHUNKED, ABSENT, b"", response.start)
    head = head_of(response, plan.runs, 77)
    assert (head.length, head.declared, head.digits) == (77, 77, b"77")
    assert response.length == 5000  # the relay goes by it


def test_without_a_coding_only_vary_is_added() -> None:
    response = answer(JSON, b'ETag: "a"', b"Accept-Ranges: bytes")
    plan = planned(response, b"Accept: x")
    assert plan.coding is None
    assert plan.plain == [*response.runs, b"Vary: Accept-Encoding"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], [b"Vary: Accept-Encoding"]),
        ([b"Vary: Origin"], [b"Vary: Origin, Accept-Encoding"]),
        ([b"vary: Cookie,"], [b"vary: Cookie, Accept-Encoding"]),
        ([b"Vary: Cookie", b"Vary: Origin"], [b"Vary: Cookie", b"Vary: Origin, Accept-Encoding"]),
        ([b"Vary: Origin, ACCEPT-ENCODING"], [b"Vary: Origin, ACCEPT-ENCODING"]),
        ([b"Vary: *"], [b"Vary: *"]),
        ([b"Vary:"], [b"Vary:", b"Vary: Accept-Encoding"]),
    ],
)
def test_vary_is_told_once(lines: list[bytes], expected: list[bytes]) -> None:
    plan = planned(answer(JSON, *lines), b"Accept: x")
    assert b"\r\n".join(plan.plain).split(b"\r\n")[1:] == expected


@pytest.mark.parametrize("tag", [b'W/"a"', b"a", b""])
def test_only_a_strong_tag_is_made_weak(tag: bytes) -> None:
    assert b"ETag: " + tag in planned(answer(JSON, b"ETag: " + tag)).runs


def test_digests_in_trailers_go_too() -> None:
    assert true_of_other_bytes([b"Content-Digest: x", b"X-Time: 1", b"repr-digest: x"]) == [b"X-Time: 1"]


# ------------------------------------------------------------------------------------------- entity tags


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'If-None-Match: W/"a"', b'If-None-Match: W/"a", "a"'),
        (b'if-match: W/"a"', b'if-match: W/"a", "a"'),
        (b'If-None-Match: W/"a", "a"', b'If-None-Match: W/"a", "a"'),
        (b'If-None-Match: "a"', b'If-None-Match: "a"'),
        (b'If-None-Match: W/"a", "b", W/"c", W/"a"', b'If-None-Match: W/"a", "b", W/"c", W/"a", "a", "c"'),
        (b"If-None-Match: *", b"If-None-Match: *"),
        (b'If-None-Match: W/"a,W/b"', b'If-None-Match: W/"a,W/b", "a,W/b"'),
        (b'If-None-Match: W/"a', b'If-None-Match: W/"a'),
        (b'If-Range: W/"a"', b'If-Range: W/"a"'),
        (b'X-Match: W/"a"', b'X-Match: W/"a"'),
    ],
)
def test_the_server_is_told_of_the_strong_form_too(line: bytes, expected: bytes) -> None:
    assert with_strong_forms([b"A: b\r\n" + line]) == [b"A: b", expected] or line == expected


def test_requests_without_weak_tags_stay_as_they_are() -> None:
    runs = [b'If-None-Match: "a"']
    assert with_strong_forms(runs) is runs


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (b'W/"a"', b'W/"a"'),
        (b'"a"', b'"a"'),
        (b'"a", W/"a"', b'"a"'),
        (b'W/"b"', b'"a"'),
        (b'W/"b", W/"a"', b'W/"a"'),
        (b"*", b'"a"'),
    ],
)
def test_a_304_has_the_tag_that_the_client_knows(known: bytes, expected: bytes) -> None:
    response = answer(b'ETag: "a"', status=304, length=ABSENT)
    plan = planned(response, b"If-None-Match: " + known, b"Accept-Encoding: gzip")
    assert plan.coding is None
    assert b"\r\n".join(plan.plain).split(b"\r\n") == [b"ETag: " + expected, b"Vary: Accept-Encoding"]


# ------------------------------------------------------------------------------------------- compressors


@pytest.mark.parametrize("coding", ALL)
@pytest.mark.parametrize("size", [0, 1, 1024, 70_000, 700_000])
@pytest.mark.parametrize("known", [True, False])
def test_what_is_compressed_comes_back(coding: bytes, size: int, known: bool) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    stream = encoder(coding, size if known else UNKNOWN)
    pieces = []
    for number, at in enumerate(range(0, size, 30_000)):
        pieces.append(stream.compress(data[at : at + 30_000]))
        if number % 3 == 0:
            pieces.append(stream.flush())
    pieces.append(stream.finish())
    assert decoders()[coding](b"".join(pieces)) == data


@pytest.mark.parametrize("coding", ALL)
def test_what_was_flushed_can_be_read_at_once(coding: bytes) -> None:
    zstd, brotli = library("zstd"), library("br")
    assert zstd is not None and brotli is not None
    stream = encoder(coding)
    reader = {
        b"gzip": lambda: zlib.decompressobj(31).decompress,
        b"zstd": lambda: zstd.ZstdDecompressor().decompress,
        b"br": lambda: brotli.Decompressor().process,
    }[coding]()
    for event in (b"one\n", b"two\n", b"three\n" * 1000):
        assert reader(stream.compress(event) + stream.flush()) == event


def test_windows_fit_the_body() -> None:
    widths = [encoders._width(length, 9, 15) for length in (UNKNOWN, 1, 1024, 20_000, 10**9)]
    assert widths == [15, 9, 11, 15, 15]


# ------------------------------------------------------------------------------------------- the setting


def test_true_is_all_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert codings("true") == codings(True) == ("zstd", "br", "gzip")
    monkeypatch.setattr(values, "library", lambda name: None if name == "br" else object())
    assert codings("true") == ("zstd", "gzip")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (["deflate", "gzip"], "'deflate' is no coding that l7 knows; write zstd, br, gzip"),
        (["br", "gzp"], "did you mean 'gzip'?"),
        (["gzip", "gzip"], "gzip is named twice"),
        ([], "the list is empty"),
        ({"gzip": "5"}, "is unknown; write zstd, br or gzip"),
        ("5", "'5' is unknown"),
        ([["gzip"]], "is no coding"),
    ],
)
def test_refused_settings(value: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("?", r"\?")):
        codings(value)


def test_the_order_is_kept() -> None:
    assert codings(["gzip", "zstd"]) == ("gzip", "zstd")
    assert codings("br") == ("br",)
    assert (codings("off"), codings("inherit")) == ((), None)


def test_a_coding_that_is_not_installed_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "library", lambda name: None if name == "zstd" else object())
    with pytest.raises(ValueError, match=r"zstd needs a package.* pip install 'l7\[compression\]'"):
        codings(["gzip", "zstd"])
