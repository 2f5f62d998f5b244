"""Whether a server may be picked, and with which share: decided from what the shared memory knows of it, and the time.

Pure. An administrator's word stands above what checks find, and that above what requests have met with; who recovers
is given its share step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

from l7.balancing import ejection
from l7.config.backends import Backend
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.units import show_duration

NANO = 1_000_000_000
KNOCK = 0.1
"""Seconds between two knocks at a server that takes no connections."""
KNOCKED = f"knocked at every {show_duration(KNOCK)}"
HOLD = 2 * NANO
"""For so long a knock in vain keeps a server ejected that refused connections."""
STEPS = 10
"""In so many steps a server comes to its full share."""


class ServerState(Enum):
    """What a server is to those who pick."""

    UP = "up"
    EJECTED = "ejected"
    """It failed requests and is left alone for a while."""
    DOWN = "down"
    """Checks fail."""
    DRAIN = "drain"
    """It gets only requests of clients that stick to it."""
    MAINT = "maint"
    """It gets nothing."""


@dataclass(frozen=True)
class ServerRecord:
    """What the shared memory knows of one server; moments are nanoseconds."""

    admin: int = 0
    admin_since: int = 0
    admin_weight: int = 0
    """Plus 1; 0 for none."""
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
    """Read what is known of the server in ``row``; ``parent`` is the row of the name that it is an address of."""
    at = row * layout.ROW
    # What an administrator says of a name holds for all its addresses.
    of_name = (parent or row) * layout.ROW
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
    """What a backend's settings say about standing; times are nanoseconds."""

    checked: bool = False
    starts_up: bool = True
    slow_start: int = 0

    @classmethod
    def of(cls, backend: Backend) -> StateRules:
        """Those of a backend."""
        health = backend.health
        return cls(health is not None, health is None or health.start == "up", int(backend.slow_start * NANO))


@dataclass(frozen=True)
class ServerStatus:
    """What follows: the standing, the weight that counts, the share of it in tenths, when to look again (0: never)."""

    state: ServerState
    weight: int
    tenths: int = STEPS
    half_open: bool = False
    """Whether it is given one request at a time, because nobody knows yet whether it has recovered."""
    again: int = 0
    unknown: bool = False
    """Whether it is down only because it was not checked yet."""
    why: str = ""
    """Why it is ejected; why checks fail is told by `l7.balancing.health.words`."""
    refused: bool = False
    """Whether it is ejected because it refused connections: until it takes one."""
    unreachable: bool = False
    """Whether no connection could be made since one could not be made: it is knocked at."""

    @property
    def pickable(self) -> bool:
        """Whether it gets requests by the policy."""
        return self.state is ServerState.UP and self.weight > 0

    @property
    def usable(self) -> bool:
        """Whether it may be asked for something at all, be it as a last resort."""
        return self.weight > 0 and self.state not in (ServerState.DRAIN, ServerState.MAINT)


def evaluate(known: ServerRecord, weight: int, rules: StateRules, now: int) -> ServerStatus:
    """What is to be thought of a server of the configured ``weight`` at ``now``."""
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
    """Until when a server is left alone, and since when it is back if that is over.

    Checks that find it well again end it ``early``. One that refused connections is left alone as long as it does: it
    is knocked at, and whoever has a connection ends that; without news of it the time that was set holds.
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
    """The share in tenths of a server that is back since ``back``, and when the next step is due."""
    if not slow_start or not back or now >= back + slow_start:
        return STEPS, 0
    step = max(1, (now - back) * STEPS // slow_start)
    return step, back + (step + 1) * slow_start // STEPS


class ServerWithStatus(Protocol):
    """A server with its verdict."""

    backup: bool
    verdict: ServerStatus


J = TypeVar("J", bound=ServerWithStatus)


def choose(servers: Sequence[J], panic: float) -> tuple[J, ...]:
    """Those among which a policy picks.

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
    """Who is asked, in this order, when all of the ``available`` have failed a request of which nothing was sent.

    First those that were ejected, which is their trial; then backups; then those that checks find down or have not
    looked at yet. Of each kind those come first that are not known to refuse connections.
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
    """Whether a server would be used if only it were up; one that is to be checked first is not yet."""
    verdict = server.verdict
    return verdict.usable and not verdict.unknown


class EvaluableServer(ServerWithStatus, Protocol):
    """A server that can be judged, and told what follows for it."""

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
    """Judge the servers of a backend; those among whom a policy picks, and when to look again (0: never)."""
    moments = []
    for one in servers:
        verdict = evaluate(read_record(one.writer, one.row, one.parent), one.weight, rules, now)
        one.verdict, one.half_open, one.unreachable = verdict, verdict.half_open, verdict.unreachable
        one.share = verdict.weight * verdict.tenths
        if verdict.again:
            moments.append(verdict.again)
    available = choose(servers, panic)
    # Who has to prove itself gets one request at a time, as long as others can have the rest.
    proven = any(not one.half_open and not one.unreachable for one in available)
    for one in servers:
        one.effective_limit = 1 if one.half_open and proven else one.limit
    return available, min(moments, default=0)
