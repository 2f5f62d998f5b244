"""The state of every server, and why, for ``l7 status``: read from the shared memory as workers read it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from l7.balancing import ejection, health
from l7.balancing.server_state import (
    NANO,
    STEPS,
    ServerRecord,
    ServerState,
    ServerStatus,
    StateRules,
    choose,
    evaluate,
    read_record,
)
from l7.balancing.server_view import PROVING, why_out
from l7.config.addresses import Address
from l7.config.backends import merged
from l7.config.schema import Backend, Config, Server
from l7.master.state.shared_state import SharedState
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.memory import MASTER


@dataclass(eq=False)
class _ServerEntry:
    """One server, or one address of its name."""

    server: Server
    address: str | None
    row: int
    known: ServerRecord
    verdict: ServerStatus
    backup: bool


def table(config: Config, shared_state: SharedState) -> Iterator[dict[str, Any]]:
    """Yield an entry for each server, and for each address of a name."""
    writer = CounterWriter(shared_state.shared_memory.cells, shared_state.shared_memory.rows * layout.ROW, MASTER)
    now = time.monotonic_ns()
    for route, backend in config.backends.items():
        judged = list(_judge(route, backend, shared_state, writer, now))
        used = set(map(id, choose(judged, backend.panic)))
        for one in judged:
            yield {
                "backend": route,
                "server": str(one.server.address),
                "address": one.address,
                "state": one.verdict.state.value,
                "why": _why(one, backend, now) or _failure(shared_state, route, one.server),
                "last-error": _last_error(writer, one.row * layout.ROW, now),
                "weight": one.verdict.weight,
                "backup": one.backup,
                "used": id(one) in used,
                "in-flight": writer.total(one.row * layout.ROW + layout.IN_FLIGHT),
            }
        for server in merged(backend.servers).values():
            if server.address.srv and (route, str(server.address)) not in shared_state.resolved:
                yield _unknown(route, server, _failure(shared_state, route, server) or "not looked up yet")


def _judge(
    route: str, backend: Backend, shared_state: SharedState, writer: CounterWriter, now: int
) -> Iterator[_ServerEntry]:
    rules = StateRules.of(backend)
    for server in merged(backend.servers).values():
        name = (route, str(server.address))
        parent = shared_state.rows[name]
        if name not in shared_state.resolved:
            if not server.address.srv:
                known = read_record(writer, parent)
                verdict = evaluate(known, server.weight, rules, now)
                yield _ServerEntry(server, None, parent, known, verdict, server.backup)
            continue
        for one in shared_state.resolved[name]:
            known = read_record(writer, one.row, parent)
            verdict = evaluate(known, server.weight if one.weight < 0 else one.weight, rules, now)
            address = str(Address(one.host, one.port))
            yield _ServerEntry(server, address, one.row, known, verdict, server.backup or one.reserve)


def _failure(shared_state: SharedState, route: str, server: Server) -> str:
    why = shared_state.unresolved.get((route, str(server.address)), "")
    return why and f"the name cannot be looked up: {why}"


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


def _why(one: _ServerEntry, backend: Backend, now: int) -> str:
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
