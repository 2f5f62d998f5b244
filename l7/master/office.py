"""The control worker as the master has it: a process, a channel, a heartbeat. What is to become of it decides
`l7.master.caretaker`; here is only how it is done."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

from l7.clock import monotonic
from l7.ipc.channel import Received
from l7.ipc.messages import BeginChecks, BootFailed, ControlClient, OpenAdmin, Ready, Resolved, Stop
from l7.master import caretaker as c
from l7.master.caretaker import Phase, Post, Process
from l7.master.control import Desk
from l7.master.fleet import Fleet
from l7.master.generations import SLOTS, Generations
from l7.master.handles import Handle, describe_end
from l7.master.lifecycle import ENDS, MasterState
from l7.master.listeners import Listener
from l7.master.names import Names
from l7.master.report import memory
from l7.master.roster import Roster
from l7.master.spawning import spawn
from l7.telemetry.board import BEAT, Board
from l7.telemetry.events import Events, named
from l7.workers.controller import ControlBoot, needs_control, run

PLACES = SLOTS + c.SLOTS
"""Rows of the board: first those of workers, then those of control workers."""
NO_INDEX = -1
"""The place of one that has none among the workers."""
DIES_WITHIN = 1.0
"""Seconds for which the master waits, at its own end, for a control worker that was killed."""


class Office:
    """Keeps the control worker, as long as the generation that is wanted has work for it.

    :param desk: answers what the admin endpoint asks the master.
    :param release: closes, in a child, what is the master's only, but for some listeners.
    """

    def __init__(
        self, board: Board, roster: Roster, generations: Generations, desk: Desk,
        release: Callable[[Sequence[Listener]], None], names: Names, events: Events,
    ) -> None:  # fmt: skip
        self._board = board
        self._roster = roster
        self._generations = generations
        self._desk = desk
        self._release = release
        self._events = events
        self._post = Post()
        self._opened = 0
        """The process that has been told to open the admin endpoint."""
        self._asked = (0, False)
        """A generation, and whether it has work for a control worker."""
        self._names = names

    # --- what the loop calls ----------------------------------------------------------------------------------------

    def due(self, awake_since: float) -> float | None:
        """When to look again."""
        beats = [self._last_beat(one, awake_since) + self._post.silence for one in self._beating()]
        moments = [self._post.next_deadline(monotonic()), *beats]
        return min((moment for moment in moments if moment is not None), default=None)

    def look(self, fleet: Fleet, awake_since: float) -> None:
        """See that there is what should be."""
        number = fleet.plan.generation
        wanted = number if self._is_needed(number) and not self._is_over(fleet.phase, number) else None
        if wanted != self._post.wanted or fleet.plan.silence != self._post.silence:
            self._step(c.Want(wanted, fleet.plan.silence))
        now = monotonic()
        for one in self._beating():
            if now - self._last_beat(one, awake_since) >= self._post.silence:
                self._step(c.Silent(one.slot))
        self._step(c.Tick())
        self._open_admin()

    def owns(self, handle: Handle) -> bool:
        """Whether it is a control worker and not one of the workers."""
        return handle.index == NO_INDEX

    def note(self, handle: Handle, received: Received) -> None:
        """Hear what it says."""
        message, descriptor = received
        if isinstance(message, ControlClient) and descriptor is not None:
            self._desk.welcome(descriptor)
        elif isinstance(message, Ready):
            self._step(c.Booted(handle.slot - SLOTS))
        elif isinstance(message, BootFailed):
            handle.why = message.why
        elif isinstance(message, Resolved):
            self._names.note(message)
        else:
            received.discard()

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

    def entry(self) -> dict[str, Any] | None:
        """What `l7 status` shows of it."""
        present = self.present()
        if present is None:
            return None
        handle, one = present
        return {
            "pid": handle.pid,
            "generation": one.generation,
            "age": round(monotonic() - handle.started, 1),
            "state": one.phase.value,
            "memory": memory(handle.pid),
        }

    def close(self) -> None:
        """End them all, as the master ends; the admin endpoint answers first who has asked it."""
        handles = [handle for handle in self._roster.handles.values() if self.owns(handle)]
        for handle in handles:
            handle.channel.send(Stop())
        handles = _still_running(handles, c.STOP_WITHIN)
        for handle in handles:
            handle.signal(signal.SIGKILL)
        _still_running(handles, DIES_WITHIN)

    # --- how it is done ---------------------------------------------------------------------------------------------

    def _is_needed(self, number: int) -> bool:
        if self._asked[0] != number:
            self._asked = (number, needs_control(self._generations.get(number).generation.config))
        return self._asked[1]

    def _is_over(self, phase: MasterState, number: int) -> bool:
        """Whether nothing is left to do: only the admin endpoint still has something to say while l7 ends."""
        return phase in ENDS and (phase is MasterState.RETIRING or self._generations.get(number).admin is None)

    def _open_admin(self) -> None:
        """Let the one at work answer, once this is the master: before that the l7 before it does."""
        present = self.present()
        if present is None or not self._desk.is_open:
            return
        handle, one = present
        if one.phase is Phase.READY and handle.pid != self._opened:
            self._opened = handle.pid
            handle.channel.send(OpenAdmin())

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
            self._roster.tell(SLOTS + action.slot, BeginChecks() if isinstance(action, c.Begin) else Stop())
        else:
            number = signal.SIGABRT if isinstance(action, c.Abort) else signal.SIGKILL
            self._roster.signal(SLOTS + action.slot, number, signal.SIGCONT)

    def _spawn(self, action: c.Spawn) -> None:
        slot, number = SLOTS + action.slot, action.generation
        served = self._generations.get(number)
        admin, digest = served.admin, served.generation.digest
        self._board.clear(slot)
        try:
            handle = spawn(
                lambda pid, channel: Handle(slot, NO_INDEX, number, pid, channel, monotonic(), digest),
                lambda channel: self._boot(slot, number, channel),
                run,
                lambda: self._release(() if admin is None else (admin,)),
                self._events,
                f"l7: control (generation {number})",
            )
        except OSError as error:
            self._step(c.Gone(action.slot, f"cannot start: {error.strerror}"))
            return
        self._roster.add(handle)
        words = f"the control worker is started: process {handle.pid}"
        self._events.write("debug", named("monitor.started", words, pid=handle.pid), number)

    def _boot(self, slot: int, number: int, channel: socket.socket) -> ControlBoot:
        books, served = self._generations.books, self._generations.get(number)
        return ControlBoot(
            generation=served.generation,
            slot=slot,
            channel=channel,
            board=self._board,
            ledger=books.ledger,
            rows=books.rows.known(),
            resolved=books.resolved,
            formers=books.formers,
            admin=None if served.admin is None or served.admin.socket.fileno() < 0 else served.admin.socket,
        )


def _still_running(handles: list[Handle], within: float) -> list[Handle]:
    """Those that have not ended within so many seconds."""
    until = monotonic() + within
    return [handle for handle in handles if not handle.await_end(until - monotonic())]
