"""How a path is read: the normal form, and the forms that some servers make of it."""

from __future__ import annotations

import contextlib
import time

import pytest

from l7.config.values.routekeys import normal_route_key
from l7.errors import BAD_REQUEST, ProxyError
from l7.http import octets
from l7.http.paths.readings import MOST_UPWARD, readings, unresolved


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"/", b"/"),
        (b"", b""),
        (b"*", b"*"),
        (b"/a/b", b"/a/b"),
        (b"/%61dmin", b"/admin"),
        (b"/%7e%2D%5f%3A%40%2b", b"/~-_:@+"),
        (b"/caf%c3%a9", b"/caf%C3%A9"),
        (b"/{a}|", b"/%7Ba%7D%7C"),
        (b"/%7ba%7D%7c", b"/%7Ba%7D%7C"),
        (b"/100%", b"/100%25"),
        (b"/%zz", b"/%25zz"),
        (b"/%2561", b"/%2561"),
        (b"//admin", b"/admin"),
        (b"/a///b//", b"/a/b/"),
        (b"/x/../admin", b"/admin"),
        (b"/x/%2e%2E/admin", b"/admin"),
        (b"/x/.%2e/admin", b"/admin"),
        (b"/./admin/.", b"/admin/"),
        (b"/%2e/admin/..", b"/"),
        (b"/../../admin", b"/admin"),
        (b"/a/b/../../../c", b"/c"),
        (b"/...", b"/..."),
        (b"/..a/.b", b"/..a/.b"),
    ],
)
def test_the_one_reading_of_a_path(path: bytes, normal: bytes) -> None:
    assert readings(path) == [normal]


@pytest.mark.parametrize(
    ("path", "forms"),
    [
        (b"/admin/..;/", {b"/admin/..;/", b"/admin/../", b"/"}),
        (b"/admin;x=1/y", {b"/admin;x=1/y", b"/admin/y"}),
        (b"/admin%3bx/y", {b"/admin%3Bx/y", b"/admin/y"}),
        (b"/a%2F..%2fb", {b"/a%2F..%2Fb", b"/a/../b", b"/b"}),
        (b"/a\\..%5cb", {b"/a%5C..%5Cb", b"/a/..%5Cb", b"/a/../b", b"/b"}),
        (b"/a%2f..%5Cb", {b"/a%2F..%5Cb", b"/a/..%5Cb", b"/a%2F../b", b"/a/../b", b"/b"}),
        (b"/a%5cb/..\\c", {b"/a%5Cb/..%5Cc", b"/a/b/../c", b"/a/c", b"/a%5Cb/../c", b"/c"}),
        (b"/..\\a%2f..", {b"/..%5Ca%2F..", b"/..%5Ca/..", b"/../a%2F..", b"/../a/..", b"/a%2F..", b"/a/..", b"/"}),
        (b"/a%00b", {b"/a%00b", b"/a"}),
        (b"/a%3fb/c", {b"/a%3Fb/c", b"/a"}),
        (b"/a%23/b", {b"/a%23/b", b"/a"}),
        (b"/open//../secret", {b"/secret", b"/open/secret"}),
        (b"/x/../admin%2f../y", {b"/admin%2F../y", b"/y", b"/x/../admin/../y", b"/admin/../y"}),
        (b"/x%2fy/../%2Fadmin", {b"/%2Fadmin", b"/x/admin", b"/x/y/../admin", b"/admin"}),
        (
            b"/x%2fy/../z%2F..%2fadmin",
            {b"/z%2F..%2Fadmin", b"/x/admin", b"/x/y/../z/../admin", b"/z/../admin", b"/admin"},
        ),
        (b"/b;x%2fc/d", {b"/b;x%2Fc/d", b"/b/d", b"/b;x/c/d", b"/b/c/d"}),
    ],
)
def test_what_servers_differ_in(path: bytes, forms: set[bytes]) -> None:
    found = readings(path)
    assert set(found) == forms
    assert len(found) == len(forms)


def test_dot_segments_may_be_left_to_applications() -> None:
    assert unresolved(b"//a/%2e./%62") == b"/a/../b"


def test_a_path_that_leads_upwards_without_end_is_refused() -> None:
    assert readings(b"/.." * MOST_UPWARD + b"/x") == [b"/x"]
    with pytest.raises(ProxyError, match=f"more than {MOST_UPWARD}") as caught:
        readings(b"/%2e." * (MOST_UPWARD + 1))
    assert caught.value.kind is BAD_REQUEST


@pytest.mark.parametrize(
    "piece",
    [
        b"%2f;%5c%00%3f%23/./",
        b"%61",
        b"/.",
        b"//",
        b";a/",
        b"%2f",
        b"a",
        b"/a/..//%2f;x%5c%3b%00",
        b"\\/.;%2f%5c%3b%00%23%3f",
    ],
)
def test_the_longest_paths_cost_milliseconds(piece: bytes) -> None:
    begin = time.process_time()
    for length in (8192, 4096, 1023):  # what has all that servers differ in is read up to a kilobyte
        with contextlib.suppress(ProxyError):
            readings((b"/" + piece * length)[:length])
    assert time.process_time() - begin < 0.3, "each takes 15 ms at most"


@pytest.mark.parametrize("path", [b"/", b"*", b"/a/b.c/~d?//%61/..;\\", b"/a!$&'()*+,=:@-_", b""])
def test_a_plain_path_is_its_own_only_reading(path: bytes) -> None:
    assert octets.plain_path(path)
    assert readings(path.partition(b"?")[0]) == [path.partition(b"?")[0]]


@pytest.mark.parametrize("code", range(0x21, 0x7F))
def test_what_is_no_plain_path_is_found(code: int) -> None:
    for path in (b"/a" + bytes([code]), b"/" + bytes([code]) + b"a", b"/a/" + bytes([code])):
        reading = path.partition(b"?")[0]
        assert octets.plain_path(path) is (readings(reading) == [reading] and b";" not in path and b"/." not in path)


@pytest.mark.parametrize("path", ["/%61", "/~%7e", "/caf%c3%a9", "/100%25", "/%7bx%7D", "/a:b@c!$&'()*+,=", "/%2B+%20"])
def test_a_route_is_written_in_the_normal_form(path: str) -> None:
    """They are compared as texts."""
    assert [normal_route_key("h" + path).removeprefix("h").encode()] == readings(path.encode())
