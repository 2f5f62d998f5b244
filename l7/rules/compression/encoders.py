"""The compressors, each behind one small interface: a stream that is given bytes and gives bytes.

Levels are those at which a proxy spends about as much time as it saves: gzip 5, brotli 4, zstd 3. A window is no larger
than a body whose length is known, and small enough for thousands of streams: what a compressor takes is in `MEMORY`.
All of them let other threads run while they work.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

from l7.config.codings import library

GZIP_LEVEL, BROTLI_LEVEL, ZSTD_LEVEL = 5, 4, 3

UNKNOWN = -1
"""The length of a body that is not known."""
MEMORY = {b"gzip": 272 * 1024, b"br": 960 * 1024, b"zstd": 1200 * 1024}
"""Bytes that a compressor takes at most, as measured."""
AT_ONCE = {b"gzip": 32 * 1024, b"br": 32 * 1024, b"zstd": 96 * 1024}
"""Bytes that take less than half a millisecond: so many are compressed in one go."""

_GZIP = 16  # with its own header and trailer instead of zlib's
_WIDEST, _WIDEST_BROTLI, _WIDEST_ZSTD = 15, 18, 19  # powers of two


class Encoder(Protocol):
    """A stream that is compressed. What it returns may be empty: then it holds what it was given."""

    def compress(self, data: bytes) -> bytes:
        """Take more."""

    def flush(self) -> bytes:
        """Give out all that was taken, so that it can be decompressed; more may follow."""

    def finish(self) -> bytes:
        """Give out the rest, and the end."""


class GzipEncoder:
    """RFC 1952, by zlib."""

    __slots__ = ("_stream", "compress")

    def __init__(self, length: int = UNKNOWN) -> None:
        width = _width(length, 9, _WIDEST)
        memory = max(8 - (_WIDEST - width), 2)
        self._stream = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP + width, memory)
        self.compress: Callable[[bytes], bytes] = self._stream.compress

    def flush(self) -> bytes:
        """Up to the next byte (``Z_SYNC_FLUSH``)."""
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """The last block, with checksum and length."""
        return self._stream.flush(zlib.Z_FINISH)


class ZstdEncoder:
    """RFC 8878. A window of 512 KiB at most, of the 8 MiB that RFC 9659 allows."""

    __slots__ = ("_stream", "compress")

    def __init__(self, length: int = UNKNOWN) -> None:
        module = _module("zstd")
        parameter = module.CompressionParameter
        options = {parameter.compression_level: ZSTD_LEVEL, parameter.window_log: _width(length, 10, _WIDEST_ZSTD)}
        self._stream: Any = module.ZstdCompressor(options=options)
        if length >= 0:
            self._stream.set_pledged_input_size(length)
        self.compress: Callable[[bytes], bytes] = self._stream.compress

    def flush(self) -> bytes:
        """To the end of a block."""
        data: bytes = self._stream.flush(self._stream.FLUSH_BLOCK)
        return data

    def finish(self) -> bytes:
        """To the end of the frame."""
        data: bytes = self._stream.flush(self._stream.FLUSH_FRAME)
        return data


class BrotliEncoder:
    """RFC 7932."""

    __slots__ = ("compress", "finish", "flush")

    def __init__(self, length: int = UNKNOWN) -> None:
        stream = _module("br").Compressor(quality=BROTLI_LEVEL, lgwin=_width(length, 10, _WIDEST_BROTLI))
        self.compress: Callable[[bytes], bytes] = stream.process
        self.flush: Callable[[], bytes] = stream.flush
        self.finish: Callable[[], bytes] = stream.finish


_ENCODERS: dict[bytes, Callable[[int], Encoder]] = {b"gzip": GzipEncoder, b"zstd": ZstdEncoder, b"br": BrotliEncoder}


def encoder(coding: bytes, length: int = UNKNOWN) -> Encoder:
    """A compressor for a body of ``length`` bytes; the coding has to be installed."""
    return _ENCODERS[coding](length)


def _module(coding: str) -> Any:
    """The library of a coding that is installed."""
    return library(coding)


def _width(length: int, least: int, most: int) -> int:
    """The power of two of a window that a body of ``length`` bytes fits into."""
    return most if length < 0 else min(max(length.bit_length(), least), most)
