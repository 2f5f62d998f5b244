"""Coordinates an upgrade in place, on both sides: the predecessor of this l7, and its successor."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from setproctitle import setproctitle

from l7.clock import monotonic
from l7.ipc.channel import Channel
from l7.ipc.messages import Adopt, BootFailed, Reload, shortened
from l7.master.children.signals import NAP, SignalRequest
from l7.master.connection_broker import ConnectionBroker
from l7.master.context import MasterContext
from l7.master.control.commands import ControlCommands
from l7.master.part import MasterPart
from l7.master.resources.inherited import InheritedResources
from l7.master.supervision import events as v
from l7.master.upgrade.predecessor import PredecessorSide
from l7.master.upgrade.state_file import StateFile
from l7.master.upgrade.successor import SuccessorSide
from l7.telemetry.events import named


def report_failure(inheritance: InheritedResources | None, why: str) -> None:
    """Tell the predecessor, if there is one, why this l7 cannot start."""
    if inheritance is not None:
        with socket.socket(fileno=inheritance.bridge) as bridge:
            Channel(bridge).send(BootFailed(shortened(why)))


class UpgradeCoordinator(MasterPart):
    """The predecessor and the successor of this l7; without an upgrade there is neither."""

    def __init__(
        self,
        context: MasterContext,
        broker: ConnectionBroker,
        commands: ControlCommands,
        state_file: StateFile,
        inheritance: InheritedResources | None,
    ) -> None:
        self._context = context
        self._machine = context.machine
        self._broker = broker
        self._commands = commands
        self._state_file = state_file
        self._inheritance = inheritance
        self._predecessor_side: PredecessorSide | None = None
        self._successor_side: SuccessorSide | None = None
        self._until = 0.0
        """Until when the end of the predecessor is awaited at the end."""

    @property
    def actions(self) -> Mapping[type[v.Action], Callable[[Any], None]]:
        """The steps of an upgrade."""
        return {
            v.StartSuccessor: self._execute,
            v.AbandonSuccessor: self._abandon,
            v.ForwardReload: self._pass_on,
        }

    @property
    def signals(self) -> Mapping[SignalRequest, Callable[[], None]]:
        """HUP, which waits while this l7 has not taken over."""
        return {SignalRequest.RELOAD: self._reload}

    def start(self) -> None:
        """Listen to the predecessor, if there is one, and take its state."""
        self._context.close_in_child.add(self._release)
        inheritance = self._inheritance
        if inheritance is None:
            return
        if inheritance.state_file is not None:
            self._state_file.take(inheritance.state_file)
        events = self._context.events
        bridge = Channel(socket.socket(fileno=inheritance.bridge), events.warning)
        self._successor_side = SuccessorSide(
            self._context.poll, self._context.resources, bridge, inheritance.parent, events, self._machine.post
        )
        self._successor_side.listen(self._on_taken, self._on_connection)

    def offer(self) -> bool:
        """Ask the predecessor to let this l7 take over; returns False when there is none, or that is done."""
        if self._successor_side is None or self._successor_side.taken:
            return False
        self._successor_side.offer(self._machine.state)
        return True

    def stop(self, *, quick: bool, within: float) -> None:
        """Stop a predecessor that still drains, too; ``within`` is how many seconds its end is awaited."""
        self._until = monotonic() + within
        if self._successor_side is not None:
            self._successor_side.stop(quick=quick)

    def _reload(self) -> None:
        """Reload now, or when this l7 has taken over."""
        if self._successor_side is not None and self._successor_side.remembers_reload():
            words = "reload remembered: it begins when this l7 has taken over"
            self._context.events.info(named("reload.remembered", words))
        else:
            self._machine.post(v.ReloadRequested())

    def _execute(self, action: v.StartSuccessor) -> None:
        """Start the next l7."""
        self._predecessor_side = PredecessorSide(
            self._context.poll,
            self._context.resources,
            self._on_outcome,
            self._state_file.write,
            self._context.events.warning,
        )
        self._state_file.create()
        graceful = self._machine.state.plan.graceful
        self._predecessor_side.start(self._context.generations.last, graceful, self._state_file.descriptor)

    def _abandon(self, action: v.AbandonSuccessor) -> None:
        """End the next l7."""
        self._state_file.close()
        if self._predecessor_side is not None:
            self._predecessor_side.abandon()

    def close(self) -> None:
        """Wait for predecessor and successor to end: a supervisor takes the end of this l7 for that of all."""
        if self._predecessor_side is not None:
            self._predecessor_side.await_end(self._pause)
        if self._successor_side is not None:
            self._successor_side.await_end(self._pause, self._until)

    def _pause(self) -> bool:
        """Wait a moment; returns False when there is no time for it."""
        return self._context.signal_queue.pause(NAP)

    def _pass_on(self, action: v.ForwardReload) -> None:
        """Let the l7 that has taken over reload."""
        if self._predecessor_side is not None and self._predecessor_side.bridge is not None:
            self._predecessor_side.bridge.send(Reload(action.forced))

    @property
    def pids(self) -> tuple[int, ...]:
        """The process of a next l7 that has not been reaped."""
        child = None if self._predecessor_side is None else self._predecessor_side.child
        return () if child is None else (child,)

    @property
    def due(self) -> float | None:
        """When `look` is to be called again."""
        return None if self._predecessor_side is None else self._predecessor_side.due

    def look(self) -> None:
        """Do what has become due on either side."""
        if self._predecessor_side is not None:
            self._predecessor_side.look()
        if self._successor_side is not None:
            self._successor_side.hold_back(self._broker.full)

    def _release(self) -> None:
        """Close, in a child, what only the master needs."""
        self._state_file.close()
        if self._successor_side is not None:
            self._successor_side.release()
        if self._predecessor_side is not None and self._predecessor_side.bridge is not None:
            self._predecessor_side.bridge.close()

    def _on_outcome(self, event: v.Event) -> None:
        if isinstance(event, v.SuccessorTookOver) and self._predecessor_side is not None:
            self._context.notifier.replaced(event.pid)
            self._broker.away = self._predecessor_side.bridge
            self._commands.hand_over(f"process {event.pid} has taken over; ask again")
            setproctitle(f"l7: master (replaced; {self._context.generations.instance})")
        self._state_file.close()
        self._machine.post(event)

    def _on_connection(self, message: Adopt, descriptor: int) -> None:
        self._broker.post(message, descriptor, None)

    def _on_taken(self) -> None:
        parent = 0 if self._inheritance is None else self._inheritance.parent
        self._context.events.info(named("upgrade.taken", f"has taken over from process {parent}", pid=parent))
        self._state_file.take_rest()
        self._context.resources.listeners.keep(self._context.generations.current.sockets)
        self._commands.open()
