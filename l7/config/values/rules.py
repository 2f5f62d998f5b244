"""The parsers behind the types of `l7.config.sections.rules`; as those of `l7.config.values.scalars`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from l7.config.values.backend import switch, token, unless_off
from l7.config.values.scalars import show_size_or_unlimited, size_or_unlimited, text_of
from l7.units import quoted

CODINGS = ("zstd", "br", "gzip")
"""What answers can be compressed with, the preferred ones first."""
REDIRECTS = (301, 302, 303, 307, 308)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+ *(;[ -~]*)?", re.ASCII)
_ERROR_STATUS = re.compile(r"[45]([0-9]{2}|xx)", re.ASCII)


def list_or_off(value: Any) -> Any:
    """Parse a list, or one item of it; ``off`` is an empty one, ``inherit`` is none."""
    value = _single(value)
    if value is None:
        raise ValueError("is empty; write a list, off or inherit")
    if value == "inherit":
        return None
    if value == "off":
        return ()
    if value == []:
        raise ValueError("the list is empty; write off where there is to be none")
    return value if isinstance(value, (list, tuple)) else (value,)


def _single(value: Any) -> Any:
    """The item of a list that has one: a flag that may be repeated gives a list."""
    single = isinstance(value, (list, tuple)) and len(value) == 1 and isinstance(value[0], str)
    return value[0] if single else value


def show_list(value: tuple[Any, ...] | None) -> Any:
    """Show a list; an empty one is ``off``, none is ``inherit``."""
    if value is None:
        return "inherit"
    return [str(item) for item in value] if value else "off"


def codings(value: Any) -> Any:
    """Parse a list of codings; ``true`` is all, ``off`` none, ``inherit`` no word of it."""
    value = _single(value)
    if isinstance(value, (list, tuple)) or value is None or value in (*CODINGS, "inherit"):
        return list_or_off(value)
    try:
        return CODINGS if switch(value) else ()
    except ValueError:
        raise ValueError(f"{quoted(value)} is unknown; write zstd, br or gzip, a list of them, true or off") from None


def users(value: Any) -> Any:
    """Parse logins with their passwords; ``off`` is no login, ``inherit`` no word of it."""
    if value == "inherit":
        return None
    if value == "off":
        return {}
    if not isinstance(value, Mapping):
        raise ValueError("write logins with their passwords, `login: password`, or off")
    return value


def show_users(value: Mapping[str, Any] | None) -> Any:
    """Show that there are no logins, or no word of them; those that are there are shown one by one."""
    if value is None:
        return "inherit"
    return dict(value) if value else "off"


def rate_key(value: Any) -> str:
    """Parse ``client``, ``header:NAME`` or ``all``."""
    text = text_of(value, "write client, header:NAME or all")
    if text in ("client", "all"):
        return text
    kind, colon, name = text.partition(":")
    if not colon or kind != "header":
        raise ValueError(f"{quoted(text)} is unknown; write client, header:NAME or all")
    return f"header:{token(name.strip()).lower()}"


def url_template(value: Any) -> str:
    """Parse the URL of a redirect."""
    text = text_of(value, "write a URL, as in https://example.com{target}")
    if not text or _CONTROL.search(text) or " " in text:
        raise ValueError(f"{quoted(text)} is no URL; write one as in https://example.com{{target}}")
    return text


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


def media_type(value: Any) -> str:
    """Parse a media type (RFC 9110, 8.3.1)."""
    text = text_of(value, "write a media type, as in text/plain")
    if not _MEDIA_TYPE.fullmatch(text):
        raise ValueError(f"{quoted(text)} is no media type; write one as in text/plain")
    return text


def body(value: Any) -> str:
    """Parse the text of a body, which may be empty."""
    return text_of(value, "write a text")


def body_size(value: Any) -> int | None:
    """Parse a size; ``unlimited`` is none, ``inherit`` is -1."""
    return -1 if value in ("inherit", -1) else size_or_unlimited(value)


def show_body_size(value: int | None) -> str:
    """Show a size."""
    return "inherit" if value == -1 else show_size_or_unlimited(value)


def error_status(value: Any) -> str:
    """Parse a status from 400 on, or a range of them, as ``5xx``."""
    text = text_of(value, "write a status, as in 502, or 5xx")
    if not _ERROR_STATUS.fullmatch(text.lower()):
        raise ValueError(f"{quoted(text)} is neither the status of an error nor 4xx or 5xx; write one as in 502")
    return text.lower()
