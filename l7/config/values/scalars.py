"""The parsers behind the schema's types and what the schema says about a setting beside its type.

Flags and variables give texts, and the YAML loader hands scalars over as they are written, so that ``off``, ``0o17``
and ``1:30`` mean the same wherever they come from. Every parser raises ValueError in words for the user.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from l7.config.model import SecretStr
from l7.config.values.addresses import LONGEST_UNIX_PATH, Address, unix_path
from l7.config.values.wildcards import collision
from l7.networks import UNIX, unmapped
from l7.units import parse_duration, parse_size, quoted, show_duration, show_size

__all__ = ["Flag", "Form", "show_duration", "show_size"]

REDACTED = "***"
"""What stands for a password in every output."""
NEVER = "$2b$04$" + "." * 53
"""What a redacted password is loaded as: a bcrypt hash of zeros, for which no password is known."""

_WHOLE = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%", re.ASCII)
_BCRYPT_START = re.compile(r"\$2[abxy]?\$")
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@$-]*(:[A-Za-z0-9_.][A-Za-z0-9_.@$-]*)?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Form:
    """How a value is called in the documentation (``duration``), shown in a dump, and described to an editor.

    ``schema`` is the JSON Schema of what may be written; without one it follows from the type.
    """

    name: str
    show: Callable[[Any], Any] = field(default=lambda value: value)
    schema: Mapping[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, init=False)
class Flag:
    """The command line option of a setting; ``repeat`` says that it may be given more than once."""

    names: tuple[str, ...]
    metavar: str
    repeat: bool

    def __init__(self, *names: str, metavar: str, repeat: bool = False) -> None:
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "metavar", metavar)
        object.__setattr__(self, "repeat", repeat)


def whole(least: int, most: int) -> Callable[[Any], int]:
    """Return a parser of whole decimal numbers within the bounds; ``017`` and ``0x11`` are refused as ambiguous."""

    def parse(value: Any) -> int:
        text = text_of(value, "write a whole number")
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"{quoted(value)} is not a whole number; write {least} to {most}")
        if len(text) > 18 or not least <= int(text) <= most:
            raise ValueError(f"{quoted(value).strip(chr(39))} is out of range; write {least} to {most}")
        return int(text)

    return parse


def duration(least: float) -> Callable[[Any], float]:
    """Return a parser of durations that are not below ``least`` seconds."""

    def parse(value: Any) -> float:
        seconds = parse_duration(value)
        if seconds < least:
            raise ValueError(f"{quoted(value)} is too short; write at least {show_duration(least)}")
        return seconds

    return parse


def size(least: int, most: int) -> Callable[[Any], int]:
    """Return a parser of sizes within the bounds."""

    def parse(value: Any) -> int:
        parsed = parse_size(value)
        if not least <= parsed <= most:
            raise ValueError(f"{quoted(value)} is out of range; write {show_size(least)} to {show_size(most)}")
        return parsed

    return parse


def size_or_unlimited(value: Any) -> int | None:
    """Parse a size; ``unlimited`` is no bound."""
    try:
        return None if value == "unlimited" else parse_size(value)
    except ValueError as error:
        raise ValueError(f"{error}, or unlimited") from None


def show_size_or_unlimited(value: int | None) -> str:
    """Show a size; no bound is ``unlimited``."""
    return "unlimited" if value is None else show_size(value)


def count_or_unlimited(value: Any) -> int | None:
    """Parse a number from 1 up; ``unlimited`` is no bound."""
    if value == "unlimited":
        return None
    try:
        return whole(1, 1_000_000)(value)
    except ValueError as error:
        raise ValueError(f"{error}, or unlimited") from None


def show_count_or_unlimited(value: int | None) -> int | str:
    """Show a number; no bound is ``unlimited``."""
    return "unlimited" if value is None else value


def duration_or_unlimited(least: float) -> Callable[[Any], float | None]:
    """Return a parser of durations that are not below ``least`` seconds; ``unlimited`` is no bound."""

    def parse(value: Any) -> float | None:
        if value == "unlimited":
            return None
        try:
            return duration(least)(value)
        except ValueError as error:
            raise ValueError(f"{error}, or unlimited") from None

    return parse


def show_duration_or_unlimited(value: float | None) -> str:
    """Show a duration; no bound is ``unlimited``."""
    return "unlimited" if value is None else show_duration(value)


def share(value: Any) -> float:
    """Parse a share, ``20%``; what is parsed already is between 0 and 1."""
    if isinstance(value, float) and 0 <= value <= 1:
        return value
    match = _PERCENT.fullmatch(text_of(value, "write a share, as in 20%").replace(" ", ""))
    if match is None:
        raise ValueError(f"{quoted(value)} is not a share; write it as in 20%")
    if float(match[1]) > 100:
        raise ValueError(f"{quoted(value)} is out of range; write 0% to 100%")
    return float(match[1]) / 100


def show_share(value: float) -> str:
    """Show a share as ``20%``."""
    return f"{round(value * 100, 4):g}%"


def workers(value: Any) -> Any:
    """Parse a number of workers or ``auto``."""
    if value == "auto":
        return value
    try:
        return whole(1, 1024)(value)
    except ValueError as error:
        raise ValueError(f"{error}, or auto") from None


def bind(value: Any) -> tuple[str, ...]:
    """Parse an address to listen on or a list of them."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not items:
        raise ValueError("write an address or a list of addresses")
    parsed = tuple(_bind_address(item) for item in items)
    for index, item in enumerate(parsed):
        if item in parsed[:index]:
            raise ValueError(f"{quoted(item)} is given twice")
    if both := collision(parsed):
        raise ValueError(f"{quoted(both[0])} and {quoted(both[1])} are one in the other; leave one of them out")
    return parsed


def show_bind(value: tuple[str, ...]) -> str | list[str]:
    """Show one address as a text, several as a list."""
    return value[0] if len(value) == 1 else list(value)


def _bind_address(value: Any) -> str:
    text = text_of(value, "write an address")
    if text == "*":
        return text
    if text.startswith("unix:"):
        return "unix:" + unix_path(text)
    if text == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(text[1:-1] if text.startswith("[") and text.endswith("]") else text))
    except ValueError:
        host, colon, port = text.rpartition(":")
        if colon and port.isdigit() and ("." in host or host.endswith(("]", "*"))):
            raise ValueError(f"{quoted(text)}: write the address alone, the port has a setting of its own") from None
        raise ValueError(f"{quoted(text)} is not an IP address; write one, * or unix:/path") from None


def run_as(value: Any) -> str | None:
    """Parse ``USER[:GROUP]``; whether they exist is seen when l7 starts."""
    if value is None:
        return None
    text = text_of(value, "write USER or USER:GROUP")
    if not _ACCOUNT.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not USER or USER:GROUP")
    return text


def path(value: Any) -> str:
    """Parse the path of a file."""
    text = text_of(value, "write a path")
    if not text or _CONTROL.search(text):
        raise ValueError("the path is empty" if not text else f"{quoted(text)} is not a path")
    return text


def optional_path(value: Any) -> str | None:
    """Parse the path of a file; None is no file."""
    return None if value is None else path(value)


def control(value: Any) -> str:
    """Parse the path of the control socket, ``auto`` or ``off``."""
    text = path(value)
    if len(text.encode("utf-8", "surrogateescape")) > LONGEST_UNIX_PATH:
        raise ValueError(f"the path of a socket may have at most {LONGEST_UNIX_PATH} bytes")
    return text


def trusted_proxy(value: Any) -> Any:
    """Parse an IP network (an address is a network of one; IPv4 in IPv6 is IPv4), or ``unix:``."""
    if value == UNIX or isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return value
    if value == UNIX.rstrip(":") or (isinstance(value, dict) and list(value) == [UNIX.rstrip(":")]):
        raise ValueError("write 'unix:' in quotes, with its colon, for whoever comes by a unix socket")
    text = text_of(value, "write a network, as in 10.0.0.0/8")
    try:
        return unmapped(ipaddress.ip_network(text))
    except ValueError:
        return _refuse_network(text)


def _refuse_network(text: str) -> Any:
    try:
        masked = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{quoted(text)} is not a network; write one as in 10.0.0.0/8") from None
    raise ValueError(f"{quoted(text)} has host bits set; write {masked}")


def login(value: str) -> str:
    """Check a login (RFC 7617: no colon, no control characters). What it was is never repeated."""
    if not value or ":" in value or _CONTROL.search(value):
        raise ValueError("a login has at least one character, no ':' and no control characters")
    return value


def password(value: Any) -> SecretStr:
    """Check a password or bcrypt hash, which is never repeated; a redacted one becomes one that nobody has."""
    secret = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(secret, str) or not secret:
        raise ValueError("write the password as a text that is not empty")
    if _CONTROL.search(secret):
        raise ValueError("a password has no control characters")
    if secret == REDACTED:
        return SecretStr(NEVER)
    if _BCRYPT_START.match(secret) and not _BCRYPT.fullmatch(secret):
        raise ValueError("it begins like a bcrypt hash and is none (60 characters, from $2a$, $2b$ or $2y$)")
    return SecretStr(secret)


def show_secret(value: SecretStr) -> str:
    """Show that there is a password, and nothing of it."""
    return REDACTED


def admin_address(value: Any) -> Address:
    """Parse the address of the admin endpoint: an IP address with its port, or a unix socket."""
    parsed = address(value)
    if parsed.path is not None:
        return parsed
    return _with_port(value, _numeric(parsed), "127.0.0.1:9180")


def name_servers(value: Any) -> tuple[Address, ...]:
    """Parse the addresses of name servers; the port is 53 when there is none."""
    items = [value] if isinstance(value, (str, Address)) else value
    if not isinstance(items, (list, tuple)):
        raise ValueError("write a list of addresses, as in [127.0.0.1:53]")
    return tuple(item if isinstance(item, Address) else _name_server(item) for item in items)


def _name_server(value: Any) -> Address:
    text = text_of(value, "write an IP address, as in 127.0.0.1 or 127.0.0.1:53")
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    parsed = Address.parse(text)
    if parsed.path is not None:
        raise ValueError(f"{quoted(text)}: name servers have an IP address")
    port = parsed.port if _has_port(text) else 53
    return _numeric(Address(parsed.host, port, tls=parsed.tls))


def show_texts(values: tuple[Any, ...]) -> list[str]:
    """Show a list as texts."""
    return [str(value) for value in values]


def _numeric(parsed: Address) -> Address:
    if parsed.tls:
        raise ValueError(f"{quoted(str(parsed))}: no TLS is spoken here; leave https:// out")
    if parsed.host in ("localhost", "localhost."):
        return Address("127.0.0.1", parsed.port)
    try:
        ipaddress.ip_address(parsed.host)
    except ValueError:
        raise ValueError(f"{quoted(parsed.host)} is not an IP address; write one, as in 127.0.0.1") from None
    return parsed


def _with_port(value: Any, parsed: Address, example: str) -> Address:
    if not isinstance(value, Address) and not _has_port(str(value)):
        raise ValueError(f"{quoted(value)} has no port; write it as in {example}")
    return parsed


def _has_port(text: str) -> bool:
    """Whether an address that was accepted names its port."""
    authority = text.rpartition("//")[2].rstrip("/")
    return ":" in authority.rpartition("]")[2] and (authority.startswith("[") or authority.count(":") == 1)


def address(value: Any) -> Address:
    """Parse the address of a server."""
    if isinstance(value, Address):
        return value
    return Address.parse(text_of(value, "write an address, as in 127.0.0.1:8081"))


def text_of(value: Any, what_to_write: str) -> str:
    """Return a scalar as the text that was written; raises ValueError with ``what_to_write`` for anything else."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise ValueError(what_to_write)
