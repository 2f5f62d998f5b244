"""Laws that hold for every message: Hypothesis looks for one that breaks them.

Reading what was written gives it back; any bytes give a message or a `ProxyError`; where bytes are cut never matters;
and what goes on, two parsers that are not ours (h11 and llhttp) read as exactly the one request that was meant.
"""

from __future__ import annotations

import h11
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from l7.errors import ProxyError, Side
from l7.http import authority, forwarding, framing
from l7.http.heads import HeadReader
from l7.http.messages import ABSENT, CHUNKED, UNTIL_CLOSE, RequestHead
from l7.http.parser import RequestParser, ResponseParser
from tests.fuzz import chunked, heads, responses
from tests.harness.chunks import chunk
from tests.harness.independent import knows_method, with_h11, with_llhttp
from tests.http import strategies as http

PARSER = RequestParser(100, 1000)
HOP = forwarding.Hop("192.0.2.1", 80, b"proxy.test")
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"


def names_and_values(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    pairs = [line.partition(b":") for line in lines]
    return [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]


# ---------------------------------------------------------------------------------- reading what was written


@given(
    method=http.tokens.filter(lambda method: method not in (b"CONNECT", b"TRACE")),
    path=http.paths,
    host=http.authorities,
    lines=st.lists(http.field_lines, max_size=8),
    length=st.integers(-2, 10**18 - 1),
)
def test_a_request_head_is_read_as_it_was_written(method, path, host, lines, length):
    framed = {ABSENT: [], CHUNKED: [b"Transfer-Encoding: chunked"]}.get(length, [b"Content-Length: %d" % length])
    raw = b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: " + host, *lines, *framed])
    head = PARSER.parse(raw)
    assert (head.method, head.path, head.authority, head.lines, head.length) == (method, path, host, lines, length)
    again = PARSER.parse(HOP.request_head(head, b"id")[:-4])
    assert (again.method, again.path, again.authority, again.length) == (method, path, host, length)
    assert again.lines[:-1] == lines and again.lines[-1] == b"Via: 1.1 l7"
    assert again.request_id == b"id"


@given(
    status=st.integers(200, 599),
    reason=http.values,
    lines=st.lists(http.field_lines, max_size=8),
    length=st.integers(-3, 10**18 - 1).filter(lambda length: length != ABSENT),
)
def test_a_response_head_is_read_as_it_was_written(status, reason, lines, length):
    assume(status not in (204, 304))
    framed = {UNTIL_CLOSE: [], CHUNKED: [b"Transfer-Encoding: chunked"]}.get(length, [b"Content-Length: %d" % length])
    raw = b"\r\n".join([b"HTTP/1.1 %d " % status + reason, *lines, *framed])
    parser = ResponseParser(100)
    head = parser.parse(raw, b"GET")
    assert (head.status, head.start.reason, head.lines, head.length) == (status, reason, lines, length)
    again = parser.parse(HOP.response_head(head, length, DATE, b"")[:-4], b"GET")
    assert (again.status, again.start.reason, again.length) == (status, reason, length)
    assert again.lines == [*lines, b"Date: " + DATE]


@given(http.chunkings(), st.binary(max_size=40), http.slicings)
def test_a_chunked_body_is_read_as_it_was_written(body, follows, how):
    coded, payload, trailers = body
    got = chunked.read(http.sliced(coded + follows, how))
    assert got == (payload, True, follows, trailers)


@given(
    st.lists(st.binary(min_size=1, max_size=80), max_size=8),
    st.lists(http.ordinary_trailers, max_size=3),
    http.slicings,
)
def test_what_l7_frames_it_reads(pieces, trailers, how):
    raw = b"".join(chunk(piece) for piece in pieces) + framing.last_chunk(trailers)
    assert chunked.read(http.sliced(raw, how)) == (b"".join(pieces), True, b"", trailers)


# -------------------------------------------------------------------- any bytes: a message or a ProxyError


def only_proxy_errors(call, *arguments) -> object:
    try:
        return call(*arguments)
    except ProxyError as failure:
        return failure


@given(http.anything | http.nearly_requests())
def test_any_bytes_as_a_request_head(data):
    got = only_proxy_errors(RequestParser(10, 100).parse, data)
    assert isinstance(got, RequestHead) or got.kind.side is Side.DOWNSTREAM


@given(http.anything, st.sampled_from([b"GET", b"HEAD", b"CONNECT"]))
def test_any_bytes_as_a_response_head(data, method):
    got = only_proxy_errors(ResponseParser(10).parse, data, method)
    assert not isinstance(got, ProxyError) or got.kind.side is Side.UPSTREAM


@given(http.anything | http.nearly_requests())
@example(b"OPT" + b"0" * 300 + b"\xf0 * HTTP/1.1")
def test_any_bytes_as_requests_however_they_are_cut(data):
    heads.one(data)


@given(http.anything)
@example(b"100001\r\n")
def test_any_bytes_as_a_chunked_body_however_they_are_cut(data):
    chunked.one(data)


@given(http.anything)
def test_any_bytes_as_a_response_however_they_are_cut(data):
    responses.one(data)
    responses.one(b"HTTP/1.1 200 OK\r\n" + data)
    responses.one(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data)


@given(http.anything)
def test_any_bytes_as_an_authority(data):
    host = only_proxy_errors(authority.host_of, data)
    if isinstance(host, str):
        assert host == host.lower() and host and set(host.encode()) <= set(http.VCHAR)
        assert authority.host_of(host.encode()) in (host, host.removesuffix("."))


forwarded = st.sampled_from([b"X-Forwarded-For", b"x-forwarded-proto", b"Forwarded", b"X-Real-IP", b"X-Forwarded-Host"])
SET_ONCE = {b"x-forwarded-for", b"x-real-ip", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host"}
prefixed = http.tokens.map(lambda name: b"X-Forwarded-" + name)
said = http.values | st.sampled_from([b"1.2.3.4", b"10.0.0.1, 10.0.0.2", b"[::1]", b"::1%x", b",,", b"unknown"])


@given(st.lists(forwarded | prefixed, max_size=5), st.lists(said, min_size=5, max_size=5))
def test_whatever_a_trusted_proxy_says_stays_in_its_fields(names, said):
    lines = [name + b": " + value for name, value in zip(names, said, strict=False)]
    head = PARSER.parse(b"\r\n".join([b"GET / HTTP/1.1", b"Host: a", *lines]))
    client, believed = forwarding.believe(head, HOP, lambda client: client.startswith("10."))
    assert client
    raw = HOP.request_head(head, b"id", believed)
    found = with_h11(raw)
    assert len(found) == 1 and found[0].complete
    told = {}
    for name, value in found[0].headers:
        if name.lower() in SET_ONCE:
            assert name.lower() not in told
            told[name.lower()] = value
    assert told.keys() == SET_ONCE
    assert told[b"x-real-ip"] == client.encode()
    if b"x-forwarded-port" not in [name.lower() for name in names[: len(said)]]:
        assert 0 < int(told[b"x-forwarded-port"]) < 65536


# ------------------------------------------------------- what goes on is read alike by h11 and by llhttp


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[bytes, bytes, bytes, list[bytes], bytes, bytes, list[bytes]]:
    """A request: method, target, Host, ordinary lines, what came as body, its payload, its trailers."""
    method = draw(st.sampled_from(http.METHODS) | http.tokens.filter(lambda name: name not in (b"CONNECT", b"TRACE")))
    path = draw(http.paths)
    host = draw(http.authorities)
    lines = draw(st.lists(http.field_lines, max_size=8))
    noise = draw(st.lists(st.sampled_from([b"Connection: close", b"Keep-Alive: 5", b"TE: trailers", b"Connection: TE",
                                           b"Expect: 100-continue", b"X-Forwarded-For: 6", b"X_Real_IP: 6",
                                           b"Proxy-Connection: x"]), max_size=4, unique=True))  # fmt: skip
    kind = draw(st.sampled_from(["none", "length", "chunked"]))
    if kind == "none":
        return method, path, host, lines, b"\r\n".join([*noise, b"", b""]), b"", []
    if kind == "length":
        payload = draw(http.bodies)
        return (
            method,
            path,
            host,
            lines,
            b"\r\n".join([*noise, b"Content-Length: %d" % len(payload), b"", payload]),
            payload,
            [],
        )
    coded, payload, trailers = draw(http.chunkings())
    return (
        method,
        path,
        host,
        lines,
        b"\r\n".join([*noise, b"Transfer-Encoding: chunked", b"", coded]),
        payload,
        trailers,
    )


@given(exchanges(), http.slicings)
def test_what_goes_on_is_the_one_request_that_came(exchange, how):
    method, path, host, lines, after, payload, trailers = exchange
    raw = b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: " + host, *lines, after])
    pieces = iter(http.sliced(raw, how))
    reader = HeadReader(100_000, PARSER)
    head_bytes = None
    while head_bytes is None:
        head_bytes = reader.feed(next(pieces))
    head = PARSER.parse(head_bytes)
    body = framing.request_reader(head.length, 100, 100_000)
    got = b"".join(body.feed(piece) for piece in [reader.rest, *pieces] if piece)
    assert (body.done, body.rest, got, body.trailers) == (True, b"", payload, trailers)

    out = HOP.request_head(head, b"id")
    out += chunk(got) + framing.last_chunk(body.trailers) if head.length == CHUNKED else got
    for read in [with_h11, *([with_llhttp] if knows_method(method) else [])]:
        found = read(out)
        assert len(found) == 1 and found[0].complete, (read, out)
        assert (found[0].method, found[0].target, found[0].body) == (method, path, payload), (read, out)
        seen = [(name.lower(), value.strip(b" \t")) for name, value in found[0].headers]
        expected = names_and_values(lines)
        assert seen[0] == (b"host", host), (read, seen)
        assert seen[1 : 1 + len(expected)] == expected, (read, seen)
        assert {name for name, _ in seen[1 + len(expected) :]} <= heads.WRITTEN, (read, seen)
        assert [(name.lower(), value.strip(b" \t")) for name, value in found[0].trailers] == names_and_values(trailers)


@given(http.anything | http.nearly_requests(), st.binary(max_size=30))
def test_whatever_goes_on_is_one_request(data, more):
    """The same from the other side: bytes that may be anything, and what of them l7 would send."""
    reader = HeadReader(10_000, PARSER)
    try:
        head_bytes = reader.feed(data + b"\r\n\r\n")
        if head_bytes is None:  # nothing but empty lines
            return
        head = PARSER.parse(head_bytes)
        body = framing.request_reader(head.length, 10, 1000)
        payload = body.feed(reader.rest + more) if reader.rest + more else b""
    except ProxyError:
        return
    if not body.done:
        return
    out = HOP.request_head(head, b"id")
    out += chunk(payload) + framing.last_chunk(body.trailers) if head.length == CHUNKED else payload
    for read in [with_h11, *([with_llhttp] if knows_method(head.method) else [])]:
        found = read(out)
        assert len(found) == 1 and (found[0].complete or head.upgrade), (read, out)
        assert (found[0].method, found[0].target) == (head.method, head.path)
        assert head.upgrade or found[0].body == payload


@pytest.mark.parametrize("how", ["whole", "line", "byte"])
def test_the_laws_can_fail(how):
    """A body framed wrongly is found: the same comparison, on bytes that l7 would never write."""
    head = PARSER.parse(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3")
    raw = HOP.request_head(head, b"id") + b"abcGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    assert len(with_h11(raw)) == len(with_llhttp(raw)) == 2
    assert chunked.read(http.sliced(b"5\nhello\r\n", how)) == "bad request"
    with pytest.raises(AssertionError):
        with_h11(b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n")


def test_h11_is_as_strict_as_we_need():
    """What the comparison rests on: h11 refuses two lengths and both framings."""
    for lines in (b"Content-Length: 1\r\nContent-Length: 2", b"Content-Length: x"):
        with pytest.raises(AssertionError):
            with_h11(b"POST / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n\r\n")
    assert h11.__version__
