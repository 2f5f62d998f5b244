"""The state of every server, and why, for ``l7 status`` and ``l7 server``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from l7.config.schema import Config
from l7.ipc.requests import Answer, HistoryRequest, ServersRequest, refusal
from l7.master.state.generations import Generations
from l7.master.state.overrides import OverrideError
from l7.master.state.shared_state import SharedMemoryOwner
from l7.sharedmem.layout import RowKey
from l7.sharedmem.server_history import SHOWN
from l7.telemetry.servers.changes import plain
from l7.telemetry.servers.entries import plain_entries
from l7.telemetry.servers.past_states import PastStates


def table(config: Config, shared_state: SharedMemoryOwner) -> Iterator[dict[str, Any]]:
    """Yield an entry for each server, and for each address of a name.

    Other things may be done between two: a route that a reload takes away meanwhile is left out.
    """
    counts = shared_state.shared_memory.history.counted(max(shared_state.rows.used(), default=0) + 1)
    written = shared_state.shared_memory.written()
    for route, backend in config.backends.items():
        if not all((route, str(server.address)) in shared_state.rows for server in backend.servers):
            continue
        for entry, row in plain_entries(route, backend, shared_state.servers, written):
            yield {**entry, "changes": counts.get(row, 0), "last-change": _last_change(row, counts, shared_state)}


def history(generations: Generations, request: HistoryRequest) -> Answer:
    """Answer with an entry for the server, of a name for each of its addresses: as in the status, and its changes."""
    try:
        keys = generations.administration.find(request.host, request.address)
    except OverrideError as error:
        return refusal(str(error))
    found = [entry for key in keys for entry in _history_of(generations, key)]
    if not found:
        return refusal(f"{keys[0][0]} has {request.address} no more: only workers that drain still use it")
    return {"ok": True, "servers": found}


def states(generations: Generations, request: ServersRequest) -> Answer:
    """Answer how the servers of a route were at some moments."""
    served = generations.find(request.generation) or generations.current
    generation, known = served.generation, generations.shared_state.servers
    return PastStates(generation.config.backends, generation.number, known).answer(request.route, request.moments)


def _history_of(generations: Generations, key: RowKey) -> Iterator[dict[str, Any]]:
    shared_state = generations.shared_state
    backend = generations.current.generation.config.backends.get(key[0])
    written = shared_state.shared_memory.written()
    for entry, row in () if backend is None else plain_entries(key[0], backend, shared_state.servers, written):
        if (entry["backend"], entry["server"], entry["address"])[: len(key)] != key:
            continue
        changes = shared_state.servers.changes(key[:2], row)
        yield {**entry, "changes": [plain(change) for change in changes[-SHOWN:]]}


def _last_change(row: int, counts: Mapping[int, int], shared_state: SharedMemoryOwner) -> dict[str, Any] | None:
    if row not in counts:
        return None
    changes = shared_state.shared_memory.history.changes(row, 1)
    return plain(changes[0]) if changes else None
