"""Lines, fields and chunks as RFC 9112 has them and in no other way: what l7 writes to clients and servers alike."""

from __future__ import annotations

import re
from collections.abc import Callable

LONGEST_LINE = 1 << 20
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")


class StrictReader:
    """Reads what has come; a subclass says from where. What is malformed is raised as ``malformed``."""

    malformed: type[AssertionError] = AssertionError

    def __init__(self) -> None:
        self._buffer = bytearray()
        """What has come and was not read."""

    def _fill(self) -> None:
        """Wait for more bytes; raises at the end of the stream."""
        raise NotImplementedError

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise self.malformed("a line without an end")
            self._fill()
        line = self._take(end + 1)
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise self.malformed(f"line does not end in CRLF: {line!r}")
        return line[:-2]

    def _fields(self) -> list[tuple[bytes, bytes]]:
        fields = []
        while line := self._line():
            found = _FIELD.fullmatch(line)
            if not found:
                raise self.malformed(f"bad field line: {line!r}")
            fields.append((found.group(1), found.group(2).strip(b" \t")))
        return fields

    def _copy(self, left: int, to: Callable[[bytes], object]) -> None:
        """Read so many bytes, in pieces as they come."""
        while left:
            if not self._buffer:
                self._fill()
            data = self._take(min(left, len(self._buffer)))
            to(data)
            left -= len(data)

    def _chunks(self, to: Callable[[bytes], object]) -> list[tuple[bytes, bytes]]:
        """Read a chunked body; returns its trailers."""
        while True:
            line = self._line()
            if not _CHUNK_SIZE.fullmatch(line):
                raise self.malformed(f"bad chunk size (or an extension, which stays at the first hop): {line!r}")
            size = int(line, 16)
            if not size:
                return self._fields()
            self._copy(size, to)
            if self._line():
                raise self.malformed("no CRLF after a chunk's data")
