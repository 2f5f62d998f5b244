"""Upgrade in place, seen from the successor: boot, say so, take over.

Its workers serve from the same sockets beside the old ones. It says so when all of them are ready; the l7 before it
lets go of the pid file, and from then on this is the master. Connections that the old workers hand over come over the
bridge. Where not all of them become ready it says that, finishes what it has accepted, and ends. If the l7 before it is
gone all at once, it takes over at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from l7 import __version__
from l7.clock import monotonic
from l7.errors import StartError
from l7.ipc.channel import Channel
from l7.ipc.messages import PROTOCOL, Adopt, Hello, Message, Reload, Serving, Stop, TakeOver, TookOver, Unfit
from l7.master.children.poll import Poll, PolledChannel
from l7.master.resources.pidfile import PidFile
from l7.master.resources.startup import MasterResources
from l7.master.supervision import events as v
from l7.master.supervision.state import SupervisorState
from l7.telemetry.events import Events


class SuccessorSide:
    """The way of this l7 from a child that boots to the master.

    :param bridge: the channel to the predecessor, whose process is ``parent``.
    :param post: takes events of the supervision.
    """

    def __init__(
        self,
        poll: Poll,
        resources: MasterResources,
        bridge: Channel,
        parent: int,
        events: Events,
        post: Callable[[v.Event], None],
    ) -> None:
        self.taken = False
        self._unfit = False
        """Whether the predecessor was told that this l7 does not take over."""
        self.bridge: Channel | None = bridge
        self._polled: PolledChannel | None = None
        self._poll = poll
        self._resources = resources
        self._parent = parent
        self._events = events
        self._post = post
        self._reload = False
        self._on_taken: Callable[[], None] = _nothing
        self._on_connection: Callable[[Adopt, int], None] = _refuse

    def listen(self, on_taken: Callable[[], None], on_connection: Callable[[Adopt, int], None]) -> None:
        """Listen to the predecessor."""
        self._on_taken, self._on_connection = on_taken, on_connection
        if self.bridge is not None:
            self._polled = PolledChannel(self._poll, self.bridge, self._hear)
            self.bridge.send(Hello(PROTOCOL, __version__))

    def offer(self, state: SupervisorState) -> None:
        """The workers have booted: say that all of them are ready, or that they are not, and stop."""
        if self.bridge is None:
            return
        ready = len(state.proven())
        if ready >= state.wanted:
            self.bridge.send(Serving())
            return
        self._unfit = True
        self.bridge.send(Unfit(f"{ready} of {state.wanted} workers are ready, some have died"))
        self._post(v.GracefulStopRequested())

    def remembers_reload(self) -> bool:
        """Whether a reload is to wait: it is asked for before this l7 has taken over."""
        if self.taken:
            return False
        self._reload = True
        return True

    def stop(self, *, quick: bool) -> None:
        """Stop a predecessor that still drains, too: a stop is meant for all of l7."""
        if self.taken and self.bridge is not None:
            self.bridge.send(Stop(quick))

    def await_end(self, pause: Callable[[], bool], until: float) -> None:
        """Wait for the end of the predecessor, which is that of the bridge."""
        while self.taken and self.bridge is not None and monotonic() < until:
            if not pause():
                self.stop(quick=True)
                return
            self.bridge.flush()
            self._hear()

    def hold_back(self, full: bool) -> None:
        """Leave connections in the bridge while no more can be held."""
        if self._polled is not None:
            self._polled.pause(full)

    def release(self) -> None:
        """Close the bridge only: called in a forked child."""
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
        elif isinstance(message, Reload):
            self._post(v.ReloadRequested(message.forced))

    def _take_over(self) -> None:
        if self.taken or self._unfit:
            return
        self.taken = True
        self._resources.borrowed = False
        path = self._resources.pid_path
        if path is not None:
            try:
                self._resources.pid_file = PidFile.take(path, predecessor=self._parent)
            except StartError as error:
                self._events.warning(f"{error}; it goes on without")
        if self.bridge is not None:
            self.bridge.send(TookOver())
        self._on_taken()
        if self._reload:
            self._post(v.ReloadRequested())


def _nothing() -> None:
    """Do nothing: no command waits for it yet."""


def _refuse(message: Adopt, descriptor: int) -> None:
    os.close(descriptor)
