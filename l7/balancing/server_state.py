"""Whether a server may be picked, and with which weight: computed from its record in the shared memory, and the time.

Pure. Precedence: administrator's override > active health check > ejection by failed requests. A server that recovers
gets its weight back step by step (slow start).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

from l7.balancing import ejection
from l7.config.sections.backends import Backend
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.units import show_duration

NANO = 1_000_000_000
KNOCK = 0.1
"""Seconds between two connect probes of a server that takes no connections."""
KNOCKED = f"knocked at every {show_duration(KNOCK)}"
HOLD = 2 * NANO
"""Nanoseconds for which a failed connect probe keeps a server ejected that refused connections."""
STEPS = 10
"""Steps of a slow start."""


class ServerState(Enum):
    """The state of a server, as picking, status and metrics see it."""

    UP = "up"
    EJECTED = "ejected"
    """It failed requests and gets none for a while."""
    DOWN = "down"
    """Its health checks fail."""
    DRAIN = "drain"
    """By an administrator: it gets only requests of clients whose cookie names it."""
    MAINT = "maint"
    """By an administrator: it gets no requests."""


@dataclass(frozen=True)
class ServerRecord:
    """What the shared memory holds of one server; times are nanoseconds."""

    admin: int = 0
    admin_since: int = 0
    admin_weight: int = 0
    """The administrator's weight plus 1; 0 for none."""
    health: int = 0
    health_since: int = 0
    health_why: int = 0
    falls: int = 0
    ejected_at: int = 0
    ejected_until: int = 0
    ejected_times: int = 0
    ejected_why: int = 0
    ejected_good: int = 0
    good: int = 0
    unreached_at: int = 0
    reached_at: int = 0
    knocked_at: int = 0


def read_record(writer: CounterWriter, row: int, parent: int = 0) -> ServerRecord:
    """Read the record of the server in ``row``; ``parent`` is the row of the name that it is an address of."""
    at = layout.place(row)
    # An override of a name holds for all its addresses.
    of_name = layout.place(parent or row)
    admin = at if writer.read(0, at + layout.ADMIN_SINCE) > writer.read(0, of_name + layout.ADMIN_SINCE) else of_name
    weighed = at if writer.read(0, at + layout.ADMIN_WEIGHT) else of_name
    last = writer.latest(at + layout.EJECTED_AT, at + layout.EJECTED_UNTIL)
    return ServerRecord(
        writer.read(0, admin + layout.ADMIN),
        writer.read(0, admin + layout.ADMIN_SINCE),
        writer.read(0, weighed + layout.ADMIN_WEIGHT),
        writer.read(1, at + layout.HEALTH),
        writer.read(1, at + layout.HEALTH_SINCE),
        writer.read(1, at + layout.HEALTH_WHY),
        writer.read(1, at + layout.FALLS),
        writer.read(last, at + layout.EJECTED_AT),
        writer.read(last, at + layout.EJECTED_UNTIL),
        writer.read(last, at + layout.EJECTED_TIMES),
        writer.read(last, at + layout.EJECTED_WHY),
        writer.read(last, at + layout.EJECTED_GOOD),
        writer.total(at + layout.GOOD),
        writer.highest(at + layout.UNREACHED_AT),
        writer.highest(at + layout.REACHED_AT),
        writer.read(1, at + layout.KNOCKED_AT),
    )


@dataclass(frozen=True)
class StateRules:
    """The settings of a backend that decide about server states; times are nanoseconds."""

    checked: bool = False
    starts_up: bool = True
    slow_start: int = 0

    @classmethod
    def of(cls, backend: Backend) -> StateRules:
        """The rules of a backend."""
        health = backend.health
        return cls(health is not None, health is None or health.start == "up", int(backend.slow_start * NANO))


@dataclass(frozen=True)
class ServerStatus:
    """A server's state, its weight, the part of it in tenths (slow start), and when to evaluate again (0: never)."""

    state: ServerState
    weight: int
    tenths: int = STEPS
    half_open: bool = False
    """Whether it gets one request at a time, because it was ejected and no request has succeeded since."""
    again: int = 0
    unknown: bool = False
    """Whether it is down only because no check has finished yet."""
    why: str = ""
    """Why it is ejected; for why checks fail see `l7.balancing.health.words`."""
    refused: bool = False
    """Whether it is ejected because it refused connections; that ends when it takes one."""
    unreachable: bool = False
    """Whether the last connection failed: it is probed by connecting (`l7.workers.monitor.connect_probes`)."""

    @property
    def pickable(self) -> bool:
        """Whether the policy may pick it."""
        return self.state is ServerState.UP and self.weight > 0

    @property
    def usable(self) -> bool:
        """Whether it may get requests at all, if only as a last resort."""
        return self.weight > 0 and self.state not in (ServerState.DRAIN, ServerState.MAINT)


def evaluate(known: ServerRecord, weight: int, rules: StateRules, now: int) -> ServerStatus:
    """The status of a server of the configured ``weight`` at ``now``."""
    if known.admin_weight:
        weight = known.admin_weight - 1
    unreachable = known.unreached_at > known.reached_at
    if known.admin == layout.MAINT:
        return ServerStatus(ServerState.MAINT, weight, unreachable=unreachable)
    if known.admin == layout.DRAIN:
        return ServerStatus(ServerState.DRAIN, weight, unreachable=unreachable)
    if rules.checked and not known.health and not rules.starts_up:
        return ServerStatus(ServerState.DOWN, weight, unknown=True, unreachable=unreachable)
    if rules.checked and known.health == layout.DOWN:
        return ServerStatus(ServerState.DOWN, weight, unreachable=unreachable)
    recovered = rules.checked and known.health == layout.UP and known.falls > 0
    well = recovered and known.health_since > known.ejected_at
    until, back = _term(known, early=well)
    if now < until:
        why, refused = ejection.words(known.ejected_why), ejection.is_refusal(known.ejected_why)
        return ServerStatus(ServerState.EJECTED, weight, again=until, why=why, refused=refused, unreachable=unreachable)
    half_open = bool(known.ejected_until) and known.good == known.ejected_good and not well
    back = max(back, known.admin_since)
    if recovered:
        back = max(back, known.health_since)
    tenths, again = _step(back, rules.slow_start, now)
    return ServerStatus(ServerState.UP, weight, tenths, half_open, again, unreachable=unreachable)


def _term(known: ServerRecord, *, early: bool) -> tuple[int, int]:
    """Until when a server is ejected, and since when it is back if that is over.

    Successful health checks end an ejection ``early``. One for refused connections lasts until a connect probe or a
    worker connects; without news from either the time that was set holds.
    """
    if early:
        return 0, known.health_since
    if not ejection.is_refusal(known.ejected_why):
        return known.ejected_until, known.ejected_until
    if known.reached_at > known.ejected_at:
        return 0, known.reached_at
    until = max(known.ejected_until, known.knocked_at + HOLD)
    return until, until


def _step(back: int, slow_start: int, now: int) -> tuple[int, int]:
    """Slow start: the part in tenths of the weight of a server that is back since ``back``, and when it next grows."""
    if not slow_start or not back or now >= back + slow_start:
        return STEPS, 0
    step = max(1, (now - back) * STEPS // slow_start)
    return step, back + (step + 1) * slow_start // STEPS


class ServerWithStatus(Protocol):
    """A server with its status."""

    backup: bool
    verdict: ServerStatus


J = TypeVar("J", bound=ServerWithStatus)


def choose(servers: Sequence[J], panic: float) -> tuple[J, ...]:
    """The servers that a policy picks from.

    Backups are used when nothing else can be, and beside the others when these are less than the share ``panic`` of
    those that are meant to be used. When that is still less than this share, all of them are used: so few up means more
    likely that something is wrong with the checks, and the few would be overrun. Servers that were only ejected are
    better than none, whatever ``panic`` is.
    """
    mains = [one for one in servers if not one.backup and _wanted(one)]
    up = tuple(one for one in mains if one.verdict.pickable)
    backups = [one for one in servers if one.backup and _wanted(one)]
    spare = tuple(one for one in backups if one.verdict.pickable)
    if not up and spare:
        mains, up, spare = backups, spare, ()
    wanted = mains or backups
    if up and len(up) < panic * len(wanted):
        up += spare
    if up and len(up) >= panic * len(wanted):
        return up
    if panic > 0:
        return (*wanted, *spare)
    return up or tuple(one for one in wanted if one.verdict.state is ServerState.EJECTED)


def last_resort(servers: Sequence[J], available: Sequence[J]) -> tuple[J, ...]:
    """The servers to try, in this order, when all ``available`` have failed a request of which nothing was sent.

    First ejected ones, for which this is a probe; then backups; then those that checks find down or have not checked
    yet. Of each kind those that are not known to refuse connections come first.
    """
    rest = [one for one in servers if one.verdict.usable and one not in available]
    return tuple(sorted(rest, key=_resort))


def _resort(server: ServerWithStatus) -> tuple[int, bool]:
    verdict = server.verdict
    if verdict.state is ServerState.DOWN:
        rank = 4 if server.backup else 3
    elif server.backup:
        rank = 1 if verdict.pickable else 2
    else:
        rank = 0
    return rank, verdict.unreachable


def _wanted(server: ServerWithStatus) -> bool:
    """Whether a server would be used if it were up; one whose first check is not done does not count."""
    verdict = server.verdict
    return verdict.usable and not verdict.unknown


class EvaluableServer(ServerWithStatus, Protocol):
    """A server whose status can be evaluated, and that takes the result."""

    writer: CounterWriter
    row: int
    parent: int
    weight: int
    limit: int
    share: int
    half_open: bool
    unreachable: bool
    effective_limit: int


A = TypeVar("A", bound=EvaluableServer)


def evaluate_backend(servers: Sequence[A], rules: StateRules, panic: float, now: int) -> tuple[tuple[A, ...], int]:
    """Evaluate a backend's servers; returns those that a policy picks from, and when to evaluate again (0: never)."""
    moments = []
    for one in servers:
        verdict = evaluate(read_record(one.writer, one.row, one.parent), one.weight, rules, now)
        one.verdict, one.half_open, one.unreachable = verdict, verdict.half_open, verdict.unreachable
        one.share = verdict.weight * verdict.tenths
        if verdict.again:
            moments.append(verdict.again)
    available = choose(servers, panic)
    # A half-open server gets one request at a time, as long as other servers can have the rest.
    proven = any(not one.half_open and not one.unreachable for one in available)
    for one in servers:
        one.effective_limit = 1 if one.half_open and proven else one.limit
    return available, min(moments, default=0)
