"""The dump of USR1: every worker is asked who it is, those that answer in time make a comment, the rest are named.

A master never waits: it asks, goes on, and writes when all have answered or time is up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from l7.clock import monotonic
from l7.master.handles import Handle, Message
from l7.telemetry.output import Output

ANSWER_WITHIN = 1.0
"""Seconds that workers have to answer."""
WRITE_WITHIN = 5.0
"""Seconds after which a reader that does not read is left without its dump."""
STDOUT = 1


@dataclass(frozen=True)
class Entry:
    """One worker in the dump; what it answered is None when it did not."""

    index: int
    pid: int
    generation: int
    state: str
    answer: Message | None

    def __str__(self) -> str:
        head = f"{self._name}: pid {self.pid}, generation {self.generation}"
        if self.answer is None:
            return f"{head}, {self.state}, no answer"
        values = self.answer
        if self.index < 0:
            return (
                f"{head}, digest {_word(values.get('digest'))}, age {_number(values.get('age')):.1f} s,"
                f" servers checked {_number(values.get('checked')):.0f},"
                f" names {_number(values.get('names')):.0f}, {self.state}"
            )
        return (
            f"{head}, digest {_word(values.get('digest'))}, age {_number(values.get('age')):.1f} s,"
            f" requests in flight {_number(values.get('in-flight')):.0f},"
            f" connections {_number(values.get('connections')):.0f}, {self.state}"
        )

    @property
    def _name(self) -> str:
        return f"worker {self.index + 1}" if self.index >= 0 else "control"


def _word(value: object) -> str:
    text = value if isinstance(value, str) else "unknown"
    return text if text.isalnum() else "unknown"


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


@dataclass
class Census:
    """One question to all workers, under way until ``deadline``."""

    deadline: float
    asked: dict[int, Handle] = field(default_factory=dict)
    answers: dict[int, Message] = field(default_factory=dict)

    @classmethod
    def ask(cls, handles: Iterable[Handle], now: float) -> Census:
        """Ask all of them."""
        census = cls(now + ANSWER_WITHIN)
        for handle in handles:
            census.asked[handle.pid] = handle
            handle.tell({"do": "dump"})
        return census

    def note(self, pid: int, message: Message) -> None:
        """Keep an answer."""
        self.answers[pid] = message

    def forget(self, pid: int) -> None:
        """Do not wait for a worker that has gone."""
        self.asked.pop(pid, None)

    def over(self, now: float) -> bool:
        """Whether nothing more is to be waited for."""
        return now >= self.deadline or self.asked.keys() <= self.answers.keys()

    def entries(self, states: dict[int, str]) -> list[Entry]:
        """The workers in order; ``states`` are by slot."""
        handles = sorted(self.asked.values(), key=lambda handle: (handle.generation, handle.index, handle.pid))
        return [
            Entry(h.index, h.pid, h.generation, states.get(h.slot, "gone"), self.answers.get(h.pid)) for h in handles
        ]


def write(text: str, lock: int, hurry: Callable[[], bool]) -> bool:
    """Write to standard output, between the lines of the workers and never within one.

    Returns False when nobody reads it in time, or nobody can, or ``hurry`` says that there are other things to do;
    never raises and never waits for longer.
    """
    content = text.encode("utf-8", "backslashreplace")
    deadline = monotonic() + WRITE_WITHIN
    try:
        written, _ = Output(STDOUT, lock).write(content, lambda: hurry() or monotonic() >= deadline)
    except OSError:
        return False
    return written == len(content)
