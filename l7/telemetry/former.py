"""What the l7 before this one has counted, and still counts as long as its workers drain.

After an upgrade in place its ledger is still there, and is read beside our own: so no sum shrinks, and none has to be
moved while somebody writes to it. At the next upgrade, what nobody writes to any more is added to the new ledger.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from l7.balancing import cells
from l7.telemetry import facts
from l7.telemetry.ledger import MASTER, OF_MASTER, Ledger

LAYOUT: Final = zlib.crc32(
    repr(
        sorted((name, value) for one in (cells, facts) for name, value in vars(one).items() if name.isupper())
    ).encode()
)
"""Another number where cells mean something else: what another version has counted can be read where it is the same."""

Key = tuple[str, ...]

OF_BACKEND: Final = tuple(range(cells.STATUS, cells.ROW))
OF_SERVER: Final = (*range(cells.REQUESTS, cells.RETRIES + 1), cells.RISES, cells.FALLS, cells.EJECTIONS)
COUNTED: Final = (
    facts.RELOADS_DONE, facts.RELOADS_FAILED, facts.WORKER_STARTS, facts.IDLE_CLOSED, facts.WAITED,
)  # fmt: skip
"""The cells that only ever grow."""


class Former:
    """The ledger of an l7 whose master is process ``pid``, and which row in it is whose."""

    def __init__(self, ledger: Ledger, rows: Mapping[Key, int], pid: int) -> None:
        self.ledger = ledger
        self.pid = pid
        self.rows = dict(rows)
        self._addresses: dict[Key, list[int]] = {}
        for key, row in self.rows.items():
            self._addresses.setdefault(key[:2], []).append(row)

    def sums(self, key: Key) -> list[int]:
        """What was counted for a backend, or for a server with all addresses that its name has had."""
        found = [0] * cells.ROW
        for row in self._addresses.get(key, ()):
            for cell in _counters(key):
                found[cell] += self.ledger.total(row, cell)
        return found

    def fact(self, cell: int) -> int:
        """One of the facts that are counted."""
        return self.ledger.total(OF_MASTER, cell)

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

    def add_to(self, ledger: Ledger, rows: Mapping[Key, int]) -> None:
        """Add everything to a ledger that nobody else writes to yet, for whoever has a row there."""
        for key, row in self.rows.items():
            if key in rows:
                _add(ledger, rows[key], {cell: self.ledger.total(row, cell) for cell in _counters(key)})
        _add(ledger, OF_MASTER, {cell: self.fact(cell) for cell in COUNTED})


def _counters(key: Key) -> Iterable[int]:
    return OF_BACKEND if len(key) < 2 else OF_SERVER


def _add(ledger: Ledger, row: int, amounts: Mapping[int, int]) -> None:
    for cell, amount in amounts.items():
        if amount:
            ledger.write(MASTER, row, cell, ledger.read(MASTER, row, cell) + amount)
