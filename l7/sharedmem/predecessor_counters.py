"""What the l7 before this one has counted, and still counts as long as its workers drain.

After an upgrade in place its shared memory is still there, and is read beside our own: so no sum shrinks, and none has
to be moved while somebody writes to it. At the next upgrade, what nobody writes to any more is added to the new ledger.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from l7.sharedmem import layout, master_gauges
from l7.sharedmem.memory import MASTER, OF_MASTER, SharedMemory

LAYOUT: Final = zlib.crc32(
    repr(
        sorted((name, value) for one in (layout, master_gauges) for name, value in vars(one).items() if name.isupper())
    ).encode()
)
"""Another number where cells mean something else: what another version has counted can be read where it is the same."""

Key = tuple[str, ...]

OF_BACKEND: Final = tuple(range(layout.STATUS, layout.ROW))
OF_SERVER: Final = (*range(layout.REQUESTS, layout.RETRIES + 1), layout.RISES, layout.FALLS, layout.EJECTIONS)
COUNTED: Final = (
    master_gauges.RELOADS_DONE,
    master_gauges.RELOADS_FAILED,
    master_gauges.WORKER_STARTS,
    master_gauges.IDLE_CLOSED,
    master_gauges.WAITED,
)
"""The cells that only ever grow."""


class PredecessorCounters:
    """The shared memory of an l7 whose master is process ``pid``, and which row in it is whose."""

    def __init__(self, shared_memory: SharedMemory, rows: Mapping[Key, int], pid: int) -> None:
        self.shared_memory = shared_memory
        self.pid = pid
        self.rows = dict(rows)
        self._addresses: dict[Key, list[int]] = {}
        for key, row in self.rows.items():
            self._addresses.setdefault(key[:2], []).append(row)

    def sums(self, key: Key) -> list[int]:
        """What was counted for a backend, or for a server with all addresses that its name has had."""
        found = [0] * layout.ROW
        for row in self._addresses.get(key, ()):
            for cell in _counters(key):
                found[cell] += self.shared_memory.total(row, cell)
        return found

    def fact(self, cell: int) -> int:
        """One of the facts that are counted."""
        return self.shared_memory.total(OF_MASTER, cell)

    @property
    def over(self) -> bool:
        """Whether nobody writes to it any more: a master ends after the last of its workers."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False

    def add_to(self, shared_memory: SharedMemory, rows: Mapping[Key, int]) -> None:
        """Add everything to a shared memory that nobody else writes to yet, for whoever has a row there."""
        for key, row in self.rows.items():
            if key in rows:
                _add(shared_memory, rows[key], {cell: self.shared_memory.total(row, cell) for cell in _counters(key)})
        _add(shared_memory, OF_MASTER, {cell: self.fact(cell) for cell in COUNTED})


def _counters(key: Key) -> Iterable[int]:
    return OF_BACKEND if len(key) < 2 else OF_SERVER


def _add(shared_memory: SharedMemory, row: int, amounts: Mapping[int, int]) -> None:
    for cell, amount in amounts.items():
        if amount:
            shared_memory.write(MASTER, row, cell, shared_memory.read(MASTER, row, cell) + amount)
