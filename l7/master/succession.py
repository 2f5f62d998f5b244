"""Upgrade in place, seen from the l7 that comes next: boot, prove itself, take over.

Its workers serve from the same sockets beside the old ones. When all of them have been ready for ``canary-time`` it
says so over the bridge; the l7 before it lets go of the pid file, and from then on this is the master. Connections that
the old workers hand over come over the bridge as well. If the l7 before it is gone all at once, it takes over at once.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from l7.clock import monotonic
from l7.errors import StartError
from l7.master.fleet import Fleet
from l7.master.handles import Letter, receive, send
from l7.master.inheritance import Inheritance
from l7.master.lifecycle import MasterState
from l7.master.pidfile import PidFile
from l7.master.polling import READ, Poll
from l7.master.startup import Ground
from l7.telemetry.events import Events


class Succession:
    """The way from a child that boots to the master. ``take_over`` is called when it is."""

    def __init__(self, poll: Poll, ground: Ground, inheritance: Inheritance, events: Events) -> None:
        self.taken = False
        self.bridge: socket.socket | None = socket.socket(fileno=inheritance.bridge)
        self.bridge.setblocking(False)
        self._poll = poll
        self._ground = ground
        self._parent = inheritance.parent
        self._events = events
        self._proof: float | None = None
        self._on_taken: Callable[[], None] = _nothing
        self._on_connection: Callable[[Letter], None] = _refuse
        self._muted = False

    def listen(self, on_taken: Callable[[], None], on_connection: Callable[[Letter], None]) -> None:
        """Hear what the l7 before us says."""
        self._on_taken, self._on_connection = on_taken, on_connection
        if self.bridge is not None:
            self._poll.add(self.bridge.fileno(), self._hear)

    def prove(self, seconds: float) -> None:
        """All workers are ready: say so when they have been for that long."""
        self._proof = monotonic() + seconds

    def fail(self, why: str) -> None:
        """Tell why it is not to be."""
        if self.bridge is not None:
            send(self.bridge, {"event": "failed", "why": why})

    @property
    def due(self) -> float | None:
        """When to look again."""
        return self._proof

    def look(self, fleet: Fleet) -> str:
        """Say that we are ready, when it is time; returns why that cannot be, else nothing."""
        if self._proof is None or monotonic() < self._proof:
            return ""
        self._proof = None
        ready = len(fleet.proven())
        if fleet.phase is not MasterState.SERVING or fleet.strikes or ready < fleet.wanted:
            why = f"{ready} of {fleet.wanted} workers are ready" + (", some have died" if fleet.strikes else "")
            self.fail(why)
            return why
        if self.bridge is not None:
            send(self.bridge, {"event": "ready"})
        return ""

    def hold_back(self, full: bool) -> None:
        """Leave connections in the bridge while no more can be held."""
        if self.bridge is not None and full is not self._muted:
            self._muted = full
            self._poll.want(self.bridge.fileno(), 0 if full else READ)

    def release(self) -> None:
        """Close the bridge only: what a child does with what it inherited."""
        if self.bridge is not None:
            self.bridge.close()

    def _hear(self) -> None:
        if self.bridge is None:
            return
        try:
            for letter in receive(self.bridge):
                if letter.descriptor is not None:
                    self._on_connection(letter)
                elif letter.message.get("do") == "take-over":
                    self._take_over()
        except EOFError:
            self._poll.drop(self.bridge.fileno())
            self.bridge.close()
            self.bridge = None
            self._take_over()

    def _take_over(self) -> None:
        if self.taken:
            return
        self.taken = True
        self._ground.borrowed = False
        path = self._ground.pid_path
        if path is not None:
            try:
                self._ground.pid_file = PidFile(path, predecessor=self._parent)
            except StartError as error:
                self._events.warning(f"{error}; it goes on without")
        if self.bridge is not None:
            send(self.bridge, {"event": "taken"})
        self._on_taken()


def _nothing() -> None:
    """Nobody waits for it yet."""


def _refuse(letter: Letter) -> None:
    if letter.descriptor is not None:
        os.close(letter.descriptor)
