"""What the master keeps for the balancing of all workers: the shared memory, its rows, what names were resolved to."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from l7.balancing.dns_records import FoundAddress, ResolvedEndpoint
from l7.config.schema import Config
from l7.master.state.rows import RowAllocator, keys_of
from l7.networks import host_port
from l7.sharedmem.memory import CONTROL, FIRST_WORKER, SharedMemory
from l7.sharedmem.predecessor_counters import PredecessorCounters

LEAST_ROWS = 16 * 1024
"""Backends and servers for which there is room at least; pages that nobody writes cost nothing."""
HEADROOM = 4
"""So many times what is configured at the start."""


class SharedState:
    """The shared memory and who has which part of it."""

    def __init__(self, config: Config, slots: int) -> None:
        wanted = sum(1 for _ in keys_of(config))
        self.shared_memory = SharedMemory(max(LEAST_ROWS, HEADROOM * wanted), FIRST_WORKER + slots)
        self.shared_memory.open(CONTROL)
        self.rows = RowAllocator(self.shared_memory)
        self.rows.take(keys_of(config))
        self.resolved: dict[tuple[str, str], list[ResolvedEndpoint]] = {}
        """By route and address; what is not in it has not been resolved yet."""
        self.formers: list[PredecessorCounters] = []
        """What those before this l7 have counted."""
        self.unresolved: dict[tuple[str, str], str] = {}
        """Why the last look-up of a name failed, where it did."""
        self.cookie_key = secrets.token_bytes(32)
        """What sticky cookies are signed with where the configuration has no secret."""

    @property
    def ledgers(self) -> list[PredecessorCounters]:
        """What the next l7 needs to go on counting."""
        return [PredecessorCounters(self.shared_memory, self.rows.known(), os.getpid()), *self.formers]

    def extend(self, config: Config) -> None:
        """Make room for a new generation; raises `OutOfRowsError`."""
        self.rows.take(keys_of(config, self.resolved))

    def settle(self, configs: Iterable[Config]) -> None:
        """Give back what no generation that is served needs."""
        served = list(configs)
        self.rows.keep(key for config in served for key in keys_of(config, self.resolved))
        names = {key for config in served for key in keys_of(config)}
        for name in [name for name in self.resolved if name not in names]:
            del self.resolved[name]
        for name in [name for name in self.unresolved if name not in names]:
            del self.unresolved[name]

    def resolve(self, name: tuple[str, str], found: Iterable[Sequence[Any]]) -> bool:
        """Take other addresses for a server given by name; returns whether they are other ones.

        The rows of those that leave are the last to be given away again: what is in flight there is still counted.

        :param found: the fields of a `FoundAddress` each.
        :raises OutOfRowsError: there is no room for them, and nothing has changed.
        """
        addresses = {(*name, str(one)): one for one in (FoundAddress(*fields) for fields in found)}
        self.rows.take(addresses)
        resolved = [
            ResolvedEndpoint(one.host, one.port, self.rows[key], one.weight, one.reserve)
            for key, one in addresses.items()
        ]
        before = self.resolved.get(name, [])
        self.resolved[name] = resolved
        self.rows.give_back({(*name, host_port(one.host, one.port)) for one in before} - addresses.keys())
        return before != resolved

    def writer(self, slot: int) -> int:
        """The lane of the worker in a slot of the board."""
        return FIRST_WORKER + slot

    def open(self, slot: int) -> None:
        """Get a lane ready for the worker that is to have a slot of the board."""
        self.shared_memory.open(self.writer(slot))

    def retire(self, slot: int) -> None:
        """The worker of a slot is gone: nothing is in flight there any more."""
        self.shared_memory.retire(self.writer(slot), self.rows.used())
