"""The parsers behind the schema's types that only ACME has. Each raises ValueError in words for the user."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from l7.config.model import SecretStr
from l7.config.values.scalars import REDACTED, text_of
from l7.units import quoted

_EMAIL = re.compile(r"[^\s@,:;<>\x00-\x1f\x7f]+@[^\s@,:;<>\x00-\x1f\x7f]+")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+=*")
_KEY_ID = re.compile(r"[!-~]+")
_LONGEST_HOST = 253
"""Characters (RFC 1035, 2.3.4, without the last dot)."""


def email(value: Any) -> str:
    """Parse the address of a person."""
    text = text_of(value, "write an email address, as in me@example.com")
    if not _EMAIL.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not an email address; write one, as in me@example.com")
    return text


def directory(value: Any) -> str:
    """Parse the URL of an authority's directory (RFC 8555, 7.1.1)."""
    text = text_of(value, "write the URL of a directory")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if url.scheme != "https" or not url.hostname or port == 0 or "@" in url.netloc or not text.isprintable():
        raise ValueError(f"{quoted(text)} is not the URL of a directory; write it as in https://ca.example/directory")
    return text


def hosts(value: Any) -> tuple[str, ...]:
    """Parse a list of host names; ``auto`` is none."""
    if value == "auto" or value == ():
        return ()
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not items:
        raise ValueError("write auto or a list of hosts, as in [example.com, www.example.com]")
    if list(items) == ["auto"]:
        return ()
    return tuple(dict.fromkeys(_host(item) for item in items))


def show_hosts(value: tuple[str, ...]) -> str | list[str]:
    """Show a list of hosts; none is ``auto``."""
    return list(value) or "auto"


def _host(value: Any) -> str:
    text = text_of(value, "write a host, as in example.com").lower().removesuffix(".")
    if text.startswith("*."):
        raise ValueError(f"{quoted(text)}: an authority gives no wildcard certificate for what is asked for over HTTP")
    if not is_certifiable(text):
        raise ValueError(f"{quoted(text)} is not the name of a host; write one, as in example.com")
    return text


def is_certifiable(host: str) -> bool:
    """Whether a certificate for ``host`` can be asked for: it is a name in ASCII, and no IP address or wildcard."""
    return bool(_HOST.fullmatch(host)) and len(host) <= _LONGEST_HOST and not host.rpartition(".")[2].isdigit()


def key_id(value: Any) -> str:
    """Parse the id of a key that an authority has given."""
    text = text_of(value, "write the id of the key that the authority has given")
    if not _KEY_ID.fullmatch(text):
        raise ValueError("it has visible ASCII characters only")
    return text


def hmac(value: Any) -> SecretStr:
    """Check a key in base64url, which is never repeated; a redacted one is left as it is."""
    secret = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(secret, str) or not secret:
        raise ValueError("write the key that the authority has given, in base64url")
    if secret != REDACTED and (not _BASE64URL.fullmatch(secret) or len(secret.rstrip("=")) % 4 == 1):
        raise ValueError("it is not base64url; write the key as the authority has given it")
    return SecretStr(secret)
