"""Children as processes, whatever their role: forked, listened to, ended; and whose heartbeat is missed."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Collection, Mapping
from typing import Any

from l7.clock import monotonic
from l7.ipc.channel import Received
from l7.ipc.messages import BootFailed, Ready, Stop
from l7.master.children.fork import B, spawn
from l7.master.children.handle import ChildProcess, describe_end
from l7.master.context import MasterContext
from l7.master.part import MasterPart
from l7.master.resources.listeners import Listener
from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import BEATS
from l7.telemetry.events import named


class ChildSupervisor(MasterPart):
    """What the master does with the children of any role; a subclass adds what is particular to one."""

    def __init__(self, context: MasterContext) -> None:
        self._context = context
        self._machine = context.machine
        self._children = context.children
        self._generations = context.generations

    def note(self, handle: ChildProcess, received: Received) -> None:
        """Take a message of a child."""
        if isinstance(received.message, Ready):
            self._machine.post(v.ChildReady(handle.slot))
        elif isinstance(received.message, BootFailed):
            handle.why = received.message.why
        else:
            received.discard()

    def gone(self, handle: ChildProcess, status: int) -> None:
        """Post that a child has ended, with its wait status."""
        self._machine.post(v.ChildExited(handle.slot, describe_end(status, handle.why), status == 0))

    def _start(
        self, slot: int, boot: Callable[[socket.socket], B], run: Callable[[B], int], kept: Collection[Listener]
    ) -> bool:
        """Fork the child that the supervision has put in a slot; returns whether that could be done.

        :param boot: makes the child's spec from its end of the channel.
        :param kept: the listening sockets that stay open in the child.
        """
        context, child = self._context, self._machine.state.child(slot)
        assert child is not None, "it was put there in the step that asked for it"
        digest = self._generations.get(child.generation).generation.digest
        context.scoreboard.clear(slot)
        try:
            handle = spawn(
                lambda pid, channel: ChildProcess(
                    slot, child.index, child.generation, pid, channel, monotonic(), digest
                ),
                boot,
                run,
                lambda: context.close_in_child.close(kept),
                context.events,
                child.title,
            )
        except OSError as error:
            self._machine.post(v.ChildExited(slot, f"cannot start: {error.strerror}"))
            return False
        self._children.add(handle, self)
        words = f"{child} is started: process {handle.pid}"
        if child.is_worker:
            event = named("worker.started", words, worker=child.index + 1, pid=handle.pid)
        else:
            event = named("monitor.started", words, pid=handle.pid)
        context.events.write("debug", event, child.generation)
        return True


class HeartbeatWatch(MasterPart):
    """Posts the children whose heartbeat is missed; stops, aborts and kills children."""

    def __init__(self, context: MasterContext) -> None:
        self._context = context
        self._machine = context.machine
        self._children = context.children

    @property
    def actions(self) -> Mapping[type[v.Action], Callable[[Any], None]]:
        """How a child is ended."""
        return {v.StopChild: self._stop, v.AbortChild: self._abort, v.KillChild: self._kill}

    @property
    def due(self) -> float | None:
        """When the next heartbeat is missed."""
        return min(self._missed_at().values(), default=None)

    def look(self) -> None:
        """Post the children whose heartbeat is missed."""
        now = monotonic()
        for slot, missed_at in self._missed_at().items():
            if now >= missed_at:
                self._machine.post(v.HeartbeatLost(slot))

    def _missed_at(self) -> dict[int, float]:
        """The children that have to beat, by slot, and when the next heartbeat of each is missed."""
        state = self._machine.state
        return {
            child.slot: self._context.last_beat(child.slot, child.since) + state.plan.silence
            for child in state.children
            if child.state in BEATS
        }

    def _stop(self, action: v.StopChild) -> None:
        self._children.tell(action.slot, Stop())

    def _abort(self, action: v.AbortChild) -> None:
        self._children.signal(action.slot, signal.SIGABRT, signal.SIGCONT)

    def _kill(self, action: v.KillChild) -> None:
        self._children.signal(action.slot, signal.SIGKILL)
