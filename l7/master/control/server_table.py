"""The state of every server, and why, for ``l7 status``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from l7.balancing import ejection, health
from l7.balancing.server_state import NANO, STEPS, ServerState, choose
from l7.balancing.server_view import PROVING, why_out
from l7.config.schema import Backend, Config, Server
from l7.config.sections.backends import merged
from l7.master.state.server_entries import ServerEntry, server_entries, why_unresolved
from l7.master.state.shared_state import SharedMemoryOwner
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import place


def table(config: Config, shared_state: SharedMemoryOwner) -> Iterator[dict[str, Any]]:
    """Yield an entry for each server, and for each address of a name."""
    writer = shared_state.writer
    now = time.monotonic_ns()
    for route, backend in config.backends.items():
        judged = list(server_entries(route, backend, shared_state, now))
        used = set(map(id, choose(judged, backend.panic)))
        for one in judged:
            yield {
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
        for server in merged(backend.servers).values():
            if server.address.srv and (route, str(server.address)) not in shared_state.resolved:
                yield _unknown(route, server, why_unresolved(shared_state, route, server) or "not looked up yet")


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
