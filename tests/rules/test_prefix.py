"""Prefixes that are taken off and given back."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.http.messages import lines_of
from l7.http.paths.readings import readings
from l7.rules.heads.prefix import OwnPaths, joined_prefix, stripped

OWN, SENT = b"Example.com", b"127.0.0.1:9000"


@pytest.mark.parametrize(
    ("target", "prefix", "left"),
    [
        (b"/api", b"/api", b"/"),
        (b"/api/", b"/api", b"/"),
        (b"/api?q=/api", b"/api", b"/?q=/api"),
        (b"/api/x", b"/api", b"/x"),
        (b"/api/x/?q", b"/api", b"/x/?q"),
        (b"/api/api/x", b"/api", b"/api/x"),
        (b"/a/b/c", b"/a/b", b"/c"),
        (b"/api/x%2Fy/%41?%2e", b"/api", b"/x%2Fy/%41?%2e"),
        (b"/api/x//y", b"/api", b"/x//y"),
        (b"/api/.well-known/x", b"/api", b"/.well-known/x"),
        # nothing that begins like an authority
        (b"/api//evil.example", b"/api", b"/evil.example"),
        (b"/api///evil.example/x//y", b"/api", b"/evil.example/x//y"),
        (b"/api/\\evil.example", b"/api", b"/evil.example"),
        (b"/api/./\\evil.example", b"/api", b"/evil.example"),
        (b"/api/.//evil.example", b"/api", b"/evil.example"),
        (b"/api/%2e//evil.example", b"/api", b"/evil.example"),
        # other spellings of what matched
        (b"/%61pi/x", b"/api", b"/x"),
        (b"/%61%70i", b"/api", b"/"),
        (b"//api/x", b"/api", b"/x"),
        (b"//api//x", b"/api", b"/x"),
        (b"/a//b/c//d", b"/a/b", b"/c//d"),
        (b"/x/../api/y", b"/api", b"/y"),
        (b"/./api/y", b"/api", b"/y"),
        (b"/%2e%2E/api/y?../z", b"/api", b"/y?../z"),
        (b"/api/x/../y", b"/api", b"/y"),
        (b"/api/x/..", b"/api", b"/"),
        (b"/api/x/.", b"/api", b"/x/"),
        (b"/api/y/../../api/z%2f/", b"/api", b"/z%2f/"),
        (b"/a%20b/x", b"/a%20b", b"/x"),
        (b"/caf%c3%a9/x", b"/caf%C3%A9", b"/x"),
        (b"/a%24b/x%24", b"/a$b", b"/x%24"),
        (b"/a$b/x", b"/a$b", b"/x"),
        # what does not match stays
        (b"/other/x", b"/api", b"/other/x"),
        (b"/apix", b"/api", b"/apix"),
    ],
)
def test_stripped(target: bytes, prefix: bytes, left: bytes) -> None:
    assert stripped(target, prefix) == left


def as_a_server_reads(path: bytes) -> bytes:
    """The path with all escapes decoded, dot segments resolved and slashes joined."""
    text = unquote_to_bytes(path).decode("latin-1")
    normal = "/" + posixpath.normpath("/" + re.sub("/+", "/", text)).lstrip("/")
    return (normal + ("/" if re.search(r"/\.{0,2}$", text) and normal != "/" else "")).encode("latin-1")


SEGMENTS = st.sampled_from(
    [
        b"api",
        b"%61pi",
        b"ap%69",
        b".",
        b"..",
        b"%2e",
        b".%2E",
        b"",
        b"x",
        b"%78",
        b"a%20b",
        b"a%24",
        b"b;c",
        b"v1",
    ]
)


@given(st.lists(SEGMENTS | st.just(b"%2f"), max_size=7).map(lambda parts: b"/" + b"/".join(parts)))
def test_what_is_left_is_what_routes_are_matched_on_without_the_prefix(path: bytes) -> None:
    whole = readings(path)[0]
    for prefix in (b"/api", b"/api/v1", b"/a%20b", b"/a$"):
        if whole == prefix or whole.startswith(prefix + b"/"):
            assert readings(stripped(path, prefix))[0] == (whole[len(prefix) :] or b"/")


@given(st.lists(SEGMENTS, max_size=7).map(lambda parts: b"/" + b"/".join(parts)), st.sampled_from([b"", b"?a=/../b"]))
def test_what_is_left_is_read_as_what_stands_behind_the_prefix(path: bytes, query: bytes) -> None:
    whole = as_a_server_reads(path)
    for prefix in (b"/api", b"/api/v1"):
        if whole == prefix or whole.startswith(prefix + b"/"):
            left, mark, rest = stripped(path + query, prefix).partition(b"?")
            assert mark + rest == query
            assert as_a_server_reads(left) == (whole[len(prefix) :] or b"/")


@given(st.binary(max_size=30).map(lambda tail: b"/api/" + tail.replace(b"?", b"")))
def test_never_an_authority(target: bytes) -> None:
    left = stripped(target, b"/api")
    assert left[:1] == b"/"
    assert left[1:2] not in (b"/", b"\\")


@pytest.mark.parametrize(
    ("believed", "told"),
    [
        (None, b"/api"),
        (b"X-Forwarded-For: 1.2.3.4", b"/api"),
        (b"X-Forwarded-Prefix: /outer", b"/outer/api"),
        (b"X-Forwarded-For: a\r\nx-forwarded-prefix:/outer/", b"/outer/api"),
        (b"X-Forwarded-Prefix: /a, /b\r\nX-Forwarded-Prefix: /c", b"/a/b/c/api"),
        (b"X-Forwarded-Prefix: ", b"/api"),
        (b"X-Forwarded-Prefix: /", b"/api"),
        (b"X-Forwarded-Prefix: outer", b"/api"),
        (b"X-Forwarded-Prefix: //evil.example", b"/api"),
        (b"X-Forwarded-Prefix: /a//b", b"/api"),
        (b"X-Forwarded-Prefix: https://evil.example", b"/api"),
        (b"X-Forwarded-Prefix: " + b"/" * 5000 + b"\x80", b"/api"),
    ],
)
def test_prefix_that_the_server_is_told(believed: bytes | None, told: bytes) -> None:
    assert joined_prefix(believed, b"/api") == told


@pytest.mark.parametrize(
    ("url", "client"),
    [
        (b"/login", b"/api/login"),
        (b"/", b"/api/"),
        (b"/?a", b"/api/?a"),
        (b"/api", b"/api"),
        (b"/api/x", b"/api/x"),
        (b"/api?x", b"/api?x"),
        (b"/api#x", b"/api#x"),
        (b"/apix", b"/api/apix"),
        (b"http://example.com/x?y#z", b"http://example.com/api/x?y#z"),
        (b"https://EXAMPLE.com:443/x", b"https://EXAMPLE.com:443/api/x"),
        (b"http://example.com", b"http://example.com/api"),
        (b"http://example.com?x", b"http://example.com/api?x"),
        (b"http://example.com/api/x", b"http://example.com/api/x"),
        (b"http://127.0.0.1:9000/x", b"/api/x"),
        (b"http://127.0.0.1:9000/api/x", b"/api/x"),
        (b"http://127.0.0.1:9000", b"/api/"),
        (b"http://127.0.0.1:9000?x", b"/api/?x"),
        (b"http://127.0.0.1:9000//evil.example", b"/api/evil.example"),
        (b"http://127.0.0.1:9000/\\evil.example", b"/api/evil.example"),
        # of others, and relative ones
        (b"", b""),
        (b"x", b"x"),
        (b"../x", b"../x"),
        (b"?x", b"?x"),
        (b"#x", b"#x"),
        (b"//example.com/x", b"//example.com/x"),
        (b"/\\evil.example", b"/\\evil.example"),
        (b"https://other.example/x", b"https://other.example/x"),
        (b"http://example.com:8080/x", b"http://example.com:8080/x"),
        (b"http://example.com@other.example/x", b"http://example.com@other.example/x"),
        (b"http://example.com.other.example/x", b"http://example.com.other.example/x"),
        (b"mailto:a@example.com", b"mailto:a@example.com"),
        (b"ftp://example.com/x", b"ftp://example.com/x"),
    ],
)
def test_location(url: bytes, client: bytes) -> None:
    paths = OwnPaths(b"/api")
    assert paths.location(url, OWN, SENT) == client
    assert paths.location(client, OWN, SENT) == client
    changed = paths.rewrite([b"A: b\r\nLOCATION: " + url, b"C: d\r\nLocation:" + url], OWN, SENT)
    first, *others = lines_of(changed)
    assert [first, others[0], others[1]] == [b"A: b", b"LOCATION: " + client, b"C: d"]
    assert others[2].replace(b" ", b"") == b"Location:" + client
    assert paths.rewrite([b"Content-Location:" + url], OWN, SENT)[0].partition(b":")[2].strip() == client


@pytest.mark.parametrize(
    ("cookie", "client"),
    [
        (b"a=b", b"a=b"),
        (b"a=b; Path=/", b"a=b; Path=/api"),
        (b"a=b;path=/x; Secure", b"a=b;path=/api/x; Secure"),
        (b"a=b; Path = /x ; Secure", b"a=b; Path = /api/x; Secure"),
        (b"a=b; Path=/api", b"a=b; Path=/api"),
        (b"a=b; Path=/api/x", b"a=b; Path=/api/x"),
        (b"a=b; Path=/apix", b"a=b; Path=/api/apix"),
        (b"a=b; Path=x", b"a=b; Path=x"),
        (b"a=b; Path=; HttpOnly", b"a=b; Path=; HttpOnly"),
        (b"path=/x; HttpOnly", b"path=/x; HttpOnly"),
        (b"a=b; xpath=/x", b"a=b; xpath=/x"),
        (b"__Host-a=b; Path=/; Secure", b"__Host-a=b; Path=/; Secure"),
        (b"__Secure-a=b; Path=/; Secure", b"__Secure-a=b; Path=/api; Secure"),
    ],
)
def test_path_of_a_cookie(cookie: bytes, client: bytes) -> None:
    assert OwnPaths(b"/api").rewrite([b"Set-Cookie: " + cookie], OWN, SENT) == [b"Set-Cookie: " + client]


def test_answer_that_names_no_path() -> None:
    runs = [b"A: /x\r\nX-Location: /y"]
    assert OwnPaths(b"/api").rewrite(runs, OWN, SENT) is runs
    assert OwnPaths(b"/api").rewrite([], OWN, SENT) == []


def test_without_a_prefix_only_the_host_is_the_clients() -> None:
    paths = OwnPaths(b"")
    for url, client in [
        (b"http://127.0.0.1:9000/x", b"/x"),
        (b"http://127.0.0.1:9000", b"/"),
        (b"http://example.com/x", b"http://example.com/x"),
        (b"/x", b"/x"),
    ]:
        assert paths.location(url, OWN, SENT) == client
    assert paths.rewrite([b"Set-Cookie: a=b; Path=/"], OWN, SENT) == [b"Set-Cookie: a=b; Path=/"]


@given(st.sampled_from([b"/", b"http://127.0.0.1:9000", b"//", b""]), st.binary(max_size=20))
def test_never_another_host_than_the_servers(begin: bytes, tail: bytes) -> None:
    url = begin + re.sub(rb"[\x00-\x20\x7f]", b"", tail)
    told = OwnPaths(b"/api").location(url, OWN, SENT)
    if told != url:
        assert told.startswith(b"/api")
