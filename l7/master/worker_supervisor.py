"""The workers as processes: forked, told what to do, listened to, and missed when their heartbeat stops."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from l7.clock import monotonic
from l7.ipc.channel import Received
from l7.ipc.messages import (
    Adopt,
    BeginAccepting,
    BootFailed,
    Drain,
    Drained,
    Message,
    PreflightDone,
    Ready,
    Stop,
    Unreachable,
)
from l7.master.children.fork import Run, spawn, title
from l7.master.children.handle import ChildProcess, describe_end
from l7.master.connection_broker import ConnectionBroker
from l7.master.context import MasterContext
from l7.master.part import MasterPart
from l7.master.state.gauges import MasterGaugeWriter
from l7.master.state.generations import BoundGeneration
from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import BEATS
from l7.master.supervision.state import WorkerRecord
from l7.telemetry.events import named
from l7.workers.process import WorkerSpec

REPORTS: dict[type[Message], Callable[[int], v.Event]] = {
    PreflightDone: v.PreflightFinished,
    Ready: v.WorkerReady,
    Drained: v.DrainAcknowledged,
}
"""What a worker says of itself, and the event that it is, by slot."""


class WorkerSupervisor(MasterPart):
    """Does with worker processes what the supervision has decided, and posts what they do.

    :param run: what a worker runs.
    """

    def __init__(self, context: MasterContext, broker: ConnectionBroker, gauges: MasterGaugeWriter, run: Run) -> None:
        self._context = context
        self._machine = context.machine
        self._children = context.children
        self._broker = broker
        self._gauges = gauges
        self._run = run

    @property
    def actions(self) -> Mapping[type[v.Action], Callable[[Any], None]]:
        """All that a worker is started, told or ended by."""
        return {
            v.SpawnWorker: self._spawn,
            v.AcceptConnections: self._let_accept,
            v.DrainWorker: self._drain,
            v.StopWorker: self._stop,
            v.AbortWorker: self._abort,
            v.KillWorker: self._kill,
        }

    @property
    def due(self) -> float | None:
        """When the next heartbeat is missed."""
        silence = self._machine.state.plan.silence
        return min((last + silence for _, last in self._beating()), default=None)

    def look(self) -> None:
        """Post the workers whose heartbeat is missed."""
        now, silence = monotonic(), self._machine.state.plan.silence
        for worker, last in self._beating():
            if now - last >= silence:
                self._machine.post(v.HeartbeatLost(worker.slot))

    def _beating(self) -> Iterator[tuple[WorkerRecord, float]]:
        """The workers that have to beat, and when each last did."""
        for worker in self._machine.state.workers:
            if worker.state in BEATS:
                yield worker, self._context.last_beat(worker.slot, worker.since)

    # --- what they do -----------------------------------------------------------------------------------------------

    def note(self, handle: ChildProcess, received: Received) -> None:
        """Take a message of a worker."""
        message, descriptor = received
        if isinstance(message, Adopt) and descriptor is not None:
            self._broker.post(message, descriptor, handle)
        elif (event := REPORTS.get(type(message))) is not None:
            self._machine.post(event(handle.slot))
        elif isinstance(message, Unreachable):
            works_now = self._context.generations.works_now(message.backend)
            self._machine.post(v.BackendUnreachable(handle.slot, message.backend, message.why, works_now))
        elif isinstance(message, BootFailed):
            handle.why = message.why
        else:
            received.discard()

    def gone(self, handle: ChildProcess, status: int) -> None:
        """Post that a worker has ended, with its wait status."""
        self._context.scoreboard.idle(handle.slot)
        self._context.generations.shared_state.retire(handle.slot)
        self._machine.post(v.WorkerExited(handle.slot, describe_end(status, handle.why), status == 0))

    # --- what is done with them -------------------------------------------------------------------------------------

    def _spawn(self, action: v.SpawnWorker) -> None:
        context = self._context
        served = context.generations.get(action.generation)
        context.scoreboard.clear(action.slot)
        context.generations.shared_state.open(action.slot)
        try:
            handle = spawn(
                lambda pid, channel: ChildProcess(
                    action.slot, action.index, action.generation, pid, channel, monotonic(), served.generation.digest
                ),
                lambda channel: self._boot(action, served, channel),
                self._run,
                lambda: context.close_in_child.close(served.listeners),
                context.events,
                title(action.index, action.generation),
            )
        except OSError as error:
            self._machine.post(v.WorkerExited(action.slot, f"cannot start: {error.strerror}"))
            return
        self._children.add(handle, self)
        words = f"worker {action.index + 1} is started: process {handle.pid}"
        event = named("worker.started", words, worker=action.index + 1, pid=handle.pid)
        context.events.write("debug", event, action.generation)
        self._gauges.started()

    def _boot(self, action: v.SpawnWorker, served: BoundGeneration, channel: socket.socket) -> WorkerSpec:
        shared_state, resources = self._context.generations.shared_state, self._context.resources
        return WorkerSpec(
            generation=served.generation,
            slot=action.slot,
            index=action.index,
            workers=self._machine.state.wanted,
            listeners=served.bound(),
            channel=channel,
            scoreboard=self._context.scoreboard,
            shared_memory=shared_state.shared_memory,
            writer=shared_state.writer(action.slot),
            rows=shared_state.rows.taken(),
            resolved=shared_state.resolved,
            cookie_key=shared_state.cookie_key,
            log_lock=resources.output_lock,
            log=resources.log.held,
            preflight=self._context.generations.preflight(served, action.preflight),
        )

    def _let_accept(self, action: v.AcceptConnections) -> None:
        self._children.tell(action.slot, BeginAccepting())

    def _drain(self, action: v.DrainWorker) -> None:
        self._children.tell(action.slot, Drain(action.within, "close" if action.close else "handover"))

    def _stop(self, action: v.StopWorker) -> None:
        self._children.tell(action.slot, Stop())

    def _abort(self, action: v.AbortWorker) -> None:
        self._children.signal(action.slot, signal.SIGABRT, signal.SIGCONT)

    def _kill(self, action: v.KillWorker) -> None:
        self._children.signal(action.slot, signal.SIGKILL)
