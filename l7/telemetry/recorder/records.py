"""A record of the recorder as an object: what is known of one request, read from its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from l7.telemetry.recorder import layout as words

_BEGAN = (1 << words.BEGAN_BITS) - 1


@dataclass(frozen=True)
class Attempt:
    """One server that was tried. Times are seconds since the request began, or None where it did not come to that."""

    server: str
    reasons: tuple[str, ...]
    """Why it was this one: the policy or what stood in for it, then what else was the case."""
    available: int
    """Servers that could be picked, 127 for that many and more; so is ``members``, all that the route has."""
    members: int
    began: float
    connect: float | None
    """Seconds that the connection took; 0 for one that was kept."""
    sending: float | None
    """Seconds from the connection until the request was sent, 0 for less than a millisecond."""
    first_byte: float | None
    """Seconds from the request sent to the first byte of the answer."""
    failed_at: float | None
    failure: str
    """The failure's name in the table; empty where it answered, or is still asked."""


@dataclass(frozen=True)
class RequestRecord:
    """One request. Times are seconds; -1 for what was not reached."""

    request_id: str
    started: float
    """When it began, as seconds since 1970."""
    client: str
    host: str
    method: str
    target: str
    version: str
    route: str
    policy: str
    """How the route picks a server."""
    port: int
    """Of the listener; 0 for a unix socket."""
    tls: str
    """The version of the client's TLS; empty for none."""
    queue: float
    total: float
    """None yet where it is under way: negative."""
    received: int
    sent: int
    status: int
    """What the client was given; 0 as long as that is not known."""
    code: str
    failure: str
    """The failure's name in the table; empty for none."""
    reason: str
    """Why it failed, in words."""
    worker: int
    generation: int
    connection: int
    """The number of the client's connection in its worker, and of the request on that."""
    nth: int
    attempts: tuple[Attempt, ...]
    """At most the last and `MOST_ATTEMPTS` - 1 others."""
    tried: int
    """How many attempts there were."""
    died: bool
    """Whether the worker ended while it served the request."""
    under_way: bool

    @property
    def ended(self) -> float:
        """When it ended, as seconds since 1970; when it began, where that is not known."""
        return self.started + max(self.total, 0.0)

    @property
    def failed(self) -> bool:
        """Whether it is one of those that are kept apart: a 5xx, or ended otherwise than well or refused."""
        return self.died or self.status >= 500 or self.code not in ("--", "PR", "")

    @property
    def server(self) -> str:
        """The server that was asked last."""
        return self.attempts[-1].server if self.attempts else ""

    @property
    def identity(self) -> tuple[str, int, int, int, int, float]:
        """What no other record has."""
        return self.request_id, self.generation, self.worker, self.connection, self.nth, self.started

    def plain(self) -> dict[str, Any]:
        """All of it for JSON: times in seconds, what is not known is None."""
        found = dict(vars(self))
        found["attempts"] = [_dashed({**vars(one), "reasons": list(one.reasons)}) for one in self.attempts]
        found["queue"] = None if self.queue < 0 else self.queue
        found["total"] = None if self.total < 0 else self.total
        found["server"] = self.server
        return _dashed(found)


def _dashed(found: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in found.items()}


def record_of(raw: memoryview, texts_at: int | None, name: Callable[[int], str]) -> RequestRecord:
    """Read a record from a copy of its words.

    :param texts_at: the first word of its texts; None where they follow the last attempt.
    :param name: gives a text of the configuration.
    """
    sizes = raw[words.SIZES]
    kept = min(sizes & 255, words.MOST_ATTEMPTS)
    flags = sizes >> 24 & 0xFFFF
    at = words.ATTEMPTS + kept * words.ATTEMPT if texts_at is None else texts_at
    client, host, request_id, line, reason = _texts(raw, at * 8)
    method, target, version = _parts(line, cut=bool(flags & words.LINE_CUT))
    place, who, code = raw[words.PLACE], raw[words.WORKER], raw[words.CODE]
    total, queue, connection = raw[words.TOTAL], raw[words.QUEUE], raw[words.CONNECTION]
    policy = name(place >> 23 & 0x7FFFFF)
    died = bool(flags & words.DIED)
    under_way = texts_at is not None
    return RequestRecord(
        request_id=request_id, started=raw[words.STARTED] / 1e6, client=client, host=host, method=method,
        target=target, version=version, route=name(place & 0x7FFFFF), policy=policy, port=place >> 46,
        tls={3: "1.2", 4: "1.3"}.get(sizes >> 40 & 15, ""), queue=queue / 1e6 if queue >= 0 else -1.0,
        total=total / 1e6 if total >= 0 else -1.0, received=max(raw[words.RECEIVED], 0), sent=max(raw[words.SENT], 0),
        status=0 if under_way or died else who >> 48, code="" if under_way else chr(code & 255) + chr(code >> 8 & 255),
        failure="" if under_way or died else name(code >> 16), reason=reason, worker=who >> 32 & 0xFFFF,
        generation=who & 0xFFFFFFFF, connection=connection >> 23, nth=connection & 0x7FFFFF,
        attempts=tuple([_attempt(raw, number, policy, name) for number in range(kept)]),
        tried=sizes >> 8 & 0xFFFF, died=died, under_way=under_way,
    )  # fmt: skip


def _texts(raw: memoryview, at: int) -> list[str]:
    octets = raw.cast("B")
    lengths = raw[words.LENGTHS]
    sizes = (lengths & 1023, lengths >> 10 & 1023, lengths >> 20 & 1023, lengths >> 30 & 0xFFFF, lengths >> 46)
    found = []
    for size in sizes:
        found.append(bytes(octets[at : at + size]).decode("utf-8", "backslashreplace"))
        at += size
    return found


def _parts(line: str, *, cut: bool) -> tuple[str, str, str]:
    """Method, target and version of a request line."""
    method, _, rest = line.partition(" ")
    if cut:
        return method, rest + "…", ""
    target, space, version = rest.rpartition(" ")
    return (method, target, version) if space and version.startswith("HTTP/") else (method, rest, "")


def _attempt(raw: memoryview, number: int, policy: str, name: Callable[[int], str]) -> Attempt:
    at = words.ATTEMPTS + number * words.ATTEMPT
    server, times, ended = raw[at + words.A_SERVER], raw[at + words.A_TIMES], raw[at + words.A_ENDED]
    connect, first = times & 0xFFFFFFFF, times >> 32
    began, sending = raw[at + words.A_BEGAN] & _BEGAN, raw[at + words.A_BEGAN] >> words.BEGAN_BITS
    return Attempt(
        server=name(server & 0x7FFFFF),
        reasons=_reasons(server >> 32 & 255, policy),
        available=server >> 40 & 255,
        members=server >> 48 & 255,
        began=began / 1e6,
        connect=(connect - 1) / 1e6 if connect else None,
        sending=sending * words.SENT_UNIT / 1e6 if connect and sending != words.UNSENT else None,
        first_byte=(first - 1) / 1e6 if first else None,
        failed_at=((ended & 0xFFFFFFFF) - 1) / 1e6 if ended & 0xFFFFFFFF else None,
        failure=name(ended >> 32),
    )


def _reasons(why: int, policy: str) -> tuple[str, ...]:
    first = {words.STICKY: "sticky cookie", words.LAST_RESORT: "last resort"}.get(why & 15, policy or "policy")
    others = (
        (words.RETRY, "retry"),
        (words.QUEUED, "after a wait"),
        (words.BACKUP, "backup server"),
        (words.AGAIN, "new connection to the same server"),
    )
    return (first, *[words_for for flag, words_for in others if why & flag])
