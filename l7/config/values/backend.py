"""The parsers behind the types of `l7.config.sections.backends`; as those of `l7.config.values.scalars`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from l7.config.model import BaseModel, SecretStr
from l7.config.values.scalars import REDACTED, duration, text_of
from l7.units import quoted, show_duration

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_TARGET = re.compile(r"/[!-~]*", re.ASCII)
_FIELD_VALUE = re.compile(r"[ -~]+", re.ASCII)
_STATUSES = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", re.ASCII)


def switch(value: Any) -> bool:
    """Parse ``true`` or ``false``, which YAML also writes ``yes`` and ``no``, ``on`` and ``off``."""
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text in ("true", "yes", "on"):
        return True
    if text in ("false", "no", "off"):
        return False
    raise ValueError(f"{quoted(value)} is neither true nor false")


def unless_off(value: Any) -> Any:
    """Pass on what a section is made of; ``off`` is none."""
    if value == "off":
        return None
    if not isinstance(value, (Mapping, BaseModel)):
        raise ValueError("write a mapping, `key: value`, or off")
    return value


def show_unless_off(value: Any) -> Any:
    """Show that there is no section; one that is there shows itself."""
    return "off" if value is None else value


def token(value: str) -> str:
    """Check the name of a header or a cookie (RFC 9110, 5.6.2)."""
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{quoted(value)} is not a name; write letters, digits and hyphens")
    return value


def hash_key(value: Any) -> str:
    """Parse ``client``, ``target``, ``header:NAME`` or ``cookie:NAME``."""
    text = text_of(value, "write client, target, header:NAME or cookie:NAME")
    if text in ("client", "target"):
        return text
    kind, colon, name = text.partition(":")
    if not colon or kind not in ("header", "cookie"):
        raise ValueError(f"{quoted(text)} is unknown; write client, target, header:NAME or cookie:NAME")
    name = token(name.strip())
    return f"{kind}:{name.lower() if kind == 'header' else name}"


def check_path(value: Any) -> str | None:
    """Parse the target of a health check; None is none."""
    if value is None:
        return None
    text = text_of(value, "write a path, as in /healthz")
    if not _TARGET.fullmatch(text) or "#" in text:
        raise ValueError(f"{quoted(text)} is not a path; it begins with a '/' and has no spaces")
    return text


def check_host(value: Any) -> str | None:
    """Parse the ``Host`` of a health check, with a port if need be; None is none."""
    if value is None:
        return None
    text = text_of(value, "write a host")
    if not _FIELD_VALUE.fullmatch(text) or any(mark in text for mark in " /?#@"):
        raise ValueError(f"{quoted(text)} is not a host")
    return text


def body_text(value: Any) -> str | None:
    """Parse a text that a body is to contain; None is none."""
    if value is None:
        return None
    text = text_of(value, "write a text")
    if not text:
        raise ValueError("the text is empty")
    return text


def statuses(value: Any) -> tuple[tuple[int, int], ...]:
    """Parse statuses and ranges of them, in one text with commas or in a list; returns first and last of each."""
    items: Any = value
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        items = [part.strip() for part in str(value).split(",")]
    if not isinstance(items, (list, tuple)) or not items:
        raise ValueError("write statuses, as in 200-399 or 200,204")
    return tuple(item if isinstance(item, tuple) else _statuses(item) for item in items)


def _statuses(value: Any) -> tuple[int, int]:
    match = _STATUSES.fullmatch(str(value).replace(" ", ""))
    if match is None or int(match[1]) > int(match[2] or match[1]):
        raise ValueError(f"{quoted(value)} is neither a status nor a range of them; write 200 or 200-399")
    return int(match[1]), int(match[2] or match[1])


def show_statuses(value: tuple[tuple[int, int], ...]) -> str:
    """Show statuses as ``200-299,304``."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in value)


def duration_or_session(value: Any) -> float | None:
    """Parse a duration; ``session`` is none."""
    if value == "session":
        return None
    try:
        return duration(1)(value)
    except ValueError as error:
        raise ValueError(f"{error}, or session") from None


def show_session(value: float | None) -> str:
    """Show a duration; none is ``session``."""
    return "session" if value is None else show_duration(value)


def duration_or_idle(value: Any) -> float | None:
    """Parse a timeout; ``idle`` is none of its own."""
    if value == "idle":
        return None
    try:
        return duration(0.001)(value)
    except ValueError as error:
        raise ValueError(f"{error}, or idle") from None


def show_idle(value: float | None) -> str:
    """Show a timeout; none of its own is ``idle``."""
    return "idle" if value is None else show_duration(value)


def cookie_secret(value: Any) -> SecretStr | None:
    """Check what cookies are signed with, which is never repeated; a redacted one is none."""
    secret = value.get_secret_value() if isinstance(value, SecretStr) else value
    if secret is None or secret == REDACTED:
        return None
    if not isinstance(secret, str) or len(secret) < 16:
        raise ValueError("write a random text of at least 16 characters")
    return SecretStr(secret)


def show_optional_secret(value: SecretStr | None) -> str | None:
    """Show whether there is a secret, and nothing of it."""
    return None if value is None else REDACTED
