"""The content of a configuration file: all of it, within a bound."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from l7.units import show_size

ReadBytes = Callable[[str], bytes]
"""Gives the content of a file; raises ``OSError``."""
MOST = 64 * 1024**2
"""Bytes that are read of a file: no configuration has more, and a device may have no end."""
_PIECE = 1 << 20


def read_file(path: str, *, wait: bool = True) -> bytes:
    """The content of ``path``; raises ``OSError``.

    :param wait: whether to wait for whoever may write to a pipe or type at a terminal.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if wait else os.O_NONBLOCK))
    try:
        return content_of(descriptor)
    finally:
        os.close(descriptor)


def content_of(descriptor: int) -> bytes:
    """All of a file from its beginning; a pipe, which has none, is read as it comes. Raises ``OSError``."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.lseek(descriptor, 0, os.SEEK_SET)
    pieces: list[bytes] = []
    size = 0
    while piece := os.read(descriptor, _PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > MOST:
            raise OSError(errno.EFBIG, f"it has more than {show_size(MOST)}")
    return b"".join(pieces)
