"""No spelling of a path leads to another route than its own, whoever reads it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from l7.balancing.routing import Routes
from l7.config.values.routekeys import normal_route_key
from l7.errors import BAD_REQUEST, ProxyError

KEYS = ["h", "h/open", "h/secret", "h/admin", "h/admin/open", "h/a:b/c", "h/caf%C3%A9", "h/b/c/d", "h/b/d", "h/x y"]
KEYS = [normal_route_key(key.replace(" ", "%20")) for key in KEYS]
ROUTES = Routes({key: key for key in KEYS})


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/%61dmin", "h/admin"),
        (b"/%41dmin", "h"),
        (b"//admin", "h/admin"),
        (b"///admin//", "h/admin"),
        (b"/x/../admin", "h/admin"),
        (b"/open/../secret", "h/secret"),
        (b"/open/%2e%2e/secret?x", "h/secret"),
        (b"/./admin", "h/admin"),
        (b"/%2e%2e/admin", "h/admin"),
        (b"/../../../admin", "h/admin"),
        (b"/admin/./open", "h/admin/open"),
        (b"/admin/../", "h"),
        (b"/admin/open/..", "h/admin"),
        (b"/a%3ab/c", "h/a:b/c"),
        (b"/a:b/c", "h/a:b/c"),
        (b"/caf%c3%a9/x", "h/caf%C3%A9"),
        (b"/x%20y", "h/x%20y"),
        (b"/%2561dmin", "h"),
        (b"/x?/../admin", "h"),
        (b"/admin?/../open;%2f", "h/admin"),
        (b"/admin/x%2fy", "h/admin"),
        (b"/admin/x;y=1", "h/admin"),
        (b"/x/a%2fb\\c", "h"),
        (b"/admin/x%00", "h/admin"),
        (b"*", "h"),
        (b"", "h"),
    ],
)
def test_a_route_is_found_whatever_the_spelling(path: bytes, route: str) -> None:
    match = ROUTES.match("h", path)
    assert match is not None
    assert match.payload == route


@pytest.mark.parametrize(
    "path",
    [
        b"/admin/..;/",
        b"/admin;x",
        b"/admin;",
        b"/open/..;/secret",
        b"/admin%2f..%2f",
        b"/admin%2F",
        b"/open%2f..%2fsecret",
        b"/open/..%2fsecret",
        b"/open/..%5csecret",
        b"/open\\..\\secret",
        b"/open/%2e%2e%2fsecret",
        b"/open/..%2fsecret/..;/open/x",
        b"/open//../secret",
        b"/admin%00",
        b"/admin%3f",
        b"/admin%23/open",
        b"/admin%3bx",
        b"/b;x%2fc/d",
        b"/\\admin",
        b"/%2fadmin",
        b"/%5Cadmin",
        b"/x%5Cy/..\\admin",
        b"/x%2Fy/../%2Fadmin",
        b"/./admin/%2e%2e/../x",
        b"/./admin/.%2E/../x",
        b"//./admin%2F..////../",
        b"/\\;\\x/;%2fadmin",
        b"/.." * 40 + b"/open",
        b"/x/..;/admin%2F../",
        b"/x%00/..%2Fadmin%00.png",
        b"/x/../admin;%00/..",
        b"/./admin%3b%3F/..",
    ],
)
def test_a_path_with_two_routes_is_refused(path: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        ROUTES.match("h", path)
    assert caught.value.kind is BAD_REQUEST
    assert "secret" not in caught.value.detail
    assert "admin" not in caught.value.detail


def test_a_long_path_with_all_that_servers_differ_in_is_not_read() -> None:
    path = b"/x;%2F%5C\\%3B%00%3F%23//./%2E/"
    assert ROUTES.match("h", path * 10) is ROUTES.match("h", b"/x")
    with pytest.raises(ProxyError, match="in too many ways"):
        ROUTES.match("h", path * 200)


def test_only_hosts_with_paths_are_looked_at() -> None:
    routes = Routes({"plain.org": 1, "h/api": 2, "*.w.org": 3, "*.w.org/api": 4, "*": 5})
    for host, path, payload in (
        ("plain.org", b"/api%2f..;/", 1),
        ("x.w.org", b"/%61pi", 4),
        ("other", b"/api;x", 5),
        ("h", b"//api", 2),
        ("h", b"/../x", 5),
    ):
        match = routes.match(host, path)
        assert match is not None
        assert match.payload == payload
    for host in ("h", "x.w.org"):
        with pytest.raises(ProxyError):
            routes.match(host, b"/api;x")


def _resolved(path: str) -> str:
    return "/" + posixpath.normpath("/" + path).lstrip("/")


def _application_server(path: str) -> str:
    """Whatever is made of one decoding (WSGI, ASGI, nginx)."""
    return _resolved(re.sub("//+", "/", unquote(path, "latin-1")))


def _slash_is_data(path: str) -> str:
    """Escaped slashes are no borders (Tomcat's and Apache's default, which refuse them)."""
    return _resolved(unquote(re.sub("%2f", "%252F", path, flags=re.IGNORECASE), "latin-1"))


def _servlets(path: str) -> str:
    """Parameters are cut off before all else."""
    return _application_server(re.sub(";[^/]*", "", path))


def _late_parameters(path: str) -> str:
    """Parameters are cut off of what was decoded."""
    return _resolved(re.sub(";[^/]*", "", unquote(path, "latin-1")))


def _windows(path: str) -> str:
    """Backslashes are slashes."""
    return _resolved(unquote(path, "latin-1").replace("\\", "/"))


def _c_string(path: str) -> str:
    """A path ends at NUL."""
    return _resolved(unquote(path, "latin-1").partition("\0")[0])


def _c_string_late(path: str) -> str:
    """The path was resolved before."""
    return _application_server(path).partition("\0")[0]


def _parsed_twice(path: str) -> str:
    """What was decoded is taken for a URL."""
    return _resolved(re.split("[?#]", unquote(path, "latin-1"))[0])


def _standard(path: str) -> str:
    """Empty segments are segments while dots are resolved (RFC 3986, 5.2.4, WHATWG); slashes are joined afterwards."""
    kept: list[str] = []
    segments = re.sub("%2e", ".", path, flags=re.IGNORECASE).split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
    joined = "/" + "/".join(segment for segment in kept if segment)
    return unquote(re.sub("%2f", "%252F", joined, flags=re.IGNORECASE), "latin-1")


def _new_url(path: str) -> str:
    """A backslash is a slash, but an escaped one is none (WHATWG)."""
    return _standard(path.replace("\\", "/"))


def _behind_a_proxy(path: str) -> str:
    """Dots are resolved before other escapes are decoded, and again afterwards."""
    return _application_server(_resolved(re.sub("//+", "/", re.sub("%2e", ".", path, flags=re.IGNORECASE))))


def _decoded_last(path: str) -> str:
    """Dots are resolved as they are written, what was escaped is decoded afterwards (``path.normalize`` of Node.js)."""
    return _resolved(unquote(posixpath.normpath(re.sub("//+", "/", path)), "latin-1"))


def _windows_last(path: str) -> str:
    """Parameters are cut off of what was decoded, and a file system takes a backslash for a slash."""
    return _resolved(re.sub(";[^/]*", "", unquote(path, "latin-1")).replace("\\", "/"))


READERS: list[Callable[[str], str]] = [
    _application_server, _slash_is_data, _servlets, _late_parameters, _windows, _c_string, _parsed_twice, _standard,
    _new_url, _behind_a_proxy, _decoded_last, _windows_last,
    _c_string_late,
]  # fmt: skip


def _route_of(path: str) -> str:
    """The longest route that ``path``, decoded, lies in: without anything of l7."""
    found = [key for key in KEYS if (path + "/").startswith(unquote(key, "latin-1").removeprefix("h") + "/")]
    return max(found, key=len)


PIECES = [
    "/", "/", "//", "/./", "/../", "/..", "..", ".", "%2e", "%2E%2e", "%2f", "%2F", "%5c", "\\", ";", ";x=1", "%3b",
    "%00", "%3f", "%23", "%25", "%", "%2561", "/open", "/secret", "/admin", "admin", "open", "%61dmin", "adm%69n",
    "/a:b/c", "/a%3Ab/c", "/caf%c3%A9", "/b", "/c", "/d", "x", "{", "/x%20y",
]  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map(lambda pieces: "/" + "".join(pieces)))
@example("/b;x%2fc/d")
@example("/open//../secret")
def test_no_server_reads_a_path_of_another_route(path: str) -> None:
    try:
        match = ROUTES.match("h", path.encode())
    except ProxyError:
        return
    assert match is not None
    read = {reader.__name__: (reader(path), _route_of(reader(path))) for reader in READERS}
    assert {route for _, route in read.values()} == {match.payload}, read


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(KEYS), st.data())
def test_no_spelling_leads_around_a_route(key: str, data: st.DataObject) -> None:
    """Escapes, dot segments and slashes wherever they change nothing."""
    path = ""
    for segment in unquote(key.removeprefix("h"), "latin-1").split("/")[1:]:
        between = data.draw(st.sampled_from(["/", "//", "/./", "/x/../", "/%2e/", "/x/%2E./", "///"]))
        spelled = [
            f"%{ord(letter):02x}" if data.draw(st.booleans()) else quote(letter, safe=":", encoding="latin-1")
            for letter in segment
        ]
        path += between + "".join(spelled)
    path += data.draw(st.sampled_from(["", "/", "/x", "?x", "//", "/."]))
    match = ROUTES.match("h", path.encode())
    assert match is not None
    assert match.payload == key, path


@pytest.mark.parametrize(
    ("path", "route", "also"),
    [
        (b"/admin/../open", "h/open", "h/admin"),
        (b"/x/%2e%2e/open?q", "h/open", "h"),
        (b"/admin/open/../../secret", "h/secret", "h/admin/open"),
        (b"/open/./x", "h/open", None),
        (b"//open", "h/open", None),
        (b"/open/x/../y", "h/open", None),
        (b"/%6fpen", "h/open", None),
        (b"/./admin/%2e%2e/open", "h/open", "h h/admin"),
        (b"/.//admin/%2E./x", "h", "h/admin"),
        (b"/secret/../admin/.%2e/open", "h/open", "h/secret h/admin"),
        (b"/admin/%2e/./x", "h/admin", None),
    ],
)
def test_where_a_path_leads_if_its_dots_are_left_as_they_are(path: bytes, route: str, also: str | None) -> None:
    match = ROUTES.match("h", path)
    assert match is not None
    assert (match.payload, " ".join(other.payload for other in match.also) or None) == (route, also)
    assert ROUTES.match("h", path) is match


def test_rules_with_another_one_are_kept_within_a_bound() -> None:
    routes = Routes({"h": 0} | {f"h/r{number}": number for number in range(50)})
    for first in range(50):
        for second in range(50):
            match = routes.match("h", b"/r%d/../r%d" % (first, second))
            assert match is not None
            assert match.payload == second
            assert [other.payload for other in match.also] == ([] if first == second else [first])
