"""Which rows of the shared memory other processes have changed since somebody last looked, each mapped and to be read.

A worker may use an address before the monitor process has been told of it, and so may those of the next generation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from l7.sharedmem.memory import MONITOR, SharedMemory


class RowChanges:
    """What one who looks has not seen yet.

    :param rows: all rows that may have changed.
    """

    def __init__(self, shared_memory: SharedMemory, rows: Callable[[], Iterable[int]]) -> None:
        self._shared_memory = shared_memory
        self._writer = shared_memory.writer(MONITOR)
        self._rows = rows
        self._changes = -1
        self._seen: list[int] = []

    def news(self) -> list[int]:
        """The rows to be looked at now: all of them at first, and where it may be any."""
        changes = self._writer.changes
        if changes == self._changes:
            return []
        first, self._changes = self._changes < 0, changes
        told = self._writer.changed_since(self._seen)
        return list(self._rows()) if told is None or first else self._mapped(told)

    def _mapped(self, told: set[int]) -> list[int]:
        """Those that can be read: a row that was given away since then is mapped now."""
        try:
            self._shared_memory.reserve(1 + max(told, default=0))
        except OSError:  # without address space for them, what becomes of their servers is not seen
            return [row for row in told if row < self._shared_memory.rows]
        return list(told)
