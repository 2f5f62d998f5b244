"""Who came before this l7 and who comes after it: the two sides of an upgrade, tied to everything they concern."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from setproctitle import setproctitle

from l7.clock import monotonic
from l7.config.held import HeldFiles
from l7.ipc.channel import Channel
from l7.ipc.messages import Adopt, BootFailed, Reload, shortened
from l7.master.children.connection_broker import ConnectionBroker
from l7.master.children.poll import Poll
from l7.master.control.commands import ControlCommands
from l7.master.resources.inherited import InheritedState
from l7.master.resources.startup import MasterResources
from l7.master.resources.systemd import SystemdNotifier
from l7.master.state.dns_results import DnsResults
from l7.master.state.generations import Generations
from l7.master.supervision import events as v
from l7.master.supervision.state import SupervisorState
from l7.master.supervision.transition import MARGIN
from l7.master.upgrade import state_file
from l7.master.upgrade.predecessor import PredecessorSide
from l7.master.upgrade.successor import SuccessorSide
from l7.telemetry.events import Events, named


def report_failure(inheritance: InheritedState | None, why: str) -> None:
    """Tell the l7 before us, if there is one, why we cannot even begin."""
    if inheritance is not None:
        with socket.socket(fileno=inheritance.bridge) as bridge:
            Channel(bridge).send(BootFailed(shortened(why)))


class UpgradeCoordinator:
    """Predecessor and successor of this l7; mostly there is neither.

    :param post: takes events of the supervision.
    """

    def __init__(
        self,
        poll: Poll,
        resources: MasterResources,
        generations: Generations,
        relay: ConnectionBroker,
        commands: ControlCommands,
        notifier: SystemdNotifier,
        events: Events,
        post: Callable[[v.Event], None],
        inheritance: InheritedState | None,
        held: HeldFiles | None,
        names: DnsResults,
    ) -> None:
        self._poll, self._resources, self._generations, self._relay = poll, resources, generations, relay
        self._commands, self._notifier, self._events, self._post = commands, notifier, events, post
        self._held, self._names = held, names
        self._parent = 0 if inheritance is None else inheritance.parent
        self._upgrade: PredecessorSide | None = None
        self._until = 0.0
        """How long the l7 before is waited for in the end."""
        self._left = -1
        """What the l7 before leaves us, or we the next one, while that is not done."""
        if inheritance is not None and inheritance.state_file is not None:
            self._left = inheritance.state_file
            state_file.take(self._left, generations.shared_state, generations.administration)
        self._successor = None if inheritance is None else SuccessorSide(poll, resources, inheritance, events, post)
        if self._successor is not None:
            self._successor.listen(self._on_taken, self._on_connection)

    def announce(self, where: str, state: SupervisorState) -> None:
        """The first workers are ready: this is the master now, or asks to be."""
        if self._successor is not None and not self._successor.taken:
            self._successor.offer(state)
            return
        self._commands.control_server.open()
        self._notifier.ready(f"listening on {where}")

    def remembers_reload(self) -> bool:
        """Whether a reload has to wait until this l7 has taken over: then it is remembered."""
        if self._successor is None or not self._successor.remembers_reload():
            return False
        self._events.info(named("reload.remembered", "reload remembered: it begins when this l7 has taken over"))
        return True

    def execute(self, state: SupervisorState) -> None:
        """Start the next l7."""
        self._upgrade = PredecessorSide(
            self._poll, self._resources, self._on_outcome, self._leave, self._events.warning
        )
        held = {} if self._held is None else self._held.descriptors()
        self._let_go()
        self._left = state_file.create()
        self._leave()
        self._upgrade.start(self._generations.last, state.plan.graceful, held, self._left)

    def abandon(self) -> None:
        """End the next l7."""
        self._let_go()
        if self._upgrade is not None:
            self._upgrade.abandon()

    def stop(self, *, quick: bool, within: float) -> None:
        """This l7 stops: so does one before it that still drains."""
        self._until = monotonic() + MARGIN + (0.0 if quick else within)
        if self._successor is not None:
            self._successor.stop(quick=quick)

    def see_off(self, pause: Callable[[], bool]) -> None:
        """Wait for the others to end, each in its time: a supervisor takes our end for that of all.

        ``pause`` waits a moment, and returns False when there is no time for it.
        """
        if self._upgrade is not None:
            self._upgrade.see_off(pause)
        if self._successor is not None:
            self._successor.see_off(pause, self._until)

    def pass_on(self) -> None:
        """Let the l7 that has taken over reload."""
        if self._upgrade is not None and self._upgrade.bridge is not None:
            self._upgrade.bridge.send(Reload())

    @property
    def children(self) -> tuple[int, ...]:
        """The process of a next l7 that has not been reaped."""
        return () if self._upgrade is None or self._upgrade.child is None else (self._upgrade.child,)

    @property
    def due(self) -> float | None:
        """When to look again."""
        moments = [one.due for one in (self._upgrade, self._notifier) if one is not None]
        return min((moment for moment in moments if moment is not None), default=None)

    def look(self) -> None:
        """See what has become due on either side."""
        self._notifier.look()
        if self._upgrade is not None:
            self._upgrade.look()
        if self._successor is not None:
            self._successor.hold_back(self._relay.full)

    def release(self) -> None:
        """Close what only the master needs: what a child does with what it inherited."""
        self._let_go()
        if self._successor is not None:
            self._successor.release()
        if self._upgrade is not None and self._upgrade.bridge is not None:
            self._upgrade.bridge.close()

    def _leave(self) -> None:
        """Write down what we know: it is read when the next l7 is started, and when it takes over."""
        state_file.write(self._left, self._generations.shared_state, self._generations.administration)

    def _let_go(self) -> None:
        if self._left >= 0:
            os.close(self._left)
            self._left = -1

    def _on_outcome(self, event: v.Event) -> None:
        if isinstance(event, v.SuccessorTookOver) and self._upgrade is not None:
            self._notifier.replaced(event.pid)
            self._relay.away = self._upgrade.bridge
            self._commands.close(f"process {event.pid} has taken over; ask again", again=True)
            setproctitle("l7: master (replaced)")
        self._let_go()
        self._post(event)

    def _on_connection(self, message: Adopt, descriptor: int) -> None:
        self._relay.post(message, descriptor, None)

    def _on_taken(self) -> None:
        self._events.info(named("upgrade.taken", f"has taken over from process {self._parent}", pid=self._parent))
        if self._left >= 0:
            left, self._left = self._left, -1
            state_file.take_rest(left, self._names)
        self._resources.listeners.keep(self._generations.current.sockets)
        self._commands.control_server.open()
