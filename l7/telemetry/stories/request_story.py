"""One recorded request as a story: how it came, where it went and why, where its time was lost, who ended it.

Lines are plain text; who prints them escapes what clients have sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from l7.telemetry.recorder.records import Attempt, RequestRecord
from l7.telemetry.stories.advice import ended_by, next_look
from l7.telemetry.stories.phases import DIED, phases
from l7.telemetry.stories.situations import Situation, lines_of
from l7.telemetry.stories.times import lasted, moment

WIDTH = 48
"""Characters of the time line."""
_LEAST_SHARE = 0.5
_KEYS = {"client": "the client's address", "target": "the path", "header": "the field", "cookie": "the cookie"}
"""What is hashed, by the kind of `hash-key`."""
_PICKABLE = ("up", "unreachable", "unknown")
"""States in which a policy picks a server, or may have."""
_WORTH_A_LINE = 0.05
"""Seconds: of a shorter request nobody asks where its time went."""


def time_line(record: RequestRecord, now: float = 0.0, length: int = WIDTH) -> list[str]:
    """The phases of a request, drawn to scale in bars of so many characters."""
    found = phases(record, now)
    if not found:
        return []
    whole = max(max(one.end for one in found), 1e-6)
    width = max(len(one.name) for one in found)
    drawn = []
    for one in found:
        begin = min(int(one.begin / whole * length), length - 1)
        size = max(round((one.end - one.begin) / whole * length), 1)
        bar = ("." * begin + "#" * size)[:length].ljust(length, ".")
        note = f"  {one.note}" if one.note else ""
        took = "-" if one.note == DIED else lasted(one.seconds)
        drawn.append(f"  {one.name:{width}}  {bar}  {took:>8}{note}")
    return drawn


def story(record: RequestRecord, now: float, found: Sequence[Situation] = (), length: int = WIDTH) -> Iterator[str]:
    """Tell what happened to a request, line by line.

    :param found: how it was when servers were picked for it (`l7.telemetry.stories.situations`), where that is known.
    :param length: characters of each bar of the time line.
    """
    yield f"request {record.request_id}"
    yield f"{record.method} {record.target}".strip() or "what came was no request line: it is not kept"
    yield f"  {_verdict(record, now)}"
    yield ""
    yield f"  {moment(record.started)}  from {record.client or '-'}, {_entrance(record)}"
    yield f"  host {record.host or '-'}: {_route(record)}"
    yield f"  worker {record.worker} of generation {record.generation}, {_connection(record)}"
    if record.attempts:
        yield ""
        yield "why this server"
        yield from _why(record, found)
    elif found:
        yield ""
        yield "why no server"
        yield from (f"  {line}" for line in lines_of(found[0]))
    drawn = time_line(record, now, length)
    if drawn:
        yield ""
        whole = lasted(max(one.end for one in phases(record, now)))
        # When a worker has ended is not recorded.
        yield f"where the time went ({whole}{', and until its worker ended' if record.died else ''})"
        yield from drawn
        yield from _lost(record, now)
    yield ""
    yield "how it ended"
    yield from (f"  {line}" for line in ended_by(record))
    yield from (f"  look next: {line}" for line in next_look(record))


def told(record: RequestRecord, now: float, found: Sequence[Situation] = ()) -> dict[str, Any]:
    """A request for JSON: all of its record, who ended it, what to look at next, its time line, and ``found``."""
    return {
        **record.plain(),
        "ended-by": list(ended_by(record)),
        "look-next": list(next_look(record)),
        "phases": [vars(one) for one in phases(record, now)],
        "time-line": time_line(record, now),
        "situations": [one.plain() for one in found],
    }


def _verdict(record: RequestRecord, now: float) -> str:
    if record.under_way:
        return f"under way for {lasted(max(now - record.started, 0.0))}"
    if record.died:
        return "its worker ended while it was served"
    parts = [str(record.status), record.code]
    if record.failure:
        parts.append(record.failure)
    return f"{', '.join(parts)}; {lasted(record.total)}; {record.received} bytes received, {record.sent} sent"


def _entrance(record: RequestRecord) -> str:
    where = f"by port {record.port}" if record.port else "by a unix socket"
    spoken = f"TLS {record.tls}" if record.tls else "no TLS"
    return ", ".join(part for part in (where, spoken, record.version) if part)


def _route(record: RequestRecord) -> str:
    if record.route:
        return f"route {record.route}" + (f", balance {record.policy}" if record.policy else "")
    return "no route yet" if record.under_way else "no route"


def _connection(record: RequestRecord) -> str:
    if not record.connection:
        return "connection not known"
    which = "its first request" if record.nth == 1 else f"request {record.nth} on it"
    return f"connection {record.connection} of a client there, {which}"


def _why(record: RequestRecord, found: Sequence[Situation]) -> Iterator[str]:
    hidden = record.tried - len(record.attempts)
    before: Situation | None = None
    if found and found[0].waiting:
        yield from (f"  {line}" for line in lines_of(found[0]))
        found = found[1:]
    for number, one in enumerate(record.attempts):
        last = number + 1 == len(record.attempts)
        if last and hidden > 0:
            yield f"  ({hidden} other attempts)"
        then = found[number] if number < len(found) else None
        reasons = ", ".join(_reason(reason, then) for reason in one.reasons)
        what = f"  {number + 1 + (hidden if last else 0)}. {one.server}: {reasons}"
        many = f"{one.available}+" if one.available == 127 else str(one.available)
        yield f"{what}; {many} of {one.members} servers could be picked{_though(then)}{_reused(one)}"
        if then is not None:
            yield from (f"     {line}" for line in lines_of(then, before))
            before = then


def _reason(reason: str, then: Situation | None) -> str:
    """Why it was this server, in words; the value of a key or a cookie is nobody's business."""
    if reason == "sticky cookie" and then is not None and then.sticky:
        return f"the client's sticky cookie {then.sticky}"
    if reason == "last resort":
        return "last resort, as the others had failed it"
    kind, _, name = reason.removeprefix("hash of ").partition(":")
    if reason == kind or kind not in _KEYS:
        return reason
    return f"hash of {_KEYS[kind]}{name and ' '}{name}" + (f", or without one of {_KEYS['client']}" if name else "")


def _though(then: Situation | None) -> str:
    """Why servers that were not up could be picked."""
    if then is None or then.left_out_up or any(one.state in _PICKABLE for one in then.servers):
        return ""
    return ", though none was up: they are asked all the same"


def _reused(one: Attempt) -> str:
    return "; on a kept connection" if one.connect == 0 else ""


def _lost(record: RequestRecord, now: float) -> Iterator[str]:
    """Where most of the time of a slow request went."""
    found = phases(record, now)
    whole = sum(one.seconds for one in found)
    longest = max(found, key=lambda one: one.seconds)
    if whole >= _WORTH_A_LINE and longest.seconds / whole >= _LEAST_SHARE:
        yield f"  {longest.seconds / whole:.0%} of it: {longest.name}"
