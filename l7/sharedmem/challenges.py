"""The answers to the challenges of an authority: written by the monitor process, read by all workers at once.

It is a memory of its own, because what is answered are texts. One process writes. A reader may come in the middle: the
checksum tells it, and it reads again.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Mapping

SIZE = 64 * 1024
"""Bytes of the memory."""
_HEADER = struct.Struct("=II")
"""Length and CRC-32 of what follows; a length of 0 is no challenge."""
_TRIES = 100
"""Times that a reader looks again while another process writes."""


class ChallengeTable:
    """Answers by the token that is asked for, in memory that every process forked later shares.

    :raises OSError: there is no memory.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SIZE)

    def put(self, answers: Mapping[str, str]) -> None:
        """Answer these from now on, and no others; raises ``ValueError`` where there is no room for them."""
        data = json.dumps(dict(answers)).encode("ascii") if answers else b""
        if len(data) > SIZE - _HEADER.size:
            raise ValueError(f"challenges of {len(data)} bytes have no room")
        self._memory[: _HEADER.size] = _HEADER.pack(0, 0)
        self._memory[_HEADER.size : _HEADER.size + len(data)] = data
        self._memory[: _HEADER.size] = _HEADER.pack(len(data), zlib.crc32(data))

    def find(self, token: str) -> str | None:
        """The answer to a challenge; None for one that is not known here."""
        for _ in range(_TRIES):
            length, checksum = _HEADER.unpack(self._memory[: _HEADER.size])
            if not length:
                return None
            data = self._memory[_HEADER.size : _HEADER.size + min(length, SIZE)]
            if zlib.crc32(data) == checksum:
                found: dict[str, str] = json.loads(data)
                return found.get(token)
        return None
