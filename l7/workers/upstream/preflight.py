"""The look ahead of a reload: its first worker connects to servers that are new to it before it accepts anything.

A server is reached when its name is looked up and it takes a connection, with TLS where that is spoken with it; the
connection is closed again, and no request is sent. Of each backend one server is enough. What l7 had no time or no
resource to try is not held against anybody.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import gevent
from gevent.event import Event

from l7.balancing.members import Member
from l7.clock import monotonic
from l7.errors import CONNECT_TIMEOUT, NO_RESOURCES, ProxyError
from l7.workers.upstream.backend import BackendRuntime, BackendTable

AT_A_TIME = 256
"""The most connections that are tried at a time."""
MOST_NAMED = 5
"""The most servers of a backend that are named with the reason why they were not reached."""
LATE = 1.0
"""Seconds after the end in which timeouts are noted: they are looked at a few times a second."""


@dataclass(frozen=True)
class PreflightSpec:
    """The backends that a worker has to connect to before it accepts, and the seconds that this may take."""

    seconds: float
    backends: tuple[str, ...]
    """Their routes."""


class BackendPreflight:
    """The look at one backend. Servers that are to get no request (weight 0, ``l7 server``) are left out."""

    def __init__(self, backend: BackendRuntime) -> None:
        self.route = backend.route
        self.members = [member for member in backend.members if member.verdict.usable]
        self.failures: dict[Member, str] = {}
        self.reached = False
        """Whether a server takes connections, or could not be tried for want of a resource."""

    @property
    def failed(self) -> bool:
        """Whether all servers were tried, and none was reached."""
        return not self.reached and 0 < len(self.members) == len(self.failures)

    @property
    def undecided(self) -> bool:
        """Whether another server has to be tried."""
        return not self.reached and len(self.failures) < len(self.members)

    def connect(self, member: Member, seconds: float) -> None:
        """Connect to a server, and note the result."""
        try:
            member.pool.connector.dial(seconds).close()
        except ProxyError as failure:
            # A unix socket whose queue is full listens all the same.
            full = failure.kind is CONNECT_TIMEOUT and failure.errno == errno.EAGAIN
            if failure.kind is NO_RESOURCES or full:
                self.reached = True
            else:
                self.failures[member] = failure.reason
        else:
            self.reached = True

    def why(self) -> str:
        """Why none was reached, by server."""
        listed = [f"{member.label}: {self.failures[member]}" for member in self.members if member in self.failures]
        more = len(listed) - MOST_NAMED
        return ", ".join(listed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


class Preflight:
    """The look at all backends that a `PreflightSpec` names."""

    def __init__(self, spec: PreflightSpec, backends: BackendTable) -> None:
        self._seconds = spec.seconds
        self._looks = [BackendPreflight(backends[route]) for route in spec.backends]
        self._waiting = deque(_in_turn(self._looks))
        self._undecided = {look for look in self._looks if look.undecided}
        self._decided = Event()

    def run(self, leave: Event) -> list[tuple[str, str]]:
        """Connect; returns the backends of which no server was reached, each with the reason.

        :param leave: ends it when it is set: the worker is not needed any more.
        """
        until = monotonic() + self._seconds
        for _ in range(min(AT_A_TIME, len(self._waiting))):
            gevent.spawn(self._connect, until)
        if self._undecided:
            gevent.wait([self._decided, leave], self._seconds + LATE, count=1)
        return [(look.route, look.why()) for look in self._looks if look.failed]

    def _connect(self, until: float) -> None:
        while self._waiting and (left := until - monotonic()) > 0:
            look, member = self._waiting.popleft()
            if look.undecided:
                look.connect(member, left)
            if not look.undecided:
                self._undecided.discard(look)
        if not self._undecided:
            self._decided.set()


def _in_turn(looks: Iterable[BackendPreflight]) -> list[tuple[BackendPreflight, Member]]:
    """The servers to try: the first ones of all backends, then the second ones, and so on."""
    turns = [(turn, look, member) for look in looks for turn, member in enumerate(look.members)]
    return [(look, member) for _, look, member in sorted(turns, key=lambda one: one[0])]
