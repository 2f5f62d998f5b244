"""What our workers do while the next l7 proves itself: they lend it connections, and are what it is compared with."""

from __future__ import annotations

from collections.abc import Callable

from l7.ipc.channel import Channel
from l7.ipc.messages import Adopt, AnswerCounts
from l7.master.children.connection_broker import ConnectionBroker
from l7.master.children.rebalance import lend
from l7.master.children.table import ChildTable
from l7.master.supervision.canary_counts import CanaryCounts
from l7.master.supervision.events import AnswerTally
from l7.master.supervision.state import SupervisorState
from l7.sharedmem.scoreboard import Scoreboard


class UpgradeComparison:
    """The workers of one l7, as an upgrade sees them from either side."""

    def __init__(
        self,
        scoreboard: Scoreboard,
        children: ChildTable,
        relay: ConnectionBroker,
        canary_counts: CanaryCounts,
        state: Callable[[], SupervisorState],
    ) -> None:
        self._scoreboard, self._children, self._relay, self._canary_counts, self._state = (
            scoreboard,
            children,
            relay,
            canary_counts,
            state,
        )

    def begin(self, bridge: Channel, workers: int) -> None:
        """The next l7 serves, with so many workers: lend it connections over the bridge, and begin to compare."""
        state = self._state()
        self._canary_counts.watch(state.live())
        self._relay.loan = bridge
        lend(self._scoreboard, self._children, state.live(), None, workers)

    def answers(self) -> tuple[AnswerTally, AnswerTally]:
        """What our workers have answered since then, and what they had before."""
        return self._canary_counts.old(self._state()), self._canary_counts.past

    def own(self) -> AnswerCounts:
        """What our workers have answered since they started: what the l7 before us wants to know."""
        workers = list(self._state().live())
        tally = self._canary_counts.total(workers)
        return AnswerCounts(tally.answers, tally.faults, self._canary_counts.pending(workers))

    def take_back(self, message: Adopt, descriptor: int) -> None:
        """A connection comes over the bridge."""
        self._relay.post(message, descriptor, None)

    def end(self) -> None:
        """Lend nothing more."""
        self._relay.loan = None
