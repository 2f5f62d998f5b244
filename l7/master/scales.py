"""The scales: what the canary and the old workers have answered since the watch began, read from the board."""

from __future__ import annotations

from l7.clock import monotonic
from l7.master.fleet import Fleet
from l7.master.vocabulary import Tally, Weighed
from l7.telemetry.board import ANSWERS, BEAT, FAULTS, Board

FRESH = 2.0
"""Seconds for which a heartbeat counts."""


class Scales:
    """Compares one worker with those of the generation before it."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._begin: dict[int, Tally] = {}
        self._since = 0.0

    def watch(self, fleet: Fleet) -> None:
        """Begin: what was answered so far does not count."""
        self._since = monotonic()
        self._begin = {worker.slot: self._read(worker.slot) for worker in fleet.live()}

    def weigh(self, slot: int, fleet: Fleet) -> Weighed:
        """The canary in ``slot`` against all that serve another generation."""
        now = monotonic()
        beat = self._board.slot(slot)[BEAT] / 1e9
        old = [self._gain(worker.slot) for worker in fleet.live() if worker.generation != fleet.plan.generation]
        return Weighed(
            slot,
            self._gain(slot),
            Tally(sum(one.answers for one in old), sum(one.faults for one in old)),
            beats=beat > self._since and now - beat < FRESH,
        )

    def _gain(self, slot: int) -> Tally:
        begin, now = self._begin.get(slot, Tally()), self._read(slot)
        # A slot that was given to another worker meanwhile began anew.
        return Tally(max(0, now.answers - begin.answers), max(0, now.faults - begin.faults))

    def _read(self, slot: int) -> Tally:
        cells = self._board.slot(slot)
        return Tally(cells[ANSWERS], cells[FAULTS])
