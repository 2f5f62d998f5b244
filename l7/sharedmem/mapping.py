"""Memory that every process forked later shares, as 64-bit integers."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager


def shared_cells(count: int) -> memoryview:
    """``count`` integers, which stay as many; raises ``OSError``."""
    return memoryview(mmap.mmap(-1, count * 8)).cast("q")


class SharedFile:
    """An anonymous file of integers, of which each process maps what it needs; what is never written takes no memory.

    :raises OSError: the system has no descriptor or memory left.
    """

    def __init__(self, name: str) -> None:
        # A file in memory: an anonymous mapping would be charged for pages that are never written (overcommit).
        self._descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def open_to_read(self) -> int:
        """A new descriptor of the file, which can only be read; where ``/proc`` is not there it is like ours."""
        try:
            return os.open(f"/proc/self/fd/{self._descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return os.dup(self._descriptor)

    def extents(self, first: int, count: int) -> Iterator[tuple[int, int]]:
        """Yield where, within ``count`` integers from number ``first`` on, there is memory: (first, count) each."""
        at, end = first * 8, (first + count) * 8
        while at < end:
            try:
                at = os.lseek(self._descriptor, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return
            hole = min(os.lseek(self._descriptor, at, os.SEEK_HOLE), end)
            if at < end:
                yield at // 8, (hole - at) // 8
            at = hole

    @contextmanager
    def locked(self, at: int) -> Iterator[None]:
        """Hold the lock with this number, which other processes that have the file wait for; it ends with a process."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, at)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, at)

    def map(self, first: int, count: int) -> memoryview:
        """Map ``count`` integers from number ``first`` on, where a page has to begin; the file grows as needed.

        The mapping ends with the last view of it.

        :raises OSError: there is no room in the address space, or the file may not become as large.
        """
        end = (first + count) * 8
        if os.fstat(self._descriptor).st_size < end:
            os.ftruncate(self._descriptor, end)
        return memoryview(mmap.mmap(self._descriptor, count * 8, offset=first * 8)).cast("q")
