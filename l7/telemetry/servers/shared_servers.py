"""The servers of a backend in the shared memory, a name by its addresses: what is known of each, and in which row.

For the master and the monitor process alike: whoever says anything of servers goes through them here.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from l7.balancing.dns_records import ResolvedEndpoint
from l7.balancing.server_state import ServerRecord, read_record
from l7.config.schema import Backend, Server
from l7.config.sections.backends import merged
from l7.config.values.addresses import Address
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import RowKey
from l7.sharedmem.memory import SharedMemory
from l7.sharedmem.server_history import StateChange

_BLANK = ServerRecord()


@dataclass(frozen=True)
class SharedServers:
    """What a process knows of servers, and goes on learning."""

    shared_memory: SharedMemory
    writer: CounterWriter
    """The access to the cells of the shared memory."""
    rows: Mapping[RowKey, int]
    resolved: Mapping[tuple[str, str], Sequence[ResolvedEndpoint]]
    """Addresses by route and server; a missing name has not been resolved yet."""
    unresolved: Mapping[tuple[str, str], str]
    """Why the last look-up of a name failed, by route and server."""

    def changes(self, name: RowKey, row: int) -> list[StateChange]:
        """The changes of a server, or of an address of a ``name``, whose orders hold for all of them; oldest first."""
        rows = {row, self.rows.get(name, row)}
        return sorted(change for each in rows for change in self.shared_memory.history.changes(each))


@dataclass(frozen=True)
class SharedServer:
    """One server, or one address of its name."""

    server: Server
    address: str | None
    """The address of its name; None for the server itself, also for a name that was not looked up yet."""
    row: int
    parent: int
    """The row of the name that it is an address of; its own for the server itself."""
    record: ServerRecord
    weight: int
    """As it is configured, or as its service (SRV) says."""
    backup: bool


def servers_of(route: str, backend: Backend, known: SharedServers, written: Container[int]) -> Iterator[SharedServer]:
    """Yield the servers of a backend, a name by each of its addresses; a service that was not looked up yet has none.

    :param written: the rows that any process has written to (`SharedMemory.written`): to read others takes memory.
    """
    for label, server in merged(backend.servers).items():
        parent = known.rows[route, label]
        if (route, label) not in known.resolved:
            if not server.address.srv:
                record = read_record(known.writer, parent) if parent in written else _BLANK
                yield SharedServer(server, None, parent, parent, record, server.weight, server.backup)
            continue
        for one in known.resolved[route, label]:
            # What is wanted of a name holds for all its addresses.
            used = one.row in written or parent in written
            record = read_record(known.writer, one.row, parent) if used else _BLANK
            weight = server.weight if one.weight < 0 else one.weight
            address = str(Address(one.host, one.port))
            yield SharedServer(server, address, one.row, parent, record, weight, server.backup or one.reserve)
