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
        self._board = board
        self._since = 0.0
        self._begin: dict[Life, Tally] = {}
        self._past = Tally()
        self._old: dict[Life, Tally] = {}

    def watch(self, fleet: Fleet) -> None:
        """Begin: what was answered so far is the past."""
        self._since = monotonic()
        self._old = {}
        self._begin = {_life(worker): self._read(worker) for worker in fleet.live()}
        self._past = _sum(self._read(one) for one in fleet.live() if one.generation != fleet.plan.generation)

    def weigh(self, fleet: Fleet) -> Weighed:
        """The workers of the new generation against those that served when the watch began, gone or not."""
        now = monotonic()
        new = list(fleet.live(fleet.plan.generation))
        self._old |= {
            _life(one): self._gain(one)
            for one in fleet.workers
            if _life(one) in self._begin and one.generation != fleet.plan.generation
        }
        beats = [self._board.slot(one.slot)[BEAT] / 1e9 for one in new]
        return Weighed(
            fleet.plan.generation,
            _sum(self._gain(one) for one in new),
            _sum(self._old.values()),
            self._past,
            beats=all(beat > self._since and now - beat < FRESH for beat in beats),
            pending=sum(self._pending(one) for one in new),
        )

    def total(self, fleet: Fleet) -> Tally:
        """What the present workers have answered since they started."""
        return _sum(self._read(one) for one in fleet.live())

    def _gain(self, worker: Worker) -> Tally:
        begin, now = self._begin.get(_life(worker), Tally()), self._read(worker)
        return Tally(now.answers - begin.answers, now.faults - begin.faults)

    def _pending(self, worker: Worker) -> int:
        cells = self._board.slot(worker.slot)
        return max(0, cells[IN_FLIGHT] - cells[TUNNELS])

    def _read(self, worker: Worker) -> Tally:
        cells = self._board.slot(worker.slot)
        return Tally(cells[ANSWERS], cells[FAULTS])


def _life(worker: Worker) -> Life:
    return worker.slot, worker.started


def _sum(tallies: Iterable[Tally]) -> Tally:
    both = list(tallies)
    return Tally(sum(one.answers for one in both), sum(one.faults for one in both))
