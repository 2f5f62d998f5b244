"""What the next l7 has to show before this one makes way: that it does not answer worse, as of a canary."""

from __future__ import annotations

from l7.clock import monotonic
from l7.master.handles import Message
from l7.master.trial import ANSWER_WITHIN, compare
from l7.master.vocabulary import Tally


class Proof:
    """Collects what the next l7 says of itself."""

    def __init__(self) -> None:
        self.wanted = False
        """Whether it wants to take over."""
        self._tally = Tally()
        self._pending = 0
        self._wanted_at = 0.0

    def hear(self, message: Message) -> None:
        """Note what it says."""
        self._tally = Tally(int(message.get("answers", 0)), int(message.get("faults", 0)))
        self._pending = int(message.get("pending", 0))
        if message.get("event") == "ready" and not self.wanted:
            self.wanted, self._wanted_at = True, monotonic()

    def fault(self, old: Tally, past: Tally) -> str:
        """What is to be said against it, beside what our own workers answer meanwhile, or did before."""
        return compare("the next l7 answers", self._tally, old, past)

    @property
    def complete(self) -> bool:
        """Whether it has shown what it can: with requests but without any answer yet it is waited for."""
        late = monotonic() >= self._wanted_at + ANSWER_WITHIN
        return self.wanted and bool(self._tally.answers or not self._pending or late)

    def __str__(self) -> str:
        return str(self._tally)
