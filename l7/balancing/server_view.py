"""The servers of a backend now, and how likely each is to get the next request: for ``l7 explain``.

Computed by the modules that decide for requests, with the requests in flight of this moment: a chance of 100 % under
``least-requests`` says which server is next, and nothing about the request after that.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from l7.balancing import health
from l7.balancing.dns_records import ResolvedEndpoint
from l7.balancing.hashring import key_of
from l7.balancing.members import Member
from l7.balancing.policies import POLICIES, cycle
from l7.balancing.server_state import (
    KNOCKED,
    NANO,
    ServerRecord,
    ServerState,
    ServerStatus,
    StateRules,
    evaluate_backend,
    last_resort,
    read_record,
)
from l7.balancing.sticky import Stickiness
from l7.config.sections.backends import Backend, Health, Server, merged
from l7.config.values.addresses import Address
from l7.http.cookies import cookies_of, values_of
from l7.http.messages import RequestHead
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import QUEUED, RETRYING, place

DRAWS = 4096
"""Picks from which a chance is estimated; for policies that go by turns whole cycles are picked, which is exact."""

PROVING = "was ejected: one request at a time, until one goes well"
"""The explanation of a server that is up and half-open."""


@dataclass(frozen=True)
class SharedView:
    """The state beside the configuration, as a worker has it."""

    writer: CounterWriter
    rows: Mapping[tuple[str, ...], int]
    resolved: Mapping[tuple[str, str], Sequence[ResolvedEndpoint]]
    cookie_key: bytes


def server_view(route: str, backend: Backend, head: RequestHead, known: SharedView, now: int) -> dict[str, Any]:
    """The servers of a backend at ``now`` (nanoseconds), and their chances for a request with this head."""
    seats = list(_seats(route, backend, known))
    members = [member for member, _ in seats]
    available, _ = evaluate_backend(members, StateRules.of(backend), backend.panic, now)
    at = place(known.rows[route,])
    waiting = [known.writer.total(at + cell) for cell in (QUEUED, RETRYING)]
    waiting = [known.writer.total(at + cell) for cell in (QUEUED, RETRYING)]
    stuck = _stuck(route, backend, head, known, members)
    chances = {stuck: 1.0} if stuck is not None else _chances(backend, head, available)
    return {
        "note": _note(backend, members, available, stuck, *waiting),
        "servers": [_view(backend, member, server, chances, available, known.writer, now) for member, server in seats],
    }


# --- the members ----------------------------------------------------------------------------------------------------


def _seats(route: str, backend: Backend, known: SharedView) -> Iterator[tuple[Member, str]]:
    """The members that workers have, each with its server of the configuration."""
    for label, server in merged(backend.servers).items():
        row = known.rows[route, label]
        found = known.resolved.get((route, label))
        if found is not None:
            for one in found:
                weight = server.weight if one.weight < 0 else one.weight
                member = _member(server, str(Address(one.host, one.port)), known.writer, one.row, weight, row)
                member.backup = server.backup or one.reserve
                yield member, label
        elif not server.address.srv:
            yield _member(server, label, known.writer, row, server.weight, 0), label


def _member(server: Server, address: str, writer: CounterWriter, row: int, weight: int, parent: int) -> Member:
    member = Member(address, writer, row, weight, server.max_connections or 0, backup=server.backup)
    member.parent = parent
    return member


# --- the chances ----------------------------------------------------------------------------------------------------


def _chances(backend: Backend, head: RequestHead, available: Sequence[Member]) -> dict[Member, float]:
    """How often the policy picks each member, with the requests in flight as they are."""
    policy = POLICIES[backend.balance]()
    policy.arrange(available)
    key = _key(backend, head)
    turns = max(1, len(cycle(available)))
    asked = -(-DRAWS // turns) * turns
    lot = random.Random(0)
    counts = dict.fromkeys(available, 0)
    for _ in range(asked):
        full: list[Member] = []
        drawn = lot.getrandbits(64) if key is None else key
        while (member := policy.pick(full, drawn)) is not None:
            if not member.effective_limit or member.load() < member.effective_limit:
                counts[member] += 1
                break
            full.append(member)
    return {member: count / asked for member, count in counts.items()}


def _key(backend: Backend, head: RequestHead) -> int | None:
    """The key of ``hash`` for this request; None where that is the client's address, which is not known here."""
    kind, _, name = backend.hash_key.partition(":")
    found = b""
    if kind == "target":
        found = head.path
    elif kind == "header":
        found = head.authority if name == "host" else next(values_of(head.lines, name.encode()), b"")
    elif kind == "cookie":
        found = next(cookies_of(head.lines, name.encode()), b"")
    return key_of(found) if found else None


def _stuck(
    route: str, backend: Backend, head: RequestHead, known: SharedView, members: Sequence[Member]
) -> Member | None:
    """The member that a sticky cookie of the request names."""
    if backend.sticky is None:
        return None
    sticky = Stickiness(backend.sticky, route, known.cookie_key)
    sticky.arrange(members)
    for cookie in cookies_of(head.lines, sticky.name):
        member = sticky.member(cookie)
        if member is not None and member.verdict.state in (ServerState.UP, ServerState.DRAIN):
            return member
    return None


# --- in words -------------------------------------------------------------------------------------------------------


def _note(
    backend: Backend, members: Sequence[Member], available: Sequence[Member], stuck: Member | None, queued: int,
    retrying: int,
) -> str:  # fmt: skip
    words = []
    last = last_resort(members, available)
    if not available:
        words.append("no server can be used: " + ("the others are the last resort" if last else "answered 503"))
    elif any(not member.verdict.pickable for member in available):
        words.append("too few are up: those that are out are used as well")
    if stuck is not None:
        words.append("its cookie sticks to a server")
    elif backend.balance == "hash" and available:
        words.append(f"by {backend.hash_key}")
    if queued:
        words.append(f"{queued} requests wait for a place")
    if retrying:
        words.append(f"{retrying} requests wait for a server that takes connections")
    return "; ".join(words)


def _view(
    backend: Backend, member: Member, server: str, chances: Mapping[Member, float], available: Sequence[Member],
    writer: CounterWriter, now: int,
) -> dict[str, Any]:  # fmt: skip
    verdict = member.verdict
    known = read_record(writer, member.row, member.parent)
    since = _since(known, verdict)
    timed = verdict.state is ServerState.EJECTED and not verdict.refused
    return {
        "server": server,
        "address": member.label,
        "state": verdict.state.value,
        "why": _why(backend, member, known, available),
        "since": None if not since else round((now - since) / NANO, 1),
        "until": round((verdict.again - now) / NANO, 1) if timed else None,
        "chance": round(chances.get(member, 0.0), 4),
        "weight": verdict.weight,
        "share": verdict.tenths / 10,
        "in-flight": member.load(),
        "limit": member.effective_limit or None,
        "backup": member.backup,
    }


def _since(known: ServerRecord, verdict: ServerStatus) -> int:
    return {
        ServerState.DOWN: known.health_since,
        ServerState.EJECTED: known.ejected_at,
        ServerState.DRAIN: known.admin_since,
        ServerState.MAINT: known.admin_since,
        ServerState.UP: 0,
    }[verdict.state]


def _why(backend: Backend, member: Member, known: ServerRecord, available: Sequence[Member]) -> str:
    verdict = member.verdict
    out = why_out(verdict, known, backend.health)
    if out or member not in available:
        return out or ("not needed" if member.backup else "")
    return PROVING if verdict.half_open and member.effective_limit == 1 else ""


def why_out(verdict: ServerStatus, known: ServerRecord, check: Health | None) -> str:
    """Why a server gets no requests by the policy, in words; empty where it gets some."""
    if verdict.state is ServerState.DOWN:
        return health.words(known.health_why, check) if known.health_why and check else "not checked yet"
    if verdict.state in (ServerState.DRAIN, ServerState.MAINT):
        return "as an administrator wants"
    if verdict.refused:
        return f"{verdict.why}; {KNOCKED}"
    if verdict.state is ServerState.EJECTED:
        return verdict.why
    if not verdict.weight:
        return "its weight is 0"
    return f"takes no connections; {KNOCKED}" if verdict.unreachable else ""
