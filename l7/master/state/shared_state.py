"""The master's side of the shared memory: its rows, its lanes, and the addresses that names resolved to."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from l7.balancing.dns_records import FoundAddress, ResolvedEndpoint
from l7.config.schema import Config
from l7.errors import StartError
from l7.master.state.rows import RowAllocator, keys_of
from l7.networks import host_port
from l7.sharedmem.memory import FIRST_WORKER, MASTER, SharedMemory
from l7.telemetry.recorder.memory import RecorderMemory
from l7.telemetry.servers.shared_servers import SharedServers


class SharedMemoryOwner:
    """The shared memory, with the assignment of its rows and lanes.

    :raises StartError: there is no memory for it.
    """

    def __init__(self, config: Config) -> None:
        try:
            self.shared_memory = SharedMemory()
            self.recorder = RecorderMemory()
        except OSError as error:
            raise StartError(f"no memory for counters: {error.strerror}") from error
        self.writer = self.shared_memory.writer(MASTER)
        """The access to all cells as the master has it."""
        self.rows = RowAllocator(self.shared_memory)
        self.rows.take(keys_of(config))
        self.resolved: dict[tuple[str, str], list[ResolvedEndpoint]] = {}
        """Addresses by route and server; a missing name has not been resolved yet."""
        self.unresolved: dict[tuple[str, str], str] = {}
        """Why the last look-up of a name failed, by route and server."""
        self.servers = SharedServers(self.shared_memory, self.writer, self.rows.taken(), self.resolved, self.unresolved)
        """All of that, for who says something of servers."""
        self.cookie_key = secrets.token_bytes(32)
        """The key of sticky cookies where the configuration has no secret."""

    def extend(self, config: Config) -> None:
        """Make room for a new generation; raises `OutOfRowsError`."""
        self.rows.take(keys_of(config, self.resolved))

    def settle(self, configs: Iterable[Config]) -> None:
        """Release rows and addresses that no served generation has."""
        served = list(configs)
        self.rows.keep(key for config in served for key in keys_of(config, self.resolved))
        names = {key for config in served for key in keys_of(config)}
        for name in [name for name in self.resolved if name not in names]:
            del self.resolved[name]
        for name in [name for name in self.unresolved if name not in names]:
            del self.unresolved[name]

    def resolve(self, name: tuple[str, str], found: Iterable[Sequence[Any]]) -> bool:
        """Set the addresses of a server given by name; returns whether they have changed.

        The rows of removed addresses are the last to be reused: requests in flight there are still counted.

        :param found: the fields of a `FoundAddress` each.
        :raises OutOfRowsError: there are not enough rows; nothing was changed.
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

    def lane(self, slot: int) -> int:
        """The lane of the worker in a slot of the scoreboard."""
        return FIRST_WORKER + slot

    def open(self, slot: int) -> None:
        """Prepare the lane of a slot for a new worker; raises ``OSError`` when there is no memory for it."""
        self.shared_memory.open(self.lane(slot))
        with contextlib.suppress(OSError):  # a worker without it serves all the same, and says so
            self.recorder.open(slot)

    def retire(self, slot: int) -> None:
        """Zero the gauges of a slot's lane: its worker has exited."""
        self.shared_memory.retire(self.lane(slot), self.rows.used())
