"""The files of the admin page. They are read once, before root is given up and before a first fork, and never again."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

from l7.http.messages import LocalResponse, RequestHead
from l7.workers.monitor.admin.answers import SECURITY, gzipped, takes_gzip, value_of

PLACE = Path(__file__).resolve().parent.parent / "page"
INDEX = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFile:
    """One file, as it is and compressed, each with its entity tag."""

    def __init__(self, media_type: str, body: bytes) -> None:
        self._media_type = media_type
        self._body = body
        self._digest = hashlib.blake2b(body, digest_size=9).hexdigest()

    @cached_property
    def _compressed(self) -> bytes:
        return gzipped(self._body, 9)

    def answer(self, head: RequestHead) -> LocalResponse:
        """The file, or 304 for who has it (RFC 9110, 13.1.2)."""
        coding = takes_gzip(head)
        tag = f'"{self._digest}-gzip"' if coding else f'"{self._digest}"'
        fields = (f"ETag: {tag}", "Cache-Control: no-cache", "Vary: Accept-Encoding", *SECURITY)
        if _has(value_of(head, b"if-none-match"), tag):
            return LocalResponse(304, "", b"", fields)
        if coding:
            return LocalResponse(200, self._media_type, self._compressed, ("Content-Encoding: gzip", *fields))
        return LocalResponse(200, self._media_type, self._body, fields)


def _has(known: bytes | None, tag: str) -> bool:
    """Whether what a client has is the present one: tags are compared weakly (RFC 9110, 8.8.3.2)."""
    if known is None:
        return False
    tags = [one.strip(b" \t").removeprefix(b"W/") for one in known.split(b",")]
    return tags == [b"*"] or tag.encode("ascii") in tags


def read_files(place: Path = PLACE) -> dict[bytes, StaticFile]:
    """The files of a directory by the path that they are asked for; ``INDEX`` is ``/``."""
    found = {}
    for path in sorted(place.iterdir()):
        media_type = MEDIA_TYPES.get(path.suffix)
        if media_type is not None:
            name = "" if path.name == INDEX else path.name
            found[b"/" + name.encode()] = StaticFile(media_type, path.read_bytes())
    return found


FILES = read_files()
"""Those of the admin page."""
