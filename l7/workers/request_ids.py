"""The ids that a worker gives to requests.

An id is 12 digits that say which request of which worker it is, and 20 random ones, all hexadecimal: the end of an id,
which is what people copy, tells it from all others of workers, restarts and machines.

Hot: the random digits of 256 requests are asked for at once.
"""

from __future__ import annotations

import os

_LAST_DIGITS = [f"{number:02x}" for number in range(256)]
_LAST = 8
"""How many bits the last two of the 12 digits are."""
_LOW = 255
_AT_ONCE = 256
_DIGITS = 20


class RequestIds:
    """The request ids of one worker.

    :param lane: the number of its lane, of which the lowest 12 bits are said.
    """

    __slots__ = ("_first", "_high", "_random", "_worker")

    def __init__(self, lane: int) -> None:
        self._worker = f"{lane & 0xFFF:03x}"
        self._high = -1
        self._first = ""
        self._random = ""

    def of(self, number: int) -> str:
        """The id of the request ``number`` of this worker, which is the one after the last or any other."""
        high = number >> _LAST
        if high != self._high:
            self._begin(high)
        low = number & _LOW
        at = low * _DIGITS
        last: str = _LAST_DIGITS[low]
        tail = self._random[at : at + _DIGITS]
        return f"{self._first}{last}{tail}"

    def _begin(self, high: int) -> None:
        """Prepare the ids of 256 requests."""
        self._random = os.urandom(_AT_ONCE * _DIGITS // 2).hex()
        self._high = high
        self._first = f"{self._worker}{high & 0xFFFFFFF:07x}"
