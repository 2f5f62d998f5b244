"""The state of every server, and why, for ``l7 status`` and ``l7 server``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from l7.balancing import ejection, health
from l7.balancing.server_state import NANO, STEPS, ServerState, choose
from l7.balancing.server_view import PROVING, why_out
from l7.config.schema import Backend, Config, Server
from l7.config.sections.backends import merged
from l7.ipc.requests import Answer, HistoryRequest, ServersRequest, refusal
from l7.master.state.generations import Generations
from l7.master.state.overrides import OverrideError
from l7.master.state.server_entries import ServerEntry, server_entries, why_unresolved
from l7.master.state.shared_state import SharedMemoryOwner
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import RowKey, place
from l7.sharedmem.server_history import SHOWN
from l7.telemetry.server_changes import plain
from l7.telemetry.situation.server_states import KnownServers
from l7.telemetry.situation.situations import states_answer


def table(config: Config, shared_state: SharedMemoryOwner) -> Iterator[dict[str, Any]]:
    """Yield an entry for each server, and for each address of a name."""
    counts = shared_state.shared_memory.history.counted(max(shared_state.rows.used(), default=0) + 1)
    for route, backend in config.backends.items():
        for entry, row in entries(route, backend, shared_state):
            yield {**entry, "changes": counts.get(row, 0), "last-change": _last_change(row, counts, shared_state)}


def entries(route: str, backend: Backend, shared_state: SharedMemoryOwner) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield an entry for each server of a backend, and for each address of a name, with its row."""
    writer = shared_state.writer
    now = time.monotonic_ns()
    judged = list(server_entries(route, backend, shared_state, now))
    used = set(map(id, choose(judged, backend.panic)))
    for one in judged:
        entry = {
            "backend": route,
            "server": str(one.server.address),
            "address": one.address,
            "state": one.verdict.state.value,
            "why": _why(one, backend, now) or why_unresolved(shared_state, route, one.server),
            "last-error": _last_error(writer, place(one.row), now),
            "weight": one.verdict.weight,
            "backup": one.backup,
            "used": id(one) in used,
            "in-flight": writer.total(place(one.row, layout.IN_FLIGHT)),
        }
        yield entry, one.row
    for server in merged(backend.servers).values():
        name = (route, str(server.address))
        if server.address.srv and name not in shared_state.resolved:
            why = why_unresolved(shared_state, route, server) or "not looked up yet"
            yield _unknown(route, server, why), shared_state.rows[name]


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
    shared_state, generation = generations.shared_state, served.generation
    known = KnownServers(
        shared_state.rows.taken(), shared_state.resolved, shared_state.writer, shared_state.shared_memory.history
    )
    backend = generation.config.backends.get(request.route)
    return states_answer(request.route, backend, known, generation.number, request.moments)


def _history_of(generations: Generations, key: RowKey) -> Iterator[dict[str, Any]]:
    shared_state = generations.shared_state
    backend = generations.current.generation.config.backends.get(key[0])
    for entry, row in () if backend is None else entries(key[0], backend, shared_state):
        if (entry["backend"], entry["server"], entry["address"])[: len(key)] != key:
            continue
        # What is wanted of a name holds for all its addresses.
        rows = {row, shared_state.rows[key[:2]]}
        changes = sorted(change for each in rows for change in shared_state.shared_memory.history.changes(each))
        yield {**entry, "changes": [plain(change) for change in changes[-SHOWN:]]}


def _last_change(row: int, counts: Mapping[int, int], shared_state: SharedMemoryOwner) -> dict[str, Any] | None:
    if row not in counts:
        return None
    changes = shared_state.shared_memory.history.changes(row, 1)
    return plain(changes[0]) if changes else None


def _unknown(route: str, server: Server, why: str) -> dict[str, Any]:
    """An entry for a name without a known address."""
    return {
        "backend": route,
        "server": str(server.address),
        "address": None,
        "state": ServerState.DOWN.value,
        "why": why,
        "last-error": None,
        "weight": server.weight,
        "backup": server.backup,
        "used": False,
        "in-flight": 0,
    }


def _last_error(writer: CounterWriter, at: int, now: int) -> dict[str, Any] | None:
    """The last failure of a request at a server, and how many seconds ago; None when there was none."""
    last = writer.latest(at + layout.LAST_ERROR_AT)
    moment = writer.read(last, at + layout.LAST_ERROR_AT)
    if not moment:
        return None
    what = ejection.describe(writer.read(last, at + layout.LAST_ERROR))
    return {"what": what, "ago": round(max(0, now - moment) / NANO, 1)}


def _why(one: ServerEntry, backend: Backend, now: int) -> str:
    """Why a server is in its state, or a remark about one that is up."""
    verdict, known, check = one.verdict, one.known, backend.health
    out = why_out(verdict, known, check)
    if verdict.state is ServerState.EJECTED and not verdict.refused:
        return f"{out}, for another {max(0, verdict.again - now) / NANO:.1f} s"
    if out:
        return out
    if verdict.tenths < STEPS:
        return f"slow start: {verdict.tenths * 10} % of its share"
    if verdict.half_open:
        return PROVING
    if check is not None and health.has_failed(known.health_why):
        return f"last check: {health.words(known.health_why, check)}"
    return ""
