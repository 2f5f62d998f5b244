"""What the next l7 has to show before this one makes way: that it does not answer worse, as of a canary."""

from __future__ import annotations

from l7.clock import monotonic
from l7.ipc.messages import AnswerCounts
from l7.master.supervision.canary import ANSWER_WITHIN, compare
from l7.master.supervision.events import AnswerTally


class SuccessorCounts:
    """Collects what the next l7 says of itself."""

    def __init__(self) -> None:
        self.wanted = False
        """Whether it wants to take over."""
        self._tally = AnswerTally()
        self._pending = 0
        self._wanted_at = 0.0

    def hear(self, counts: AnswerCounts) -> None:
        """Note what it says."""
        self._tally = AnswerTally(counts.answers, counts.faults)
        self._pending = counts.pending
        if counts.ready and not self.wanted:
            self.wanted, self._wanted_at = True, monotonic()

    def fault(self, old: AnswerTally, past: AnswerTally) -> str:
        """What is to be said against it, beside what our own workers answer meanwhile, or did before."""
        return compare("the next l7 answers", self._tally, old, past)

    @property
    def complete(self) -> bool:
        """Whether it has shown what it can: with requests but without any answer yet it is waited for."""
        late = monotonic() >= self._wanted_at + ANSWER_WITHIN
        return self.wanted and bool(self._tally.answers or not self._pending or late)

    def __str__(self) -> str:
        return str(self._tally)
