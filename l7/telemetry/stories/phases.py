"""Where the time of a recorded request went: its phases, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from l7.telemetry.recorder.records import Attempt, RequestRecord

READ, OWN, CLIENT = "read", "own", "client"
QUEUE, CONNECT, SEND, SERVER, ANSWER = "wait", "connect", "send", "server", "answer"
"""What kind of a phase it is: whom l7 waited for, or what it did."""
DIED = "when the worker ended"
_STILL = "still there"
_WAITED = "waited for a server"
_TUNNEL = "both ways, as a tunnel"
_SWITCHED = 101


@dataclass(frozen=True)
class Phase:
    """A part of the time of a request: seconds since it began, what kind it is, and what happened in it."""

    name: str
    begin: float
    end: float
    kind: str
    note: str = ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin


def phases(record: RequestRecord, now: float = 0.0) -> list[Phase]:
    """The parts of a request's time, in their order.

    :param now: seconds since 1970, for one that is under way.
    """
    end = record.total if record.total >= 0 else max(now - record.started, 0.0) if record.under_way else 0.0
    end = max([end, *[one.failed_at or one.began for one in record.attempts]])
    found = list(_before(record, end))
    for number, one in enumerate(record.attempts):
        last = number + 1 == len(record.attempts)
        stop = end if last else record.attempts[number + 1].began
        done = stop if one.failed_at is None else min(one.failed_at, stop)
        found += _attempt(record, one, done, last=last)
        # An attempt is followed at once by the next one, unless there was no server for that.
        if done < stop and (record.queue > 0 or record.under_way):
            found.append(Phase(_WAITED, done, stop, QUEUE))
        elif done < stop:
            found.append(Phase(_after(record, one) if last else "the next one was picked", done, stop, OWN))
    return [one for one in found if one.end > one.begin or one.note]


def longest(record: RequestRecord) -> Phase | None:
    """The phase of a request that has ended that took longest; None where no time is known of it."""
    return max(phases(record), key=lambda one: one.seconds, default=None)


def _before(record: RequestRecord, end: float) -> Iterator[Phase]:
    """What came before the first server was asked."""
    first = record.attempts[0].began if record.attempts else end
    waited = min(max(record.queue - _between(record, end), 0.0), first)
    if first > waited:
        if record.attempts or waited:
            yield Phase("read, checked, routed", 0.0, first - waited, READ)
        else:
            yield _without_server(record, first)
    if waited > 0:
        yield Phase(_WAITED, first - waited, first, QUEUE)


def _without_server(record: RequestRecord, end: float) -> Phase:
    """All of the time of a request that came to no server, and waited for none."""
    if record.under_way:
        return Phase("no server was asked yet", 0.0, end, READ)
    if record.code in ("CR", "cR"):
        return Phase("wait for the client's head", 0.0, end, CLIENT, record.failure)
    if record.code in ("CD", "cD"):
        return Phase("wait for the client's body", 0.0, end, CLIENT, record.failure)
    return Phase("answered by l7", 0.0, end, OWN)


def _after(record: RequestRecord, last: Attempt) -> str:
    """What l7 did when the last attempt had failed: no answer can follow one that has begun, nor reach who has left."""
    return "closed by l7" if last.first_byte is not None or record.status == 499 else "answered by l7"


def _between(record: RequestRecord, end: float) -> float:
    """Seconds between and after the attempts of a request."""
    began = [*[one.began for one in record.attempts[1:]], end]
    return sum(
        max(after - one.failed_at, 0.0)
        for one, after in zip(record.attempts, began, strict=False)
        if one.failed_at is not None
    )


def _attempt(record: RequestRecord, one: Attempt, end: float, *, last: bool) -> Iterator[Phase]:
    """The phases of an attempt, which was over at ``end``."""
    left = _STILL if record.under_way else DIED if record.died else ""
    note = one.failure or (left if last else "")
    if one.connect is None:
        if one.failure or not (last and left):
            yield Phase(f"connect to {one.server}", one.began, end, CONNECT, note)
        else:
            yield Phase(f"at {one.server}", one.began, end, SERVER, note)
        return
    connected = min(one.began + one.connect, end)
    if one.connect:
        yield Phase(f"connect to {one.server}", one.began, connected, CONNECT)
    if one.sending is None:
        yield Phase(f"send to {one.server}", connected, end, SEND, note)
        return
    sent = min(connected + one.sending, end)
    yield Phase(f"send to {one.server}", connected, sent, SEND)
    if one.first_byte is None:
        yield Phase(f"wait for {one.server}", sent, end, SERVER, note)
        return
    answered = min(sent + one.first_byte, end)
    yield Phase(f"wait for {one.server}", sent, answered, SERVER)
    if last:
        name = _TUNNEL if record.status == _SWITCHED else "answer to the client"
        yield Phase(name, answered, end, ANSWER, note)
