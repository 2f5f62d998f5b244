"""The control worker as the master has it: a process, a channel, a heartbeat. What is to become of it decides
`l7.master.caretaker`; here is only how it is done."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable

from l7.clock import monotonic
from l7.master import caretaker as c
from l7.master.caretaker import Phase, Post, Process
from l7.master.fleet import Fleet
from l7.master.generations import SLOTS, Generations
from l7.master.handles import Handle, Letter, describe_end
from l7.master.lifecycle import ENDS
from l7.master.names import Names
from l7.master.roster import Roster
from l7.master.spawning import spawn
from l7.telemetry.board import BEAT, Board
from l7.telemetry.events import Events
from l7.workers.controller import ControlBoot, needs_control, run

PLACES = SLOTS + c.SLOTS
"""Rows of the board: first those of workers, then those of control workers."""
NO_INDEX = -1
"""The place of one that has none among the workers."""
DIES_WITHIN = 1.0
"""Seconds for which the master waits, at its own end, for a control worker that was killed."""


class Office:
    """Keeps the control worker, as long as the generation that is wanted has work for it.

    :param release: closes, in a child, what is the master's only.
    """

    def __init__(
        self, board: Board, roster: Roster, generations: Generations, release: Callable[[], None], events: Events
    ) -> None:
        self._board = board
        self._roster = roster
        self._generations = generations
        self._release = release
        self._events = events
        self._post = Post()
        self._asked = (0, False)
        """A generation, and whether it has work for a control worker."""
        self.names = Names(generations.books, roster, events)

    # --- what the loop calls ----------------------------------------------------------------------------------------

    def due(self, awake_since: float) -> float | None:
        """When to look again."""
        beats = [self._last_beat(one, awake_since) + self._post.silence for one in self._beating()]
        moments = [self._post.next_deadline(monotonic()), self.names.due, *beats]
        return min((moment for moment in moments if moment is not None), default=None)

    def look(self, fleet: Fleet, awake_since: float) -> None:
        """See that there is what should be."""
        wanted = None if fleet.phase in ENDS or not self._is_needed(fleet.plan.generation) else fleet.plan.generation
        if wanted != self._post.wanted or fleet.plan.silence != self._post.silence:
            self._step(c.Want(wanted, fleet.plan.silence))
        now = monotonic()
        for one in self._beating():
            if now - self._last_beat(one, awake_since) >= self._post.silence:
                self._step(c.Silent(one.slot))
        self._step(c.Tick())
        self.names.look()

    def owns(self, handle: Handle) -> bool:
        """Whether it is a control worker and not one of the workers."""
        return handle.index == NO_INDEX

    def note(self, handle: Handle, letter: Letter) -> None:
        """Hear what it says."""
        event = letter.message.get("event")
        if event == "ready":
            self._step(c.Booted(handle.slot - SLOTS))
        elif event == "failed":
            handle.why = str(letter.message.get("why", ""))
        elif event == "resolved":
            self.names.note(letter.message)

    def gone(self, handle: Handle, status: int) -> None:
        """One has ended."""
        self._step(c.Gone(handle.slot - SLOTS, describe_end(status, handle.why)))

    def states(self) -> dict[int, str]:
        """What each is about, by its slot on the board."""
        return {SLOTS + one.slot: one.phase.value for one in self._post.processes}

    def present(self) -> tuple[Handle, Process] | None:
        """The one that is at work, or will be in a moment."""
        one = self._post.present
        handle = None if one is None else self._roster.get(SLOTS + one.slot)
        return None if one is None or handle is None else (handle, one)

    def close(self) -> None:
        """End them all: the master ends."""
        handles = [handle for handle in self._roster.handles.values() if self.owns(handle)]
        for handle in handles:
            handle.signal(signal.SIGKILL)
        until = monotonic() + DIES_WITHIN
        for handle in handles:
            handle.await_end(until - monotonic())

    # --- how it is done ---------------------------------------------------------------------------------------------

    def _is_needed(self, number: int) -> bool:
        if self._asked[0] != number:
            self._asked = (number, needs_control(self._generations.get(number).generation.config))
        return self._asked[1]

    def _beating(self) -> list[Process]:
        return [one for one in self._post.processes if one.phase in (Phase.WAITING, Phase.READY)]

    def _last_beat(self, one: Process, awake_since: float) -> float:
        return max(self._board.slot(SLOTS + one.slot)[BEAT] / 1e9, one.started, awake_since)

    def _step(self, event: c.Event) -> None:
        self._post, actions = c.step(self._post, event, monotonic())
        for action in actions:
            self._act(action)

    def _act(self, action: c.Action) -> None:
        if isinstance(action, c.Log):
            self._events.write(action.level, action.text, self._post.wanted)
        elif isinstance(action, c.Spawn):
            self._spawn(action)
        elif isinstance(action, (c.Begin, c.Stop)):
            wish = "begin" if isinstance(action, c.Begin) else "stop"
            self._roster.tell(SLOTS + action.slot, {"do": wish})
        else:
            number = signal.SIGABRT if isinstance(action, c.Abort) else signal.SIGKILL
            self._roster.signal(SLOTS + action.slot, number, signal.SIGCONT)

    def _spawn(self, action: c.Spawn) -> None:
        slot, number = SLOTS + action.slot, action.generation
        self._board.clear(slot)
        try:
            handle = spawn(
                lambda pid, channel: Handle(slot, NO_INDEX, number, pid, channel, started=monotonic()),
                lambda channel: self._boot(slot, number, channel),
                run,
                self._release,
                self._events,
                f"l7: control (generation {number})",
            )
        except OSError as error:
            self._step(c.Gone(action.slot, f"cannot start: {error.strerror}"))
            return
        self._roster.add(handle)

    def _boot(self, slot: int, number: int, channel: socket.socket) -> ControlBoot:
        books = self._generations.books
        return ControlBoot(
            generation=self._generations.get(number).generation,
            slot=slot,
            channel=channel,
            board=self._board,
            ledger=books.ledger,
            rows=books.rows.taken(),
            resolved=books.resolved,
        )
