"""What our workers do while the next l7 proves itself: they lend it connections, and are what it is compared with."""

from __future__ import annotations

from collections.abc import Callable

from l7.ipc.channel import Channel
from l7.ipc.messages import Adopt, AnswerCounts
from l7.master.fleet import Fleet
from l7.master.lending import lend
from l7.master.relay import Relay
from l7.master.roster import Roster
from l7.master.scales import Scales
from l7.master.vocabulary import Tally
from l7.telemetry.board import Board


class Company:
    """The workers of one l7, as an upgrade sees them from either side."""

    def __init__(
        self, board: Board, roster: Roster, relay: Relay, scales: Scales, fleet: Callable[[], Fleet]
    ) -> None:  # fmt: skip
        self._board, self._roster, self._relay, self._scales, self._fleet = board, roster, relay, scales, fleet

    def begin(self, bridge: Channel, workers: int) -> None:
        """The next l7 serves, with so many workers: lend it connections over the bridge, and begin to compare."""
        fleet = self._fleet()
        self._scales.watch(fleet.live())
        self._relay.loan = bridge
        lend(self._board, self._roster, fleet.live(), None, workers)

    def answers(self) -> tuple[Tally, Tally]:
        """What our workers have answered since then, and what they had before."""
        return self._scales.old(self._fleet()), self._scales.past

    def own(self) -> AnswerCounts:
        """What our workers have answered since they started: what the l7 before us wants to know."""
        workers = list(self._fleet().live())
        tally = self._scales.total(workers)
        return AnswerCounts(tally.answers, tally.faults, self._scales.pending(workers))

    def take_back(self, message: Adopt, descriptor: int) -> None:
        """A connection comes over the bridge."""
        self._relay.post(message, descriptor, None)

    def end(self) -> None:
        """Lend nothing more."""
        self._relay.loan = None
