"""What is kept on the disk beside a certificate: the account, and for each host what was tried and what is to come.

A file that cannot be read as one of these is the same as none: it is written anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

R = TypeVar("R", bound="StoredRecord")


@dataclass(frozen=True)
class StoredRecord:
    """One JSON object on the disk; each field has a default."""

    def text(self) -> str:
        """As it is written; it may hold a private key."""
        return json.dumps(asdict(self), indent=1) + "\n"


@dataclass(frozen=True)
class Account(StoredRecord):
    """The account at an authority; ``key`` is its private key as PEM, ``uri`` its name there."""

    uri: str = ""
    key: str = ""
    quiet_until: float = 0.0
    """Until when the authority is asked for nothing, because it has said that a limit is reached."""

    def __repr__(self) -> str:
        return f"Account({self.uri!r})"


@dataclass(frozen=True)
class HostRecord(StoredRecord):
    """What is known of a host's certificate; times are seconds since 1970, 0 for none."""

    failures: int = 0
    """Tries in a row that have failed."""
    not_before: float = 0.0
    """When the next try is allowed."""
    problem: str = ""
    """Why the last one failed."""
    order: str = ""
    """The URL of an order under way, whose certificate may have been issued when l7 was stopped."""
    key: str = ""
    """The private key of that order, as PEM."""
    serial: str = ""
    """The certificate that the renewal information is about: its serial number in hexadecimal."""
    window: tuple[float, float] = (0.0, 0.0)
    """When the authority wants it to be renewed: from, to."""
    renew_at: float = 0.0
    """A moment in that window, chosen once."""
    ask_at: float = 0.0
    """When to ask for that information again."""

    def __repr__(self) -> str:
        return f"HostRecord(failures={self.failures}, not_before={self.not_before}, renew_at={self.renew_at})"


def record_of(kind: type[R], text: str) -> R:
    """What a file holds; the defaults where it holds something else."""
    try:
        found = json.loads(text)
        values = {one.name: _value(found[one.name], one.default) for one in fields(kind) if one.name in found}
        return kind(**values)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return kind()


def _value(value: Any, like: Any) -> Any:
    """``value`` as what the default is; raises ``TypeError``."""
    if isinstance(like, tuple):
        first, last = value
        return float(first), float(last)
    if isinstance(like, float) and type(value) in (int, float):
        return float(value)
    if type(value) is not type(like):
        raise TypeError(type(value).__name__)
    return value
