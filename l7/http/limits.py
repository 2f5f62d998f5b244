"""What is too large, in words: each says how much it may be and which setting says so."""

from __future__ import annotations

from dataclasses import dataclass

from l7.errors import HEAD_TOO_LARGE, RESPONSE_HEAD_TOO_LARGE, TARGET_TOO_LONG, Kind, ProxyError


@dataclass(frozen=True)
class Bounds:
    """The limits of a head and of trailers by their names: ``size`` in bytes, ``count`` of fields."""

    failure: Kind
    size: str
    count: str

    def large(self, most: int, what: str) -> str:
        """``what`` has more than ``most`` bytes."""
        return f"{what} larger than {most} bytes ({self.size})"

    def many(self, most: int, what: str) -> str:
        """There are more than ``most`` of ``what``."""
        return f"more than {most} {what} ({self.count})"


REQUEST = Bounds(HEAD_TOO_LARGE, "limits.head", "limits.headers")
RESPONSE = Bounds(RESPONSE_HEAD_TOO_LARGE, "limits.response-head", "limits.response-headers")


def target_too_long(most: int) -> ProxyError:
    """A target has more than ``most`` bytes."""
    return ProxyError(TARGET_TOO_LONG, f"longer than {most} bytes (limits.target)")
