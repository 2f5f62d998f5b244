"""The keys of ``backends``: one route or several with commas between, as in ``example.com, www.example.com``.

A route is a host, ``*.example.com`` or ``*``, each with an optional ``/path`` prefix. The normal form is lower case,
without trailing dot, port or trailing slash, a path's octets escaped only where they have to be, so that equal routes
are equal texts. A path may have commas: the next route begins only behind one with white space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes

from l7.config.values.addresses import check_host
from l7.units import quoted

_EXAMPLE = "write a host, '*.example.com' or '*'"
# RFC 3986, 3.3: segments of pchar; "%" only as the beginning of an escape.
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*", re.ASCII)
_LITERAL = "/!$&'()*+,=:@"
"""What a path may have unescaped (RFC 3986, 3.3), beside letters, digits and ``-._~``."""
_READ_APART = re.compile(r";|%2f|%5c|%3b|%3f|%23|%00", re.IGNORECASE)
"""What servers read differently (`l7.http.paths.readings`): a route with one could not be told from others."""


_BETWEEN = ", "
"""What stands between the routes of a key in normal form."""


def normal_route_key(key: str) -> str:
    """Return ``key``, one route or several, in normal form. Raises ValueError that says what to write instead."""
    written = _split(key)
    if len(written) > 1 and "" in written:
        raise ValueError("a comma without a host before or behind it")
    routes = [_normal_route(route) for route in written]
    for index, route in enumerate(routes):
        if route in routes[:index]:
            raise ValueError(f"{quoted(route)} is named twice")
    return joined(routes)


def joined(routes: Iterable[str]) -> str:
    """Return the key of routes in normal form."""
    return _BETWEEN.join(routes)


def routes_of(key: str) -> list[str]:
    """Return the routes of a key in normal form."""
    return key.split(_BETWEEN)


def _split(key: str) -> list[str]:
    routes = []
    for part in re.split(r"\s*,\s+", key):
        host, slash, path = part.partition("/")
        *others, last = host.split(",")
        routes += [*others, last + slash + path]
    return routes


def _normal_route(key: str) -> str:
    if "://" in key or key.startswith("//"):
        raise ValueError(f"write the host alone, as in {_after_scheme(key)!r}")
    host, slash, path = key.partition("/")
    return _normal_host(host) + _normal_path(slash + path)


def _after_scheme(key: str) -> str:
    rest = key.split("//", 1)[1].rsplit("@", 1)[-1]
    return rest.rstrip("/")[:60] or "example.com"


def _normal_host(host: str) -> str:
    if not host:
        raise ValueError(f"the host is empty; {_EXAMPLE}")
    if host == "*":
        return host
    if host.startswith("["):
        inner, bracket, rest = host[1:].partition("]")
        if not bracket or ":" not in inner or rest:
            raise ValueError(f"{quoted(host)}: write the host without a port, IPv6 addresses as [::1]")
        if "%" in inner:
            raise ValueError(
                f"{quoted(host)}: no request names a zone; write {quoted('[' + inner.partition('%')[0] + ']')}"
            )
        return f"[{check_host(inner, _EXAMPLE)}]"
    if ":" in host:
        name, _, port = host.partition(":")
        if port.isdigit() or not port:
            raise ValueError(f"a route has no port; write {name!r}")
        # What follows the colon may be a password: a word that lost its --user.
        raise ValueError("a ':' in a host; write IPv6 addresses in brackets, as in [::1]")
    wildcard, name = host.startswith("*."), host.removeprefix("*.")
    if "*" in name:
        raise ValueError(f"{quoted(host)}: '*' stands alone or for the first labels, as in '*.example.com'")
    return ("*." if wildcard else "") + check_host(name, _EXAMPLE)


def _normal_path(path: str) -> str:
    """Return the prefix with as few escapes as can be, without trailing slashes; the root is no prefix at all."""
    for mark, what in (("?", "query"), ("#", "fragment")):
        if mark in path:
            raise ValueError(f"a route has no {what}; end it before the {mark!r}")
    if not _PATH.fullmatch(path):
        raise ValueError(f"{quoted(path)} is not a path; escape special characters as %XX")
    if found := _READ_APART.search(path):
        raise ValueError(f"{quoted(path)}: servers differ in what they make of {found[0]!r}; end the route before it")
    prefix = quote(unquote_to_bytes(path), safe=_LITERAL).rstrip("/")
    segments = prefix.split("/")[1:]
    if "" in segments or "." in segments or ".." in segments:
        raise ValueError(f"{quoted(path)}: write a path without '//', '/./' and '/../'")
    return prefix
