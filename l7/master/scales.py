"""The scales: what the workers of two generations have answered since the watch began, read from the board."""

from __future__ import annotations

from collections.abc import Iterable

from l7.clock import monotonic
from l7.master.fleet import Fleet, Worker
from l7.master.vocabulary import Tally, Weighed
from l7.telemetry.board import ANSWERS, BEAT, FAULTS, IN_FLIGHT, TUNNELS, Board

FRESH = 2.0
"""Seconds for which a heartbeat counts."""

Life = tuple[int, float]
"""One worker among all that ever had its slot."""


class Scales:
    """Compares the generation that is wanted with the one that served before."""

    def __init__(self, board: Board) -> None:
        self.past = Tally()
        """What the old workers had answered when the watch began."""
        self._board = board
        self._since = 0.0
        self._begin: dict[Life, Tally] = {}
        self._old: dict[Life, Tally] = {}

    def watch(self, old: Iterable[Worker]) -> None:
        """Begin: what these workers have answered so far is the past."""
        self._since = monotonic()
        self._begin = {_life(worker): self._read(worker) for worker in old}
        self._old = {}
        self.past = _sum(self._begin.values())

    def weigh(self, fleet: Fleet) -> Weighed:
        """The workers of the new generation against those that served when the watch began."""
        now = monotonic()
        new = list(fleet.live(fleet.plan.generation))
        beats = [self._board.slot(one.slot)[BEAT] / 1e9 for one in new]
        return Weighed(
            fleet.plan.generation,
            self.total(new),
            self.old(fleet),
            self.past,
            beats=all(beat > self._since and now - beat < FRESH for beat in beats),
            pending=self.pending(new),
        )

    def old(self, fleet: Fleet) -> Tally:
        """What those who served when the watch began have answered since, also those that are gone by now."""
        self._old |= {
            _life(one): self._read(one) - self._begin[_life(one)] for one in fleet.workers if _life(one) in self._begin
        }
        return _sum(self._old.values())

    def total(self, workers: Iterable[Worker]) -> Tally:
        """What workers have answered since they started."""
        return _sum(map(self._read, workers))

    def pending(self, workers: Iterable[Worker]) -> int:
        """Requests that workers have not answered yet; a tunnel is none."""
        return sum(map(self._pending, workers))

    def _pending(self, worker: Worker) -> int:
        cells = self._board.slot(worker.slot)
        return max(0, cells[IN_FLIGHT] - cells[TUNNELS])

    def _read(self, worker: Worker) -> Tally:
        cells = self._board.slot(worker.slot)
        return Tally(cells[ANSWERS], cells[FAULTS])


def _life(worker: Worker) -> Life:
    return worker.slot, worker.started


def _sum(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())
