"""The parsers behind the types of `l7.config.sections.rules`; as those of `l7.config.values.scalars`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l7.config.codings import CODINGS, checked, installed
from l7.config.values.backend import switch, token
from l7.config.values.scalars import show_size_or_unlimited, size_or_unlimited, text_of
from l7.units import quoted

_OF_HOPS = frozenset(
    [
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "keep-alive",
        "max-forwards",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
        "x-request-id",
    ]
)
"""Fields of requests that are for l7 itself, or are its own word for others."""


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
    """Parse a list of codings; ``true`` is all that are installed, ``off`` none, ``inherit`` no word of it."""
    value = _single(value)
    if isinstance(value, (list, tuple)) or value is None or value in (*CODINGS, "inherit"):
        names = list_or_off(value)
        return checked(names) if names else names
    try:
        return installed() if switch(value) else ()
    except ValueError:
        raise ValueError(f"{quoted(value)} is unknown; write zstd, br or gzip, a list of them, true or off") from None


def users(value: Any) -> Any:
    """Parse logins with their passwords; ``off`` is no login, ``inherit`` no word of it."""
    if value == "inherit":
        return None
    if value == "off":
        return {}
    if value == {}:
        raise ValueError("has no logins; write some, or off where none is to be asked for")
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
    name = token(name.strip()).lower()
    read_as = name.replace("_", "-")  # as CGI does, and whoever counts
    if read_as in _OF_HOPS or read_as.startswith(("x-forwarded-", "x-client-cert-")):
        raise ValueError(f"header:{name} does not tell clients apart; write client: trusted-proxies say who that is")
    return f"header:{name}"


def body_size(value: Any) -> int | None:
    """Parse a size; ``unlimited`` is none, ``inherit`` is -1."""
    return -1 if value in ("inherit", -1) else size_or_unlimited(value)


def show_body_size(value: int | None) -> str:
    """Show a size."""
    return "inherit" if value == -1 else show_size_or_unlimited(value)
