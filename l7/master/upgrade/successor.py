"""Upgrade in place, seen from the l7 that comes next: boot, prove itself, take over.

Its workers serve from the same sockets beside the old ones, which lend them connections over the bridge. It tells what
they answer, and says so when all of them have been ready for ``canary-time``; the l7 before it lets go of the pid file,
and from then on this is the master. Connections that the old workers hand over come over the bridge as well. If it is
not fit, connections go back the same way. If the l7 before it is gone all at once, it takes over at once.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace

from l7 import __version__
from l7.clock import monotonic
from l7.errors import StartError
from l7.ipc.channel import Channel
from l7.ipc.messages import (
    PROTOCOL,
    Adopt,
    AnswerCounts,
    Hello,
    Message,
    Reload,
    Serving,
    Stop,
    TakeOver,
    TookOver,
    Unfit,
    Withdraw,
)
from l7.master.children.poll import Poll, PolledChannel
from l7.master.resources.inherited import InheritedState
from l7.master.resources.pidfile import PidFile
from l7.master.resources.startup import MasterResources
from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import MasterState
from l7.master.supervision.state import SupervisorState
from l7.telemetry.events import Events

TELL_EVERY = 0.25
"""Seconds between two words on what our workers answer."""


class SuccessorSide:
    """The way from a child that boots to the master; ``post`` takes events of the supervision."""

    def __init__(
        self,
        poll: Poll,
        resources: MasterResources,
        inheritance: InheritedState,
        events: Events,
        post: Callable[[v.Event], None],
    ) -> None:
        self.taken = False
        self.withdrawn = False
        """Whether it is known that this l7 is not to take over."""
        self.bridge: Channel | None = Channel(socket.socket(fileno=inheritance.bridge), events.warning)
        self._polled: PolledChannel | None = None
        self._poll = poll
        self._resources = resources
        self._parent = inheritance.parent
        self._events = events
        self._post = post
        self._proof: float | None = None
        self._tell_at: float | None = None
        self._reload = False
        self._on_taken: Callable[[], None] = _nothing
        self._on_connection: Callable[[Adopt, int], None] = _refuse

    def listen(self, on_taken: Callable[[], None], on_connection: Callable[[Adopt, int], None]) -> None:
        """Hear what the l7 before us says."""
        self._on_taken, self._on_connection = on_taken, on_connection
        if self.bridge is not None:
            self._polled = PolledChannel(self._poll, self.bridge, self._hear)
            self.bridge.send(Hello(PROTOCOL, __version__))

    def prove(self, seconds: float, workers: int) -> None:
        """All workers are ready: ask for connections, and say so when they have been for that long."""
        self._proof = monotonic() + seconds
        if seconds and self.bridge is not None:
            self._tell_at = monotonic() + TELL_EVERY
            self.bridge.send(Serving(workers))

    def remembers_reload(self) -> bool:
        """Whether a reload is to wait: it is asked for while this l7 proves itself."""
        if self.taken or self.withdrawn:
            return False
        self._reload = True
        return True

    def stop(self, *, quick: bool) -> None:
        """Let the l7 before us, which still drains, stop as well: whoever stops this one means all of it."""
        if self.taken and self.bridge is not None:
            self.bridge.send(Stop(quick))

    def see_off(self, pause: Callable[[], bool], until: float) -> None:
        """Wait for its end, which is that of the bridge."""
        while self.taken and self.bridge is not None and monotonic() < until:
            if not pause():
                self.stop(quick=True)
                return
            self.bridge.flush()
            self._hear()

    @property
    def due(self) -> float | None:
        """When to look again."""
        moments = [moment for moment in (self._proof, self._tell_at) if moment is not None]
        return min(moments, default=None)

    def look(self, state: SupervisorState, own: Callable[[], AnswerCounts]) -> None:
        """Say what our workers answer, which is what ``own`` tells, and that we are ready, when it is time."""
        now = monotonic()
        if self.bridge is None or self.taken or self.withdrawn:
            return
        if self._proof is not None and now >= self._proof:
            self._proof = None
            if why := _unfit(state):
                self.bridge.send(Unfit(why))
                self._withdraw(why)
                return
            self.bridge.send(replace(own(), ready=True))
        elif self._tell_at is not None and now >= self._tell_at:
            self.bridge.send(own())
        else:
            return
        self._tell_at = None if self._tell_at is None else now + TELL_EVERY

    def hold_back(self, full: bool) -> None:
        """Leave connections in the bridge while no more can be held."""
        if self._polled is not None:
            self._polled.pause(full)

    def release(self) -> None:
        """Close the bridge only: what a child does with what it inherited."""
        if self.bridge is not None:
            self.bridge.close()

    def _hear(self) -> None:
        if self.bridge is None:
            return
        for received in self.bridge.receive():
            message, descriptor = received
            if isinstance(message, Adopt) and descriptor is not None:
                self._on_connection(message, descriptor)
            else:
                received.discard()
                self._obey(message)
        if self.bridge.closed:
            if self._polled is not None:
                self._polled.drop()
            self.bridge.close()
            self.bridge = self._polled = None
            self._take_over()

    def _obey(self, message: Message) -> None:
        if isinstance(message, TakeOver):
            self._take_over()
        elif isinstance(message, Withdraw):
            self._withdraw(message.why)
        elif isinstance(message, Reload):
            self._post(v.ReloadRequested())

    def _withdraw(self, why: str) -> None:
        if not self.taken and not self.withdrawn:
            self.withdrawn = True
            self._post(v.TakeoverWithdrawn(why))

    def _take_over(self) -> None:
        if self.taken or self.withdrawn:
            return
        self.taken, self._proof, self._tell_at = True, None, None
        self._resources.borrowed = False
        path = self._resources.pid_path
        if path is not None:
            try:
                self._resources.pid_file = PidFile(path, predecessor=self._parent)
            except StartError as error:
                self._events.warning(f"{error}; it goes on without")
        if self.bridge is not None:
            self.bridge.send(TookOver())
        self._on_taken()
        if self._reload:
            self._post(v.ReloadRequested())


def _unfit(state: SupervisorState) -> str:
    """Why this l7 cannot take over; nothing when it can."""
    ready = len(state.proven())
    if state.phase is MasterState.SERVING and not state.strikes and ready >= state.wanted:
        return ""
    return f"{ready} of {state.wanted} workers are ready" + (", some have died" if state.strikes else "")


def _nothing() -> None:
    """Nobody waits for it yet."""


def _refuse(message: Adopt, descriptor: int) -> None:
    os.close(descriptor)
