"""Client connections on their way from a worker that drains to one that serves.

The descriptor comes with a message of the old worker and goes on with one to a new worker; between the two it is held
here, and only while nobody can take it. Nothing is lost on the way: what no worker takes within a moment goes back to
where it came from, and while too much is held the old workers are not listened to, so that they keep what they have.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from l7.clock import monotonic
from l7.ipc.channel import Channel
from l7.ipc.messages import Adopt
from l7.master.children.handle import ChildProcess
from l7.master.children.table import ChildTable
from l7.master.part import MasterPart
from l7.sharedmem.scoreboard import ADOPTED, CONNECTIONS, Scoreboard

MOST_HELD = 64
"""Connections held at a time before the old workers are made to hold back."""
HOLD = 1.0
"""Seconds for which a connection is held before it goes back."""
RETRY = 0.02
"""Seconds between two tries to pass on what is held."""

Takers = Callable[[], list[int]]
"""The slots of the workers that may be given a connection now."""
Entrances = Callable[[int], Collection[str]]
"""The listeners in TLS of a generation, each with its rules (`l7.tls.details.TlsEntrance`)."""


def _no_entrances(generation: int) -> Collection[str]:
    """There is no listener in TLS."""
    return ()


@dataclass
class _QueuedConnection:
    message: Adopt
    descriptor: int
    origin: ChildProcess | None
    since: float


class ConnectionBroker(MasterPart):
    """Passes connections on, to one of our workers or to another l7."""

    def __init__(
        self, scoreboard: Scoreboard, children: ChildTable, takers: Takers, entrances: Entrances = _no_entrances
    ) -> None:
        self.passed = 0
        """Connections passed on since the master started."""
        self.away: Channel | None = None
        """A channel to another l7 that takes all but those in TLS."""
        self.announced: set[int] = set()
        """Processes that relay TLS, and are about to end: each connection that they relay ends with its next answer."""
        self._scoreboard = scoreboard
        self._children = children
        self._takers = takers
        self._entrances = entrances
        self._held: deque[_QueuedConnection] = deque()
        self._given: WeakKeyDictionary[ChildProcess, int] = WeakKeyDictionary()
        """Connections passed on to each worker."""

    @property
    def due(self) -> float | None:
        """When to try again to pass on the connections that are held."""
        return monotonic() + RETRY if self._held else None

    @property
    def full(self) -> bool:
        """Whether as many connections are held as may be."""
        return len(self._held) >= MOST_HELD

    def post(self, message: Adopt, descriptor: int, origin: ChildProcess | None) -> None:
        """Pass a connection on; without an ``origin`` there is no way back for it."""
        held = _QueuedConnection(message, descriptor, origin, monotonic())
        if self._held or not self._pass_on(held):
            self._held.append(held)  # in order, and no overtaking
        if self.full and origin is not None:
            self._children.mute(origin)

    def look(self) -> None:
        """Pass on the connections that are held, or give them back to the workers that sent them."""
        if not self._held:
            return
        for _ in range(len(self._held)):
            held = self._held.popleft()
            if not self._pass_on(held) and not self._give_back(held):
                self._held.append(held)
        if not self.full:
            self._children.unmute()

    def close(self) -> None:
        """Close the connections that are held: no worker is left to take them."""
        while self._held:
            os.close(self._held.popleft().descriptor)

    def entrances(self, generation: int) -> Collection[str]:
        """Of which listeners in TLS the workers of a generation go on with connections: of none in another l7."""
        return () if self.away is not None else self._entrances(generation)

    def _pass_on(self, held: _QueuedConnection) -> bool:
        message = held.message
        if message.relay in self.announced:
            message = replace(message, last=True)
        for channel, taker in self._channels(message):
            if channel.try_send(message, held.descriptor):
                os.close(held.descriptor)
                self.passed += 1
                if taker is not None:
                    self._given[taker] = self._given.get(taker, 0) + 1
                return True
        return False

    def _channels(self, message: Adopt) -> Iterator[tuple[Channel, ChildProcess | None]]:
        if self.away is not None and not message.tls:
            yield self.away, None
            return
        found = [handle for slot in self._takers() if (handle := self._children.get(slot)) is not None]
        for handle in sorted(found, key=self._load):
            if not message.tls or message.entrance in self.entrances(handle.generation):
                yield handle.channel, handle

    def _load(self, handle: ChildProcess) -> int:
        """Connections of a worker, and those that are on their way to it."""
        cells = self._scoreboard.slot(handle.slot)
        return cells[CONNECTIONS] + self._given.get(handle, 0) - cells[ADOPTED]

    def _give_back(self, held: _QueuedConnection) -> bool:
        """Give a connection back that nobody takes; one in TLS that nobody may take ends with who sent it."""
        origin = held.origin
        if origin is None or monotonic() - held.since < HOLD:
            return False
        if held.message.tls and origin.channel.broken:
            os.close(held.descriptor)
            return True
        if not origin.channel.try_send(replace(held.message, returned=True), held.descriptor):
            return False
        os.close(held.descriptor)
        return True
