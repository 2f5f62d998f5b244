"""Active health checks: every server is checked every interval, once per machine; the result goes to the shared
memory.

Checks are spread over the interval and each has a greenlet of its own only while it runs, with one deadline for all of
it: a slow server delays no other check, and ten thousand servers cost no more than their connections. The rules by
which a server is up or down are `l7.balancing.health`.
"""

from __future__ import annotations

import errno
import heapq
import random
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import gevent
from gevent.event import Event

from l7 import __version__
from l7.balancing.health import HEALTHY, Fault, HealthState, HealthStatus, finding, words
from l7.clock import monotonic
from l7.config.schema import Limits
from l7.config.sections.backends import Backend, Health
from l7.config.values.addresses import Address
from l7.errors import RESPONSE_HEAD_TOO_LARGE, ProxyError
from l7.http.framing import BodyReader, response_reader
from l7.http.heads import HeadReader
from l7.http.parser import ResponseParser
from l7.sharedmem import layout
from l7.sharedmem.counters import CounterWriter
from l7.telemetry.events import Events, Named, named
from l7.tls.servers.failure_numbers import LATE, REJECTED
from l7.tls.servers.failures import ServerTlsFailure
from l7.tls.servers.names import name_without_request
from l7.workers.transport.dial import BacklogFull, Endpoint, HandshakeTimeout, OutOfResources, dial
from l7.workers.transport.stream import DeadlineSweeper, Stream, StreamLost, StreamTimeout
from l7.workers.transport.tls_client import TlsClient

JITTER = 0.1
"""Part of the interval by which a check may come earlier or later."""
RETURN = 0.25
"""Part of the interval after which a server that is down and was found well is checked again."""
FIRST_WITHIN = 0.002
"""Seconds for each server in which the first checks are spread, at most an interval."""
BATCH = 0.01
"""Seconds between two looks at what is due."""
SWEEP = 0.05
"""Seconds between two looks at the deadlines of checks under way."""
SILENT_FOR = 60.0
"""Seconds between two complaints about what the system lacks."""
LARGEST_BODY = 256 * 1024
"""So much of a body is searched for the text that it has to contain."""


class HealthWatch(Protocol):
    """Is told of each server that checks find up or down."""

    def __call__(self, row: int, *, up: bool, why: int, lasted: int) -> None:
        """``why`` is a finding; the state before ``lasted`` so many nanoseconds, 0: unknown."""


@dataclass(eq=False)
class CheckTarget:
    """One server, or one address of a name, that is checked."""

    backend: str
    server: str
    endpoint: Endpoint
    row: int
    check: Health
    host: str = ""
    """The ``Host`` of an HTTP check where the settings name none."""
    tls: TlsClient | None = None
    """What TLS with it is spoken by; None for none."""
    limits: Limits = field(default_factory=Limits)
    """What is taken of an answer: as much as of one to a request."""
    verdict: HealthStatus = field(init=False)
    request: bytes = field(init=False)
    due: float = 0.0
    dropped: bool = False
    tls_failure: str = ""
    """Why TLS with it has failed the last time, in words: with names, which the number of a finding has not."""

    def __post_init__(self) -> None:
        """Prepare what is the same for every check."""
        self.verdict = HealthStatus(self.check.rise, self.check.fall)
        self.request = request_of(self.check, self.host)

    @property
    def key(self) -> tuple[str, str, int, Endpoint]:
        """What tells it from others."""
        return self.backend, self.server, self.row, self.endpoint

    def __lt__(self, other: CheckTarget) -> bool:
        """Order by when they are due."""
        return self.due < other.due


def tls_of_checks(
    route: str, backend: Backend, server: Address, contexts: Mapping[str, ssl.SSLContext]
) -> TlsClient | None:
    """What checks of a server speak TLS by, which verifies it each time; None where they speak none."""
    if not server.tls:
        return None
    return TlsClient(contexts[route], name_without_request(route, backend, server), resumes=False)


def request_of(check: Health, host: str) -> bytes:
    """What an HTTP check sends; nothing for a TCP check."""
    if check.path is None:
        return b""
    lines = (
        f"{check.method} {check.path} HTTP/1.1",
        f"Host: {check.host or host}",
        f"User-Agent: l7/{__version__} (health check)",
        "Accept: */*",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii")


class HealthChecks:
    """All servers of this machine that are checked; made in the monitor process only, the lane's one writer."""

    def __init__(self, writer: CounterWriter, events: Events, note: HealthWatch) -> None:
        self._writer = writer
        self._events = events
        self._note = note
        self._sweeper = DeadlineSweeper(SWEEP)
        self._targets: dict[tuple[str, str, int, Endpoint], CheckTarget] = {}
        self._queue: list[CheckTarget] = []
        self._wake = Event()
        self._complain_from = 0.0

    def start(self) -> None:
        """Begin."""
        self._sweeper.start()
        gevent.spawn(self._run)

    def change(self, come: Iterable[CheckTarget], go: Iterable[CheckTarget] = ()) -> None:
        """Check other servers from now on; the state of those that come is what the shared memory says."""
        for target in go:
            gone = self._targets.pop(target.key, None)
            if gone is not None:
                gone.dropped = True
        fresh = [target for target in come if target.key not in self._targets]
        now = monotonic()
        for target in fresh:
            self._targets[target.key] = target
            self._recall(target)
            span = min(target.check.interval, FIRST_WITHIN * len(fresh))
            target.due = now + random.random() * span
            heapq.heappush(self._queue, target)
        self._wake.set()

    def __len__(self) -> int:
        return len(self._targets)

    def _recall(self, target: CheckTarget) -> None:
        """Go on from what was known of a server before this process was."""
        at = layout.place(target.row)
        state, why = self._writer.get(at + layout.HEALTH), self._writer.get(at + layout.HEALTH_WHY)
        target.verdict = HealthStatus(target.check.rise, target.check.fall, HealthState(state), why)

    def _run(self) -> None:
        while True:
            now = monotonic()
            while self._queue and self._queue[0].due <= now:
                target = heapq.heappop(self._queue)
                if not target.dropped:
                    gevent.spawn(self._check, target)
            pause = max(self._queue[0].due - monotonic(), BATCH) if self._queue else None
            self._wake.clear()
            self._wake.wait(pause)

    def _check(self, target: CheckTarget) -> None:
        """One check of one server, and the appointment for the next."""
        interval = target.check.interval
        following = target.due + interval * random.uniform(1 - JITTER, 1 + JITTER)
        try:
            found = probe(target, self._sweeper)
            if not target.dropped:
                self._take(target, found)
        finally:
            if not target.dropped:
                if target.verdict.returning:
                    following = min(following, monotonic() + interval * RETURN)
                target.due = max(following, monotonic() + interval * JITTER)
                heapq.heappush(self._queue, target)
                if self._queue[0] is target:
                    self._wake.set()

    def _take(self, target: CheckTarget, found: int | None) -> None:
        """Store the result of a check; a change of state makes all workers evaluate the server again."""
        if found is None:
            self._lack()
            return
        verdict, writer, at = target.verdict, self._writer, layout.place(target.row)
        before = verdict.state
        changed = verdict.note(found)
        writer.put(at + layout.HEALTH_WHY, verdict.why)
        if not changed:
            return
        since = writer.get(at + layout.HEALTH_SINCE)
        now = time.monotonic_ns()
        writer.put(at + layout.HEALTH_SINCE, now)
        writer.add(at + (layout.RISES if verdict.state is HealthState.UP else layout.FALLS), 1)
        writer.put(at + layout.HEALTH, verdict.state)
        writer.changed(target.row)
        lasted = now - since if before is not HealthState.UNKNOWN else 0
        self._note(target.row, up=verdict.state is HealthState.UP, why=verdict.why, lasted=lasted)
        if before is HealthState.UNKNOWN and verdict.state is HealthState.UP:
            self._events.debug(_named(target, f"{target.backend}: server {target.server} is up"))
            return
        for_so_long = f", after {lasted / 1e9:.1f} s" if before is not HealthState.UNKNOWN else ""
        text = f"{target.backend}: server {target.server} is {verdict.state.name.lower()}"
        level = "info" if verdict.state is HealthState.UP else "warning"
        self._events.write(
            level, _named(target, f"{text}: {words(verdict.why, target.check, target.tls_failure)}{for_so_long}")
        )

    def _lack(self) -> None:
        """Report that l7 lacked descriptors, ports or memory for a check: that says nothing about the server."""
        now = monotonic()
        if now >= self._complain_from:
            self._complain_from = now + SILENT_FOR
            self._events.warning("health checks are left out: no descriptors, ports or memory for their connections")


def _named(target: CheckTarget, words: str) -> Named:
    up = target.verdict.state is HealthState.UP
    return named("server.up" if up else "server.down", words, backend=target.backend, server=target.server)


# --- one check --------------------------------------------------------------------------------------------------------


def probe(target: CheckTarget, sweeper: DeadlineSweeper) -> int | None:
    """Ask a server once; returns a finding, or None when that could not even be tried."""
    until = monotonic() + target.check.timeout
    stream: Stream | None = None
    try:
        stream = dial(target.endpoint, sweeper, target.check.timeout, target.tls)
        if target.request:
            return _ask(stream, target, until)
        stream.reset()  # without a last round trip, and without a trace in the system's tables
        return HEALTHY
    except OutOfResources:
        return None
    except BacklogFull:
        return finding(Fault.UNREACHABLE, errno.EAGAIN)
    except HandshakeTimeout:
        target.tls_failure = ""
        return finding(Fault.TLS, LATE)
    except StreamTimeout:
        return finding(Fault.NO_CONNECTION if stream is None else Fault.NO_ANSWER)
    except StreamLost as lost:
        target.tls_failure = str(lost).removeprefix("TLS: ")
        return finding(Fault.TLS, REJECTED) if lost.rejected else finding(Fault.RESET)
    except ServerTlsFailure as failure:
        target.tls_failure = str(failure)
        return finding(Fault.TLS, failure.number)
    except OSError as error:
        return _refused(error.errno or 0)
    except ProxyError as failure:
        return finding(Fault.LARGE if failure.kind is RESPONSE_HEAD_TOO_LARGE else Fault.INVALID)
    finally:
        if stream is not None:
            stream.close()


def _refused(number: int) -> int:
    if number == errno.ECONNREFUSED:
        return finding(Fault.REFUSED)
    return finding(Fault.NO_CONNECTION) if number == errno.ETIMEDOUT else finding(Fault.UNREACHABLE, number)


def _ask(stream: Stream, target: CheckTarget, until: float) -> int:
    check, limits = target.check, target.limits
    stream.deadline = until
    stream.send(target.request, max(until - monotonic(), 0.001))
    reader = HeadReader(limits.response_head)
    data = b""
    while True:
        whole = reader.feed(data) if data else None
        while whole is None:
            data = stream.receive()
            if not data:
                return finding(Fault.CLOSED)
            whole = reader.feed(data)
        response = ResponseParser(limits.response_headers).parse(whole, check.method.encode("ascii"))
        data = reader.rest
        if response.status >= 200 or response.status == 101:
            break
        reader = HeadReader(limits.response_head)
    if not any(first <= response.status <= last for first, last in check.expect):
        return finding(Fault.STATUS, response.status)
    if check.body is None:
        return HEALTHY
    body = response_reader(response.length, limits.response_headers, limits.response_head)
    return HEALTHY if _contains(stream, body, data, check.body.encode()) else finding(Fault.BODY)


def _contains(stream: Stream, reader: BodyReader, data: bytes, text: bytes) -> bool:
    """Whether the body, as far as it is looked at, contains a text."""
    body = bytearray(reader.feed(data))
    while text not in body:
        if reader.done or len(body) > LARGEST_BODY:
            return False
        data = stream.receive()
        if not data:
            return False
        body += reader.feed(data)
    return True
