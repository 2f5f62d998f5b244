"""The records of TLS: where one ends, read from its header, so that ``ssl`` is asked when a whole one has come."""

from __future__ import annotations

import ssl
from typing import Final

RECORD: Final = 16 * 1024
"""The most bytes in a record: what is encrypted at once."""
LONGEST: Final = RECORD + 2048
"""What a record may hold in its other form (RFC 5246, 6.2.3)."""
HANDSHAKE: Final = 22
"""The type of the first record."""
_FIRST_TYPE, _LAST_TYPE = 20, 24
_HEADER = 5


class RecordReader:
    """Gives what was received to ``incoming``, from which ``ssl`` reads, one record at a time."""

    __slots__ = ("_header", "_incoming", "missing", "size")

    def __init__(self, incoming: ssl.MemoryBIO) -> None:
        self._incoming = incoming
        self._header = b""
        """The beginning of a header that is not whole."""
        self.size = 0
        """Bytes in the present record."""
        self.missing = 0
        """Bytes of it that have not come; negative before its header is whole."""

    def feed(self, data: bytes, place: int) -> int:
        """Pass on what ``data`` has from ``place`` on of the present record; returns the place behind.

        ``missing`` is 0 then where the record is whole. What cannot be one counts as whole: ``ssl`` finds the words.
        """
        end = len(data)
        if self.missing <= 0:
            if self._header or end - place < _HEADER:
                self._begin_slowly(data, place)
            elif _FIRST_TYPE <= data[place] <= _LAST_TYPE:
                self.size = data[place + 3] << 8 | data[place + 4]
                self.missing = _HEADER + self.size if self.size <= LONGEST else 0
            else:
                self.missing = 0
            if self.missing <= 0:
                self._incoming.write(memoryview(data)[place:])
                return end
        behind = min(end, place + self.missing)
        self.missing -= behind - place
        self._incoming.write(data if behind - place == end else memoryview(data)[place:behind])
        return behind

    def _begin_slowly(self, data: bytes, place: int) -> None:
        """Read a header that comes in pieces."""
        begun = len(self._header)
        header = self._header + data[place : place + _HEADER - begun]
        size = self.size = int.from_bytes(header[3:5], "big")
        if len(header) < _HEADER:
            self._header, self.missing = header, -1
        elif _FIRST_TYPE <= header[0] <= _LAST_TYPE and size <= LONGEST:
            self._header, self.missing = b"", _HEADER + size - begun
        else:
            self._header, self.missing = b"", 0
