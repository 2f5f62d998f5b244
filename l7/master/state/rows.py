"""Which row of the shared memory belongs to which backend and server.

A backend's key is ``(route,)``, a server's ``(route, address)``, and that of one address of a server given by name
``(route, address, "192.0.2.1:80")``. A row belongs to its key as long as a generation that is served has it, so what
is counted and known of a server outlives a reload.

A row that is given back is the last to be given away again: workers that drain may still write to it, and a server
that returns soon finds what was counted.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from l7.config.schema import Config
from l7.errors import StartError
from l7.networks import host_port
from l7.sharedmem.layout import RowKey
from l7.sharedmem.memory import FIRST_ROW, MOST_ROWS, UNROUTED, SharedMemory

REUSED_FROM = 16 * 1024
"""Rows from which on those that were released are assigned again; many times those that are used, where that is more:
what has been counted of a server that returns is found for as long."""
TIMES_USED = 4


class OutOfRowsError(StartError):
    """The shared memory has no row left, or there is no memory for another one."""


class RowAllocator:
    """The rows of a shared memory, by key."""

    def __init__(self, shared_memory: SharedMemory) -> None:
        self._shared_memory = shared_memory
        self._taken: dict[RowKey, int] = {(): UNROUTED}
        self._free: dict[RowKey, int] = {}
        self._next = FIRST_ROW

    def __getitem__(self, key: RowKey) -> int:
        return self._taken[key]

    def __contains__(self, key: object) -> bool:
        return key in self._taken

    def __iter__(self) -> Iterator[RowKey]:
        return iter(self._taken)

    def last(self, key: RowKey) -> int | None:
        """The row that a key has or last had; None when another key has it now."""
        return self._taken.get(key, self._free.get(key))

    def taken(self) -> Mapping[RowKey, int]:
        """The assigned rows by key, as they are: for a child, in which nothing changes them any more."""
        return self._taken

    def known(self) -> Mapping[RowKey, int]:
        """As `taken`, and with it the released rows that still hold the counters of their key."""
        return ChainMap(self._taken, self._free)

    def take(self, keys: Iterable[RowKey]) -> None:
        """Assign a row to each key that has none; raises `OutOfRowsError`."""
        used: list[int] = []
        try:
            for key in keys:
                if key not in self._taken:
                    self._taken[key] = self._row_for(key, used)
        finally:
            if used:
                self._shared_memory.clear(*used)

    def _row_for(self, key: RowKey, used: list[int]) -> int:
        """A row for a key; one that was another's is added to ``used``, and has yet to be cleared."""
        row = self._free.pop(key, None)
        if row is not None:
            return row
        if self._free and self._next >= max(REUSED_FROM, TIMES_USED * len(self._taken)):
            row = self._free.pop(next(iter(self._free)))
            used.append(row)
            return row
        if self._next >= MOST_ROWS:
            raise OutOfRowsError(f"more than {MOST_ROWS - FIRST_ROW} backends and servers")
        try:
            self._shared_memory.reserve(self._next + 1)
        except OSError as error:
            many = len(self._taken)
            raise OutOfRowsError(f"no memory for more than {many} backends and servers: {error.strerror}") from error
        self._next += 1
        return self._next - 1

    def keep(self, keys: Iterable[RowKey]) -> None:
        """Release the rows of all other keys."""
        kept = {(), *keys}
        self.give_back([key for key in self._taken if key not in kept])

    def give_back(self, keys: Iterable[RowKey]) -> None:
        """Release the rows of these keys."""
        for key in keys:
            self._free[key] = self._taken.pop(key)

    def used(self) -> range:
        """All rows that may hold counters."""
        return range(self._next)


def keys_of(config: Config, resolved: Mapping[tuple[str, str], Iterable[Any]] | None = None) -> Iterator[RowKey]:
    """Yield the keys of all backends and servers of a configuration.

    :param resolved: for servers given by name, what they were resolved to: ``(host, port, ...)`` each.
    """
    for route, backend in config.backends.items():
        yield (route,)
        for server in backend.servers:
            address = str(server.address)
            yield (route, address)
            for host, port, *_ in (resolved or {}).get((route, address), ()):
                yield (route, address, host_port(host, port))
