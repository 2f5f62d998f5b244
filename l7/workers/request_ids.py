"""The ids that a worker gives to requests.

Hot: all but the last two digits are written once in 256 requests.
"""

from __future__ import annotations

import os

_LAST_DIGITS = [f"{number:02x}" for number in range(256)]
_LAST = 8
"""How many bits the last digits are."""
_LOW = 255


class RequestIds:
    """The request ids of one worker: 20 random digits, and 12 that count its requests, all hexadecimal."""

    __slots__ = ("_first", "_high", "_prefix")

    def __init__(self) -> None:
        self._prefix = os.urandom(10).hex()
        self._high = -1
        self._first = ""

    def of(self, number: int) -> str:
        """The id of the request ``number`` of this worker."""
        high = number >> _LAST
        if high != self._high:
            self._high = high
            self._first = f"{self._prefix}{high:010x}"
        last: str = _LAST_DIGITS[number & _LOW]
        return self._first + last
