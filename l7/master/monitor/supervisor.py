"""The monitor process as the master has it: a process, a channel, a heartbeat. What is to become of it decides
`l7.master.monitor.state`; here is only how it is done."""

from __future__ import annotations

import signal
import socket
from typing import Any

from l7.clock import monotonic
from l7.ipc.channel import Received
from l7.ipc.messages import BeginChecks, BootFailed, ControlClient, OpenAdmin, Ready, Resolved, Stop
from l7.master.children.fork import spawn
from l7.master.children.handle import ChildProcess, describe_end
from l7.master.context import MasterContext
from l7.master.control.server import ControlServer
from l7.master.control.status import memory
from l7.master.monitor import state as c
from l7.master.monitor.state import MonitorPhase, MonitorRecord, MonitorState
from l7.master.part import MasterPart
from l7.master.state.dns_results import DnsResultPublisher
from l7.master.state.generations import SLOTS
from l7.master.supervision.lifecycle import ENDS, MasterPhase
from l7.telemetry.events import named
from l7.workers.monitor.process import MonitorSpec, needs_monitor, run

PLACES = SLOTS + c.SLOTS
"""Rows of the scoreboard: first those of workers, then those of monitor processes."""
NO_INDEX = -1
"""The place of one that has none among the workers."""
DIES_WITHIN = 1.0
"""Seconds for which the master waits, at its own end, for a monitor process that was killed."""


class MonitorSupervisor(MasterPart):
    """Keeps the monitor process, as long as the generation that is wanted has work for it.

    :param control_server: answers what the admin endpoint asks the master.
    """

    def __init__(self, context: MasterContext, control_server: ControlServer, names: DnsResultPublisher) -> None:
        self._context = context
        self._machine = context.machine
        self._scoreboard = context.scoreboard
        self._children = context.children
        self._generations = context.generations
        self._events = context.events
        self._server = control_server
        self._names = names
        self._post = MonitorState()
        self._opened = 0
        """The process that has been told to open the admin endpoint."""
        self._asked = (0, False)
        """A generation, and whether it has work for a monitor process."""

    # --- what the loop calls ----------------------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When to look again."""
        beats = [self._last_beat(one) + self._post.silence for one in self._beating()]
        moments = [self._post.next_deadline(monotonic()), *beats]
        return min((moment for moment in moments if moment is not None), default=None)

    def look(self) -> None:
        """See that there is what should be."""
        state = self._machine.state
        number = state.plan.generation
        wanted = number if self._is_needed(number) and not self._is_over(state.phase, number) else None
        if wanted != self._post.wanted or state.plan.silence != self._post.silence:
            self._step(c.MonitorWanted(wanted, state.plan.silence))
        now = monotonic()
        for one in self._beating():
            if now - self._last_beat(one) >= self._post.silence:
                self._step(c.MonitorHeartbeatLost(one.slot))
        self._step(c.MonitorTick())
        self._open_admin()

    def note(self, handle: ChildProcess, received: Received) -> None:
        """Take a message of a monitor process."""
        message, descriptor = received
        if isinstance(message, ControlClient) and descriptor is not None:
            self._server.welcome(descriptor)
        elif isinstance(message, Ready):
            self._step(c.MonitorReady(handle.slot - SLOTS))
        elif isinstance(message, BootFailed):
            handle.why = message.why
        elif isinstance(message, Resolved):
            self._names.note(message)
        else:
            received.discard()

    def gone(self, handle: ChildProcess, status: int) -> None:
        """Take the end of a monitor process, with its wait status."""
        self._step(c.MonitorExited(handle.slot - SLOTS, describe_end(status, handle.why)))

    def states(self) -> dict[int, str]:
        """What each is about, by its slot on the board."""
        return {SLOTS + one.slot: one.phase.value for one in self._post.processes}

    def present(self) -> tuple[ChildProcess, MonitorRecord] | None:
        """The one that is at work, or will be in a moment."""
        one = self._post.present
        handle = None if one is None else self._children.get(SLOTS + one.slot)
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
        handles = self._children.of(self)
        for handle in handles:
            handle.channel.send(Stop())
        handles = _still_running(handles, c.STOP_WITHIN)
        for handle in handles:
            handle.signal(signal.SIGKILL)
        _still_running(handles, DIES_WITHIN)

    # --- how it is done ---------------------------------------------------------------------------------------------

    def _is_needed(self, number: int) -> bool:
        if self._asked[0] != number:
            self._asked = (number, needs_monitor(self._generations.get(number).generation.config))
        return self._asked[1]

    def _is_over(self, phase: MasterPhase, number: int) -> bool:
        """Whether nothing is left to do: only the admin endpoint still has something to say while l7 ends."""
        return phase in ENDS and (phase is MasterPhase.RETIRING or self._generations.get(number).admin is None)

    def _open_admin(self) -> None:
        """Let the one at work answer, once this is the master: before that the l7 before it does."""
        present = self.present()
        if present is None or not self._server.is_open:
            return
        handle, one = present
        if one.phase is MonitorPhase.READY and handle.pid != self._opened:
            self._opened = handle.pid
            handle.channel.send(OpenAdmin())

    def _beating(self) -> list[MonitorRecord]:
        return [one for one in self._post.processes if one.phase in (MonitorPhase.WAITING, MonitorPhase.READY)]

    def _last_beat(self, one: MonitorRecord) -> float:
        return self._context.last_beat(SLOTS + one.slot, one.started)

    def _step(self, event: c.MonitorEvent) -> None:
        self._post, actions = c.step(self._post, event, monotonic())
        for action in actions:
            self._act(action)

    def _act(self, action: c.MonitorAction) -> None:
        if isinstance(action, c.LogMonitorEvent):
            self._events.write(action.level, action.text, self._post.wanted)
        elif isinstance(action, c.SpawnMonitor):
            self._spawn(action)
        elif isinstance(action, (c.ActivateMonitor, c.StopMonitor)):
            self._children.tell(SLOTS + action.slot, BeginChecks() if isinstance(action, c.ActivateMonitor) else Stop())
        else:
            number = signal.SIGABRT if isinstance(action, c.AbortMonitor) else signal.SIGKILL
            self._children.signal(SLOTS + action.slot, number, signal.SIGCONT)

    def _spawn(self, action: c.SpawnMonitor) -> None:
        slot, number = SLOTS + action.slot, action.generation
        served = self._generations.get(number)
        admin, digest = served.admin, served.generation.digest
        self._scoreboard.clear(slot)
        try:
            handle = spawn(
                lambda pid, channel: ChildProcess(slot, NO_INDEX, number, pid, channel, monotonic(), digest),
                lambda channel: self._boot(slot, number, channel),
                run,
                lambda: self._context.close_in_child.close(() if admin is None else (admin,)),
                self._events,
                f"l7: monitor (generation {number})",
            )
        except OSError as error:
            self._step(c.MonitorExited(action.slot, f"cannot start: {error.strerror}"))
            return
        self._children.add(handle, self)
        words = f"the monitor process is started: process {handle.pid}"
        self._events.write("debug", named("monitor.started", words, pid=handle.pid), number)

    def _boot(self, slot: int, number: int, channel: socket.socket) -> MonitorSpec:
        shared_state, served = self._generations.shared_state, self._generations.get(number)
        return MonitorSpec(
            generation=served.generation,
            slot=slot,
            channel=channel,
            scoreboard=self._scoreboard,
            shared_memory=shared_state.shared_memory,
            rows=shared_state.rows.known(),
            resolved=shared_state.resolved,
            admin=None if served.admin is None or served.admin.socket.fileno() < 0 else served.admin.socket,
        )


def _still_running(handles: list[ChildProcess], within: float) -> list[ChildProcess]:
    """Those that have not ended within so many seconds."""
    until = monotonic() + within
    return [handle for handle in handles if not handle.await_end(until - monotonic())]
