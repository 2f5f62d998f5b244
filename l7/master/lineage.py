"""Who came before this l7 and who comes after it: the two sides of an upgrade, tied to everything they concern."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from setproctitle import setproctitle

from l7.clock import monotonic
from l7.config.held import HeldFiles
from l7.ipc.channel import Channel
from l7.ipc.messages import BootFailed, Reload, shortened
from l7.master import bequest
from l7.master import vocabulary as v
from l7.master.company import Company
from l7.master.fleet import Fleet
from l7.master.generations import Generations
from l7.master.inheritance import Inheritance
from l7.master.inquiries import Inquiries
from l7.master.names import Names
from l7.master.notify import Notifier
from l7.master.polling import Poll
from l7.master.relay import Relay
from l7.master.startup import Ground
from l7.master.succession import Succession
from l7.master.turn import MARGIN
from l7.master.upgrade import Upgrade
from l7.telemetry.events import Events, named


def report_failure(inheritance: Inheritance | None, why: str) -> None:
    """Tell the l7 before us, if there is one, why we cannot even begin."""
    if inheritance is not None:
        with socket.socket(fileno=inheritance.bridge) as bridge:
            Channel(bridge).send(BootFailed(shortened(why)))


class Lineage:
    """Predecessor and successor of this l7; mostly there is neither.

    :param post: takes events of the supervision.
    """

    def __init__(
        self, poll: Poll, ground: Ground, generations: Generations, relay: Relay, inquiries: Inquiries,
        notifier: Notifier, events: Events, post: Callable[[v.Event], None],
        inheritance: Inheritance | None, held: HeldFiles | None, company: Company, names: Names,
    ) -> None:  # fmt: skip
        self._poll, self._ground, self._generations, self._relay = poll, ground, generations, relay
        self._inquiries, self._notifier, self._events, self._post = inquiries, notifier, events, post
        self._held, self._company, self._names = held, company, names
        self._parent = 0 if inheritance is None else inheritance.parent
        self._upgrade: Upgrade | None = None
        self._until = 0.0
        """How long the l7 before is waited for in the end."""
        self._left = -1
        """What the l7 before leaves us, or we the next one, while that is not done."""
        if inheritance is not None and inheritance.bequest:
            self._left = inheritance.bequest[0]
            bequest.take(inheritance.bequest, generations.books, generations.administration)
        self._succession = None if inheritance is None else Succession(poll, ground, inheritance, events, post)
        if self._succession is not None:
            self._succession.listen(self._on_taken, company.take_back)

    def announce(self, where: str, fleet: Fleet) -> None:
        """The first workers are ready: this is the master now, or will be when it is proven."""
        if self._succession is not None and not self._succession.taken:
            self._succession.prove(fleet.plan.canary, fleet.wanted)
            return
        self._inquiries.desk.open()
        self._notifier.ready(f"listening on {where}")

    def remembers_reload(self) -> bool:
        """Whether a reload has to wait until this l7 has taken over: then it is remembered."""
        if self._succession is None or not self._succession.remembers_reload():
            return False
        self._events.info(named("reload.remembered", "reload remembered: it begins when this l7 has taken over"))
        return True

    def execute(self, fleet: Fleet) -> None:
        """Start the next l7."""
        self._upgrade = Upgrade(
            self._poll, self._ground, self._on_outcome, self._company, self._leave, self._events.warning
        )
        held = {} if self._held is None else self._held.descriptors()
        self._let_go()
        self._left = bequest.create()
        self._leave()
        ledgers = [one.ledger.descriptor for one in self._generations.books.ledgers]
        self._upgrade.start(self._generations.last, fleet.plan.graceful, held, (self._left, *ledgers))

    def abandon(self, *, stop: bool) -> None:
        """Give the next l7 up."""
        self._let_go()
        if self._upgrade is not None:
            self._upgrade.abandon(quick=stop)

    def stop(self, *, quick: bool, within: float) -> None:
        """This l7 stops: so does one before it that still drains."""
        self._until = monotonic() + MARGIN + (0.0 if quick else within)
        if self._succession is not None:
            self._succession.stop(quick=quick)

    def see_off(self, pause: Callable[[], bool]) -> None:
        """Wait for the others to end, each in its time: a supervisor takes our end for that of all.

        ``pause`` waits a moment, and returns False when there is no time for it.
        """
        if self._upgrade is not None:
            self._upgrade.see_off(pause)
        if self._succession is not None:
            self._succession.see_off(pause, self._until)

    def pass_on(self) -> None:
        """Let the l7 that has taken over reload."""
        if self._upgrade is not None and self._upgrade.bridge is not None:
            self._upgrade.bridge.send(Reload())

    def give_back(self) -> None:
        """Let the connections of our workers go to the l7 before us."""
        if self._succession is not None:
            self._relay.away = self._succession.bridge

    @property
    def children(self) -> tuple[int, ...]:
        """The process of a next l7 that has not been reaped."""
        return () if self._upgrade is None or self._upgrade.child is None else (self._upgrade.child,)

    @property
    def due(self) -> float | None:
        """When to look again."""
        moments = [one.due for one in (self._upgrade, self._succession, self._notifier) if one is not None]
        return min((moment for moment in moments if moment is not None), default=None)

    def look(self, fleet: Fleet) -> None:
        """See what has become due on either side."""
        self._notifier.look()
        if self._upgrade is not None:
            self._upgrade.look()
        if self._succession is not None:
            self._succession.hold_back(self._relay.full)
            self._succession.look(fleet, self._company.own)

    def release(self) -> None:
        """Close what only the master needs: what a child does with what it inherited."""
        self._let_go()
        if self._succession is not None:
            self._succession.release()
        if self._upgrade is not None and self._upgrade.bridge is not None:
            self._upgrade.bridge.close()

    def _leave(self) -> None:
        """Write down what we know: it is read when the next l7 is started, and when it takes over."""
        bequest.write(self._left, self._generations.books, self._generations.administration)

    def _let_go(self) -> None:
        if self._left >= 0:
            os.close(self._left)
            self._left = -1

    def _on_outcome(self, event: v.Event) -> None:
        if isinstance(event, v.Replaced) and self._upgrade is not None:
            self._notifier.replaced(event.pid)
            self._relay.away = self._upgrade.bridge
            self._inquiries.close(f"process {event.pid} has taken over; ask again", again=True)
            setproctitle("l7: master (replaced)")
        self._let_go()
        self._post(event)

    def _on_taken(self) -> None:
        self._events.info(named("upgrade.taken", f"has taken over from process {self._parent}", pid=self._parent))
        if self._left >= 0:
            left, self._left = self._left, -1
            bequest.take_rest(left, self._names)
        self._ground.listeners.keep(self._generations.current.sockets)
        self._inquiries.desk.open()
