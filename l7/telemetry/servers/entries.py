"""How each server is, read in the shared memory as workers read it: for status, overview, and before a reload."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator
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
)
from l7.balancing.server_view import PROVING, why_out
from l7.config.schema import Backend, Server
from l7.config.sections.backends import merged
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import place
from l7.telemetry.servers.shared_servers import SharedServers, servers_of


@dataclass(eq=False)
class ServerEntry:
    """One server, or one address of its name."""

    server: Server
    address: str | None
    row: int
    known: ServerRecord
    verdict: ServerStatus
    backup: bool


def server_entries(
    route: str, backend: Backend, known: SharedServers, written: Container[int], now: int
) -> Iterator[ServerEntry]:
    """Yield the servers of a backend as they are at ``now`` (nanoseconds); else as `servers_of`."""
    rules = StateRules.of(backend)
    for one in servers_of(route, backend, known, written):
        verdict = evaluate(one.record, one.weight, rules, now)
        yield ServerEntry(one.server, one.address, one.row, one.record, verdict, one.backup)


def plain_entries(
    route: str, backend: Backend, known: SharedServers, written: Container[int]
) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield an entry for each server of a backend, and each address of a name, with its row; as `server_entries`.

    Which there are is found before the first one: other things may be done between two.
    """
    writer = known.writer
    now = time.monotonic_ns()
    judged = list(server_entries(route, backend, known, written, now))
    used = set(map(id, choose(judged, backend.panic)))
    names = [(route, str(server.address)) for server in backend.servers if server.address.srv]
    unknown = {name: known.rows[name] for name in names if name not in known.resolved}
    for one in judged:
        entry = {
            "backend": route,
            "server": str(one.server.address),
            "address": one.address,
            "state": one.verdict.state.value,
            "why": _why(one, backend, now) or why_unresolved(known, route, one.server),
            "last-error": _last_error(writer, place(one.row), now) if one.row in written else None,
            "weight": one.verdict.weight,
            "backup": one.backup,
            "used": id(one) in used,
            "in-flight": writer.total(place(one.row, layout.IN_FLIGHT)) if one.row in written else 0,
        }
        yield entry, one.row
    for server in merged([server for server in backend.servers if server.address.srv]).values():
        name = (route, str(server.address))
        if name in unknown:
            why = why_unresolved(known, route, server) or "not looked up yet"
            yield _unknown(route, server, why), unknown[name]


def why_unresolved(known: SharedServers, route: str, server: Server) -> str:
    """Why the last look-up of a server's name failed; empty where it did not."""
    why = known.unresolved.get((route, str(server.address)), "")
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
