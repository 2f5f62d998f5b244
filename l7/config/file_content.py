"""The content of files that are read with a configuration: all of it, within a bound."""

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


def read_regular_file(path: str, most: int) -> bytes:
    """The content of ``path``, which is to be a regular file of at most ``most`` bytes; raises ``OSError``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return content_of(descriptor, most)
    finally:
        os.close(descriptor)


def content_of(descriptor: int, most: int = MOST) -> bytes:
    """All of a file from its beginning; a pipe, which has none, is read as it comes. Raises ``OSError``."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.lseek(descriptor, 0, os.SEEK_SET)
    pieces: list[bytes] = []
    size = 0
    while piece := os.read(descriptor, _PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise OSError(errno.EFBIG, f"it has more than {show_size(most)}")
    return b"".join(pieces)


def why_unreadable(path: str, error: OSError) -> str:
    """Why a file that is named in a configuration cannot be read, and what helps where it is a matter of rights."""
    said = error.strerror or str(error)
    words = f"cannot be read: {said[:1].lower()}{said[1:]}"
    if error.errno in (errno.EACCES, errno.EPERM):
        words += _in_the_way(path)
    return words


def _in_the_way(path: str) -> str:
    """Which directory may not be entered, and what helps."""
    above = os.path.realpath(path)
    names = []
    while above != "/":
        above = os.path.dirname(above)
        names.append(above)
    closed = next((name for name in reversed(names) if not os.access(name, os.X_OK)), None)
    where = f" ({closed} may not be entered)" if closed else ""
    return f"{where}; start l7 as root, which gives its rights up, or let the account of l7 read it"
