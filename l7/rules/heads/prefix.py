"""A path prefix that the server does not know of: taken off its requests, given back to what it says of its own paths.

What is taken off is the prefix that matched, however it was spelled: ``/%61pi/x`` and ``//api/x`` have the prefix
``/api``, too. What is left begins with exactly one slash, so that no server takes ``//evil.example`` for a host.
"""

from __future__ import annotations

import re

from l7.http.fields import name_of
from l7.http.grammar import CRLF, OWS
from l7.http.paths.readings import unresolved

_DOTS = (b".", b"..")
_BORDERS = (b"", b"/", b"?")
_SLASHES = b"/\\"
"""What begins an authority where two of them lead (RFC 3986, 4.2; the URL standard reads a backslash as a slash)."""

_URL = re.compile(rb"(?i:(https?))://([^/?#\\]*)(.*)", re.DOTALL)
_PREFIX = re.compile(rb"/[!-+\--~]+")
"""A prefix that an outer proxy may have taken off: a path in visible ASCII, without a comma."""
_COOKIE_PATH = re.compile(rb"(;[ \t]*path[ \t]*=[ \t]*)(/[^;]*)", re.IGNORECASE)

_LOCATIONS = (b"\r\nlocation:", b"\r\ncontent-location:")
_SET_COOKIE = b"\r\nset-cookie:"


def stripped(target: bytes, prefix: bytes) -> bytes:
    """A path with its query, which has matched ``prefix``, without that."""
    path, mark, query = target.partition(b"?")
    rest = path[len(prefix) :]
    if not path.startswith(prefix) or rest[:1] not in _BORDERS or _has_dots(path):
        rest = _reunresolved(path, prefix)
    return b"/" + rest.lstrip(_SLASHES) + mark + query


def _has_dots(path: bytes) -> bool:
    """Whether there may be a dot segment (RFC 3986, 3.3) in a path."""
    return b"/." in path or b"/%2" in path


def _reunresolved(path: bytes, prefix: bytes) -> bytes:
    """What stands behind a prefix that is not spelled as in the configuration.

    Dot segments are resolved where there are any, because what they lead to may be the prefix; all else stays as it
    came.
    """
    segments = path.split(b"/")[1:]
    if any(unresolved(segment) in _DOTS for segment in segments):
        segments = _resolved(segments)
    for wanted in prefix.split(b"/")[1:]:
        while len(segments) > 1 and not segments[0]:
            segments.pop(0)
        if not segments or unresolved(segments[0]) != unresolved(wanted):
            return path
        segments.pop(0)
    return b"/".join(segments)


def _resolved(segments: list[bytes]) -> list[bytes]:
    """Segments of a path as a server reads it: without dot segments, double slashes taken for one."""
    kept: list[bytes] = []
    for segment in segments:
        plain = unresolved(segment)
        if plain == b"..":
            del kept[-1:]
        elif segment and plain != b".":
            kept.append(segment)
    if unresolved(segments[-1]) in (b"", *_DOTS):
        kept.append(b"")
    return kept


def joined_prefix(believed: bytes | None, prefix: bytes) -> bytes:
    """What a server is told in X-Forwarded-Prefix: what trusted proxies have taken off, and in front of what l7 does.

    ``believed`` are the forwarding lines of a trusted proxy; of what they say only paths are taken.
    """
    outer = b""
    for line in believed.split(CRLF) if believed else []:
        if name_of(line) == b"x-forwarded-prefix":
            for part in line.partition(b":")[2].split(b","):
                path = part.strip(OWS).rstrip(b"/")
                if _PREFIX.fullmatch(path) and b"//" not in path:
                    outer += path
    return outer + prefix


class OwnPaths:
    """Gives the prefix back to paths in an answer, and the client's host to URLs that name the one the server got.

    :param prefix: what was taken off, as ``/api``; empty for nothing.
    """

    __slots__ = ("_needles", "_prefix")

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._needles = (*_LOCATIONS, _SET_COOKIE) if prefix else _LOCATIONS

    def rewrite(self, runs: list[bytes], authority: bytes, sent: bytes) -> list[bytes]:
        """The lines of an answer with Location, Content-Location and the paths of cookies as the client knows them.

        :param authority: the Host of the client.
        :param sent: the Host that the server got.
        """
        text = CRLF + CRLF.join(runs)
        folded = text.lower()
        changed = False
        for needle in self._needles:
            at = folded.find(needle)
            while at >= 0:
                begin, end = at + len(needle), folded.find(CRLF, at + 2)
                if end < 0:
                    end = len(text)
                told = self._told(needle, text[begin:end], authority, sent)
                if told != text[begin:end]:
                    text, changed = text[:begin] + told + text[end:], True
                    folded, end = text.lower(), begin + len(told)
                at = folded.find(needle, end)
        return [text[2:]] if changed else runs

    def _told(self, needle: bytes, value: bytes, authority: bytes, sent: bytes) -> bytes:
        """The value of a line as the client is to get it, with the white space in front."""
        if needle is _SET_COOKIE:
            return self._cookie(value)
        url = value.strip(OWS)
        told = self.location(url, authority, sent)
        return value if told == url else b" " + told

    def location(self, url: bytes, authority: bytes, sent: bytes) -> bytes:
        """A URL of the server as the client reaches it; of another host, and a relative one, it stays as it is.

        One that names the host that only l7 knows becomes a path, which is at the client's own host.
        """
        if url[:1] == b"/" and url[1:2] not in (b"/", b"\\"):
            return self._prefixed(url)
        match = _URL.fullmatch(url)
        if match is None:
            return url
        scheme, named, rest = match[1].lower(), match[2], match[3]
        if _same(scheme, named, authority):
            return url[: match.start(3)] + self._prefixed(rest)
        if _same(scheme, named, sent):
            return self._prefixed(b"/" + rest.lstrip(_SLASHES))
        return url

    def _prefixed(self, path: bytes) -> bytes:
        """A path, with what follows it, behind the prefix, unless it is there already."""
        prefix = self._prefix
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (*_BORDERS, b"#"):
            return path
        return prefix + path

    def _cookie(self, cookie: bytes) -> bytes:
        """A cookie with its path behind the prefix; that of a ``__Host-`` cookie has to stay the root."""
        if cookie.lstrip(OWS)[:7].lower() == b"__host-":
            return cookie
        return _COOKIE_PATH.sub(self._cookie_path, cookie)

    def _cookie_path(self, match: re.Match[bytes]) -> bytes:
        path = match[2].rstrip(OWS)
        return match[1] + (self._prefix if path == b"/" else self._prefixed(path))


def _same(scheme: bytes, named: bytes, authority: bytes) -> bool:
    """Whether a URL names this authority, whose port may be left out where it is that of the scheme."""
    default = b":443" if scheme == b"https" else b":80"
    named = named.lower()
    authority = authority.lower()
    return bool(named) and named.removesuffix(default) == authority.removesuffix(default)
