"""Dumps of USR1, one at a time: asked for, answered by everybody, written; one that is asked for meanwhile follows."""

from __future__ import annotations

from collections.abc import Callable

from l7.clock import monotonic
from l7.master.census import Census, write
from l7.master.generations import Generations
from l7.master.handles import Message
from l7.master.roster import Roster
from l7.telemetry.events import Events


class Dumps:
    """Takes the wish for a dump, and writes it when all processes have answered or time is up.

    :param states: what each process is about, by its slot.
    :param lock: the lock of standard output.
    :param hurry: whether there are other things to do than to write.
    """

    def __init__(
        self, roster: Roster, generations: Generations, states: Callable[[], dict[int, str]], lock: int,
        hurry: Callable[[], bool], events: Events,
    ) -> None:  # fmt: skip
        self._roster, self._generations, self._states = roster, generations, states
        self._lock, self._hurry, self._events = lock, hurry, events
        self._census: Census | None = None
        self._again = False

    @property
    def due(self) -> float | None:
        """When to look again."""
        return None if self._census is None else self._census.deadline

    def ask(self) -> None:
        """Somebody wants a dump."""
        if self._census is not None:
            self._again = True
            return
        self._census = Census.ask(self._roster.handles.values(), monotonic())

    def note(self, pid: int, message: Message) -> None:
        """A process has answered."""
        if self._census is not None:
            self._census.note(pid, message)

    def forget(self, pid: int) -> None:
        """A process is gone."""
        if self._census is not None:
            self._census.forget(pid)

    def look(self) -> None:
        """Write what can be written by now."""
        if self._census is None or not self._census.over(monotonic()):
            return
        entries, self._census = self._census.entries(self._states()), None
        if not write(self._generations.dump([str(entry) for entry in entries]), self._lock, self._hurry):
            self._events.warning("standard output takes no more, or nobody reads it: the dump is lost")
        if self._again:
            self._again = False
            self.ask()
