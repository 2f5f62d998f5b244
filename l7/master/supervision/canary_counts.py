"""Answers and errors of the workers of two generations since the watch began, read from the scoreboard."""

from __future__ import annotations

from collections.abc import Iterable

from l7.clock import monotonic
from l7.master.supervision.events import AnswerTally, CanaryCompared
from l7.master.supervision.state import ChildRecord, SupervisorState
from l7.sharedmem.scoreboard import ANSWERS, BEAT, FAULTS, Scoreboard

FRESH = 2.0
"""Seconds for which a heartbeat counts."""

Life = tuple[int, float]
"""A slot, and when the worker in it was started: no two workers have both."""


class CanaryCounts:
    """Compares the generation that is wanted with the one that served before."""

    def __init__(self, scoreboard: Scoreboard) -> None:
        self._scoreboard = scoreboard
        self._since = 0.0
        self._begin: dict[Life, AnswerTally] = {}
        """What each old worker had answered when the watch began."""
        self._old: dict[Life, AnswerTally] = {}

    def watch(self, old: Iterable[ChildRecord]) -> None:
        """Begin to compare: answers that these workers have given before do not count."""
        self._since = monotonic()
        self._begin = {_life(worker): self._read(worker) for worker in old}
        self._old = {}

    def weigh(self, state: SupervisorState) -> CanaryCompared:
        """The workers of the new generation against those that served when the watch began."""
        now = monotonic()
        new = list(state.live(state.plan.generation))
        beats = [self._scoreboard.slot(one.slot)[BEAT] / 1e9 for one in new]
        return CanaryCompared(
            state.plan.generation,
            _sum(map(self._read, new)),
            self._old_since(state),
            _sum(self._begin.values()),
            beats=all(beat > self._since and now - beat < FRESH for beat in beats),
        )

    def _old_since(self, state: SupervisorState) -> AnswerTally:
        """What the workers that served when the watch began have answered since, also those that have ended."""
        self._old |= {
            _life(one): self._read(one) - self._begin[_life(one)] for one in state.workers if _life(one) in self._begin
        }
        return _sum(self._old.values())

    def _read(self, worker: ChildRecord) -> AnswerTally:
        cells = self._scoreboard.slot(worker.slot)
        return AnswerTally(cells[ANSWERS], cells[FAULTS])


def _life(worker: ChildRecord) -> Life:
    return worker.slot, worker.started


def _sum(tallies: Iterable[AnswerTally]) -> AnswerTally:
    return sum(tallies, AnswerTally())
