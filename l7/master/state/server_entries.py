"""Whether a route has a server that can be used: asked before a reload."""

from __future__ import annotations

import time

from l7.config.schema import Config
from l7.master.state.shared_state import SharedMemoryOwner
from l7.telemetry.servers.entries import server_entries, why_unresolved


def has_usable_server(route: str, config: Config, shared_state: SharedMemoryOwner) -> bool:
    """Whether a backend has a server that is up and not known to take no connections; a route without a backend not."""
    backend, known = config.backends.get(route), shared_state.servers
    return backend is not None and any(
        one.verdict.pickable
        and not one.verdict.unreachable
        and (one.address is not None or not why_unresolved(known, route, one.server))
        for one in server_entries(route, backend, known, known.shared_memory.written(), time.monotonic_ns())
    )
