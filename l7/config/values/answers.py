"""The parsers behind redirects, own answers and error pages; as those of `l7.config.values.scalars`.

Where a redirect leads is the operator's choice and never the client's: scheme and host are written out, or they are
those by which the client came here.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from l7.config.values.addresses import check_host
from l7.config.values.backend import unless_off
from l7.config.values.scalars import path, text_of
from l7.config.values.templates import Variable, pieces_of
from l7.units import quoted

EXAMPLE = "write a URL, as in https://example.com{target}, or a path of the same host, as in /new{path}"
REDIRECTS = (301, 302, 303, 307, 308)
BODYLESS = (204, 205, 304)
PAGE_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}
"""The media types of error pages, by the end of their file's name."""
LARGEST_PAGE = 1024**2
"""Bytes of the largest error page: it is kept in memory, and sent to whoever provokes an error."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+ *(;[ -~]*)?", re.ASCII)
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\";\s]*)", re.ASCII | re.IGNORECASE)
_ERROR_STATUS = re.compile(r"[45]([0-9]{2}|xx)", re.ASCII)
_AS_ASKED = r"\{(?:path|target)\}"
"""The variables that begin with a slash."""
_ABSOLUTE = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*|\{{[a-z-]+\}}):(?://(?P<authority>(?:(?!{_AS_ASKED})[^/?#])*)(?P<rest>.*))?",
    re.ASCII | re.DOTALL,
)
_RELATIVE = re.compile(rf"/(?!/)|{_AS_ASKED}")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}|\{port\}))?")
_HOST = "{host}"


class RedirectUrl(NamedTuple):
    """The parts of where a redirect leads, as they are written."""

    scheme: str
    """``http``, ``https`` or ``{scheme}``; empty for a path of the same host."""
    host: str
    """In lower case; it may end with ``{host}``. Empty for a path of the same host."""
    port: str
    """Digits or ``{port}``; empty where none is written."""
    rest: str
    """Path, query and fragment, with their variables."""

    @property
    def by_host(self) -> bool:
        """Whether it leads to a host that the request names."""
        return _HOST in self.host


def redirect(value: Any) -> Any:
    """Parse where requests are sent: a URL, or a section; ``off`` is nowhere."""
    if value == "off" or value is None:
        return None
    return {"to": value} if isinstance(value, str) else unless_off(value)


def redirect_status(value: Any) -> int:
    """Parse the status of a redirect."""
    text = text_of(value, "write 301, 302, 303, 307 or 308")
    if text not in map(str, REDIRECTS):
        raise ValueError(f"{quoted(text)} is no status of a redirect; write 301, 302, 303, 307 or 308")
    return int(text)


def url_template(value: Any) -> str:
    """Parse the URL of a redirect, which may have variables."""
    text = text_of(value, EXAMPLE)
    redirect_url(text)
    return text


def redirect_url(text: str) -> RedirectUrl:
    """The parts of a redirect's URL. Raises ValueError that says what to write instead."""
    if not text:
        raise ValueError(f"the URL is empty; {EXAMPLE}")
    if _CONTROL.search(text) or " " in text or "\\" in text:
        raise ValueError(f"{quoted(text)} has a space, a backslash or a control character; write it as %XX")
    pieces = pieces_of(text)
    if _RELATIVE.match(text):
        return RedirectUrl("", "", "", text)
    if text.startswith("//"):
        raise ValueError(f"{quoted(text)} has no scheme; write https:{text}")
    match = _ABSOLUTE.match(text)
    if match is None:
        if isinstance(pieces[0], Variable):
            raise ValueError(f"begins with {{{pieces[0].name}}}, so that a client could say where it leads; {EXAMPLE}")
        raise ValueError(f"{quoted(text)} is no URL; {EXAMPLE}")
    if match["authority"] is None and text[match.end() :].isdigit():  # example.com:8080
        raise ValueError(f"{quoted(text)} has no scheme; write https://{text}")
    scheme = match["scheme"].lower()
    if scheme not in ("http", "https", "{scheme}") or match["authority"] is None:
        raise ValueError(f"{quoted(text)}: a redirect leads to http:// or https://; {EXAMPLE}")
    return RedirectUrl(scheme, *_authority(text, match["authority"]), match["rest"])


def _authority(text: str, authority: str) -> tuple[str, str]:
    """Host and port; raises ValueError where a client could say them, but for the host by which it came."""
    if "@" in authority:
        raise ValueError("a login in a URL is not supported; remove everything up to the '@'")
    match = _HOST_AND_PORT.fullmatch(authority)
    host = "" if match is None else match["host"].lower()
    named = [piece.name for piece in pieces_of(authority) if isinstance(piece, Variable)]
    for name in named:
        if name not in ("host", "port") or (name == "port" and (match is None or match["port"] != "{port}")):
            what = f"{{{name}}} is part of the host there, so that a client could say where it leads"
            raise ValueError(f"{quoted(text)}: {what}; write the host itself, or a '/' before it")
    if match is None or not host:
        raise ValueError(f"{quoted(text)}: {quoted(authority)} is no host with a port; {EXAMPLE}")
    if _HOST in host and (host.count(_HOST) > 1 or not host.endswith(_HOST)):
        raise ValueError(f"{quoted(text)}: nothing of the host may follow {{host}}; {EXAMPLE}")
    port = match["port"] or ""
    if port.isdigit() and not 1 <= int(port) <= 65535:
        raise ValueError(f"{quoted(text)}: port {port} is out of range; write 1 to 65535")
    checked = check_host(host.replace(_HOST, "host").strip("[]"), EXAMPLE)
    if _HOST in host:
        return host, port
    return (f"[{checked}]" if ":" in checked else checked), port


def media_type(value: Any) -> str:
    """Parse a media type (RFC 9110, 8.3.1); what is text is said to be UTF-8, as it is sent."""
    text = text_of(value, "write a media type, as in text/plain")
    if not _MEDIA_TYPE.fullmatch(text):
        raise ValueError(f"{quoted(text)} is no media type; write one as in text/plain")
    charset = _CHARSET.search(text)
    if charset is not None and charset[1].lower() not in ("utf-8", "us-ascii"):
        raise ValueError(f"{quoted(text)}: the body is sent as UTF-8; write charset=utf-8")
    return (
        text if charset is not None or not text.lower().startswith("text/") else f"{text.rstrip(' ;')}; charset=utf-8"
    )


def body(value: Any) -> str:
    """Parse the text of a body, which may be empty and may have variables."""
    text = text_of(value, "write a text")
    pieces_of(text)
    return text


def check_answer(status: int, text: str) -> None:
    """Refuse a status that needs what the answer has not, or that has what it may not have (RFC 9110, 15)."""
    if status in REDIRECTS:
        raise ValueError(f"{status} needs a Location; write redirect: {{to: URL, status: {status}}} instead of respond")
    if text and status in BODYLESS:
        raise ValueError(f"an answer with {status} has no body; leave it out")


def error_status(value: Any) -> str:
    """Parse a status from 400 on, or a range of them, as ``5xx``."""
    text = text_of(value, "write a status, as in 502, or 5xx")
    if not _ERROR_STATUS.fullmatch(text.lower()):
        raise ValueError(f"{quoted(text)} is neither the status of an error nor 4xx or 5xx; write one as in 502")
    return text.lower()


def page_path(value: Any) -> str:
    """Parse the path of an error page, whose name says what it is."""
    name = path(value)
    page_type(name)
    return name


def page_type(name: str) -> str:
    """The media type of an error page, by the name of its file. Raises ValueError for others than those known."""
    end = os.path.splitext(name)[1].lower()
    if end not in PAGE_TYPES:
        raise ValueError(f"{quoted(name)}: the name of an error page ends with .html, .json or .txt")
    return PAGE_TYPES[end]
