"""How it was at a server's pick: how each server of the route was, and how many of the recorded requests it had.

Put together by who tells a request (`l7.telemetry.stories.request_story`) from what the master or the monitor process
knows of servers (`l7.telemetry.servers.past_states`) and from the records of other requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from l7.errors import NO_SERVER
from l7.telemetry.recorder.records import RequestRecord
from l7.telemetry.stories.times import lasted, moment

LEAST_WAIT = 0.001
"""Seconds of a wait that is worth a look at the servers when it began."""


@dataclass(frozen=True)
class ServerThen:
    """One server at a moment: its state, since when (seconds since 1970) where it has changed, and why."""

    server: str
    address: str
    state: str
    since: float | None
    why: str
    backup: bool
    under_way: int
    """Requests that it had, of those that are recorded, without the one that is told."""
    picked: bool


@dataclass(frozen=True)
class Situation:
    """The servers of a route when one of them was picked, or when a request ended for which none was."""

    at: float
    waiting: bool
    """Whether it is the moment at which the request began to wait for a server with room."""
    servers: tuple[ServerThen, ...]
    left_out: int
    left_out_up: int
    sticky: str
    """The name of the route's sticky cookie; empty where it has none, or that is not known any more."""
    note: str
    """What is to be known of it; empty for nothing."""

    def plain(self) -> dict[str, Any]:
        """All of it for JSON."""
        servers = [{name.replace("_", "-"): value for name, value in vars(one).items()} for one in self.servers]
        return {**{name.replace("_", "-"): value for name, value in vars(self).items()}, "servers": servers}


def moments_of(record: RequestRecord, now: float) -> tuple[float, ...]:
    """When servers were picked for a request, and before these when it began to wait for the first one, if it did.

    Of one for which none could be picked it is when it ended, ``now`` if it has not. There is none of one that never
    came to that: it has no route, or l7 has refused it, or its client has left, before a server was needed.
    """
    if not record.route:
        return ()
    if record.attempts:
        picks = [record.started + one.began for one in record.attempts]
        return tuple([picks[0] - record.queue, *picks] if _has_waited(record) else picks)
    if record.under_way:
        return (now,)
    return (record.ended,) if record.code[1:] == "Q" or record.failure == NO_SERVER.name else ()


def _has_waited(record: RequestRecord) -> bool:
    """Whether a request has waited for its only server."""
    return record.tried == 1 and LEAST_WAIT <= record.queue <= record.attempts[0].began


def situations(
    record: RequestRecord, answer: dict[str, Any], others: Iterable[RequestRecord], now: float
) -> list[Situation]:
    """How it was at each pick of a server for a request.

    :param answer: what `PastStates` answer for its moments.
    :param others: records of other requests that may have been under way then.
    """
    if not answer.get("ok"):
        return []
    moments = moments_of(record, now)
    counts = _under_way(record, moments, others)
    sticky, note = answer["sticky"] or "", ""
    if answer["generation"] != record.generation:
        sticky = ""
        note = f"servers as generation {answer['generation']} has them; {record.generation} is served no more"
    servers = [one.server for one in record.attempts] or [""]
    if len(moments) > len(servers):
        servers = ["", *servers]
    return [
        _situation(found, count, server, sticky, note, waiting=bool(record.attempts) and not server)
        for found, count, server in zip(answer["moments"], counts, servers, strict=False)
    ]


def _situation(
    found: dict[str, Any], counts: dict[str, int], picked: str, sticky: str, note: str, *, waiting: bool
) -> Situation:
    servers = tuple([
        ServerThen(
            one["server"], one["address"], one["state"], one["since"], one["why"], one["backup"],
            counts.get(one["address"], 0), one["address"] == picked,
        )
        for one in found["servers"]
    ])  # fmt: skip
    return Situation(found["at"], waiting, servers, found["left-out"], found["left-out-up"], sticky, note)


def _under_way(
    record: RequestRecord, moments: Sequence[float], others: Iterable[RequestRecord]
) -> list[dict[str, int]]:
    """How many other requests of the route were at each server, at each moment."""
    counts: list[dict[str, int]] = [{} for _ in moments]
    for other in others:
        if other.identity == record.identity or other.route not in ("", record.route):
            continue
        for server, begin, end in _stays(other):
            for at, found in zip(moments, counts, strict=True):
                if begin <= at < end:
                    found[server] = found.get(server, 0) + 1
    return counts


def _stays(record: RequestRecord) -> Iterator[tuple[str, float, float]]:
    """From when until when a request was at which server."""
    for number, one in enumerate(record.attempts):
        following = record.attempts[number + 1].began if number + 1 < len(record.attempts) else None
        over = one.failed_at if one.failed_at is not None else following
        if over is None:
            over = float("inf") if record.under_way else max(record.total, one.began)
        yield one.server, record.started + one.began, record.started + over


# --- in words ---------------------------------------------------------------------------------------------------------


def lines_of(found: Situation, before: Situation | None = None) -> Iterator[str]:
    """A situation in lines, without those that only repeat the one ``before``."""
    if before is not None and not before.waiting and _states(found) == _states(before):
        return
    when = "when it began to wait, at" if found.waiting else "at"
    yield f"the servers {when} {moment(found.at)}, and requests that they had (of those recorded):"
    if found.note:
        yield f"  ({found.note})"
    names = [_name(one) for one in found.servers]
    width = max(map(len, names), default=0)
    many = max((len(str(one.under_way)) for one in found.servers), default=1)
    for one, name in zip(found.servers, names, strict=True):
        mark = ">" if one.picked else " "
        yield f"  {mark} {name:{width}}  {one.under_way:{many}}  {_state(one, found.at)}"
    if found.left_out or found.left_out_up:
        yield f"    and {found.left_out_up} more that were up, {found.left_out} that were not"


def _states(found: Situation) -> list[tuple[str, str]]:
    return sorted((one.address, one.state) for one in found.servers)


def _name(one: ServerThen) -> str:
    return one.address if one.address == one.server else f"{one.server} at {one.address}"


def _state(one: ServerThen, at: float) -> str:
    parts = [one.state]
    if one.since is not None:
        parts.append(f"since {moment(one.since)} ({lasted(at - one.since)} before)")
    what = " ".join(parts)
    return "; ".join(part for part in (what, "backup" if one.backup else "", one.why) if part)
