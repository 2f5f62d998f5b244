"""How each server is now, read from the shared memory as workers read it: for ``l7 status``, and before a reload."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from l7.balancing.server_state import ServerRecord, ServerStatus, StateRules, evaluate, read_record
from l7.config.schema import Backend, Config, Server
from l7.config.sections.backends import merged
from l7.config.values.addresses import Address
from l7.master.state.shared_state import SharedMemoryOwner


@dataclass(eq=False)
class ServerEntry:
    """One server, or one address of its name."""

    server: Server
    address: str | None
    row: int
    known: ServerRecord
    verdict: ServerStatus
    backup: bool


def server_entries(route: str, backend: Backend, shared_state: SharedMemoryOwner, now: int) -> Iterator[ServerEntry]:
    """Yield the servers of a backend, a name by each of its addresses, as they are at ``now`` (nanoseconds).

    A service (SRV) that was not looked up yet has none.
    """
    writer = shared_state.writer
    rules = StateRules.of(backend)
    for server in merged(backend.servers).values():
        name = (route, str(server.address))
        parent = shared_state.rows[name]
        if name not in shared_state.resolved:
            if not server.address.srv:
                known = read_record(writer, parent)
                verdict = evaluate(known, server.weight, rules, now)
                yield ServerEntry(server, None, parent, known, verdict, server.backup)
            continue
        for one in shared_state.resolved[name]:
            known = read_record(writer, one.row, parent)
            verdict = evaluate(known, server.weight if one.weight < 0 else one.weight, rules, now)
            address = str(Address(one.host, one.port))
            yield ServerEntry(server, address, one.row, known, verdict, server.backup or one.reserve)


def has_usable_server(route: str, config: Config, shared_state: SharedMemoryOwner) -> bool:
    """Whether a backend has a server that is up and not known to take no connections; a route without a backend not."""
    backend = config.backends.get(route)
    return backend is not None and any(
        one.verdict.pickable
        and not one.verdict.unreachable
        and (one.address is not None or not why_unresolved(shared_state, route, one.server))
        for one in server_entries(route, backend, shared_state, time.monotonic_ns())
    )


def why_unresolved(shared_state: SharedMemoryOwner, route: str, server: Server) -> str:
    """Why the last look-up of a server's name failed; empty where it did not."""
    why = shared_state.unresolved.get((route, str(server.address)), "")
    return why and f"the name cannot be looked up: {why}"
