"""What is to be thought of every server now, and why, for ``l7 status``: read from the ledger as workers read it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from l7.balancing import cells, ejection, health
from l7.balancing.lane import Lane
from l7.balancing.outlook import PROVING, why_out
from l7.balancing.standing import NANO, STEPS, Facts, Rules, Standing, Verdict, choose, facts, judge
from l7.config.addresses import Address
from l7.config.backends import merged
from l7.config.schema import Backend, Config, Server
from l7.master.books import Books
from l7.telemetry.ledger import MASTER


@dataclass(eq=False)
class _Judged:
    """One server, or one address of its name."""

    server: Server
    address: str | None
    row: int
    known: Facts
    verdict: Verdict
    backup: bool


def table(config: Config, books: Books) -> Iterator[dict[str, Any]]:
    """Give an entry for each server, and for each address of a name."""
    lane = Lane(books.ledger.cells, books.ledger.rows * cells.ROW, MASTER)
    now = time.monotonic_ns()
    for route, backend in config.backends.items():
        judged = list(_judge(route, backend, books, lane, now))
        used = set(map(id, choose(judged, backend.panic)))
        for one in judged:
            yield {
                "backend": route,
                "server": str(one.server.address),
                "address": one.address,
                "state": one.verdict.standing.value,
                "why": _why(one, backend, now) or _failure(books, route, one.server),
                "last-error": _last_error(lane, one.row * cells.ROW, now),
                "weight": one.verdict.weight,
                "backup": one.backup,
                "used": id(one) in used,
                "in-flight": lane.total(one.row * cells.ROW + cells.IN_FLIGHT),
            }
        for server in merged(backend.servers).values():
            if server.address.srv and (route, str(server.address)) not in books.resolved:
                yield _unknown(route, server, _failure(books, route, server) or "not looked up yet")


def _judge(route: str, backend: Backend, books: Books, lane: Lane, now: int) -> Iterator[_Judged]:
    rules = Rules.of(backend)
    for server in merged(backend.servers).values():
        name = (route, str(server.address))
        parent = books.rows[name]
        if name not in books.resolved:
            if not server.address.srv:
                known = facts(lane, parent)
                verdict = judge(known, server.weight, rules, now)
                yield _Judged(server, None, parent, known, verdict, server.backup)
            continue
        for one in books.resolved[name]:
            known = facts(lane, one.row, parent)
            verdict = judge(known, server.weight if one.weight < 0 else one.weight, rules, now)
            address = str(Address(one.host, one.port))
            yield _Judged(server, address, one.row, known, verdict, server.backup or one.reserve)


def _failure(books: Books, route: str, server: Server) -> str:
    why = books.unresolved.get((route, str(server.address)), "")
    return why and f"the name cannot be looked up: {why}"


def _unknown(route: str, server: Server, why: str) -> dict[str, Any]:
    """An entry for a service of which nobody knows an address."""
    return {
        "backend": route,
        "server": str(server.address),
        "address": None,
        "state": Standing.DOWN.value,
        "why": why,
        "last-error": None,
        "weight": server.weight,
        "backup": server.backup,
        "used": False,
        "in-flight": 0,
    }


def _last_error(lane: Lane, at: int, now: int) -> dict[str, Any] | None:
    """What happened when a request last failed at a server, and how many seconds ago; None when none ever did."""
    last = lane.latest(at + cells.LAST_ERROR_AT)
    moment = lane.read(last, at + cells.LAST_ERROR_AT)
    if not moment:
        return None
    what = ejection.describe(lane.read(last, at + cells.LAST_ERROR))
    return {"what": what, "ago": round(max(0, now - moment) / NANO, 1)}


def _why(one: _Judged, backend: Backend, now: int) -> str:
    """Why a server is what it is, or what is to be known of one that is up."""
    verdict, known, check = one.verdict, one.known, backend.health
    out = why_out(verdict, known, check)
    if verdict.standing is Standing.EJECTED and not verdict.refused:
        return f"{out}, for another {max(0, verdict.again - now) / NANO:.1f} s"
    if out:
        return out
    if verdict.tenths < STEPS:
        return f"slow start: {verdict.tenths * 10} % of its share"
    if verdict.trial:
        return PROVING
    if check is not None and health.has_failed(known.health_why):
        return f"last check: {health.words(known.health_why, check)}"
    return ""
