"""Files held open: what was read as root can be read again after the privileges are gone.

A reload reads the configuration as whoever l7 has become, and that may be somebody who cannot enter its directory. The
file that was read at the start is then read again by its descriptor, as long as it is still that file: one that was
replaced by another of the same name cannot be reached this way, and the reload says so.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping

from l7.units import show_size

MOST = 64 * 1024**2
"""Bytes that are read of a file: no configuration has more, and a device may have no end."""
_PIECE = 1 << 20


class HeldFiles:
    """Reads files and remembers them; the processes forked from this one do not inherit them."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        os.register_at_fork(after_in_child=self.close)

    def read(self, path: str) -> bytes:
        """The content of ``path``; raises ``OSError`` as ``open`` does when it is neither readable nor held."""
        # Who reads it anew has other things to do than to wait for whoever may write to a pipe or type at a terminal.
        wait = os.O_NONBLOCK if path in self._held else 0
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | wait)
        except PermissionError:
            held = self._held.get(path)
            if held is None or not os.fstat(held).st_nlink:
                raise
            return _content(held)
        try:
            content = _content(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        self._keep(path, descriptor)
        return content

    def adopt(self, descriptors: Mapping[str, int]) -> None:
        """Hold files that the process before us held."""
        self._held.update(descriptors)

    def descriptors(self) -> dict[str, int]:
        """What is held, by name."""
        return dict(self._held)

    def _keep(self, path: str, descriptor: int) -> None:
        before = self._held.pop(path, None)
        if before is not None:
            os.close(before)
        self._held[path] = descriptor

    def close(self) -> None:
        """Let all files go."""
        while self._held:
            os.close(self._held.popitem()[1])


def read_file(path: str) -> bytes:
    """The content of ``path``; raises ``OSError``."""
    with open(path, "rb", buffering=0) as file:
        return _content(file.fileno())


def _content(descriptor: int) -> bytes:
    """All of a file from its beginning; a pipe, which has none, is read as it comes."""
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
