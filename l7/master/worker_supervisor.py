"""What is particular to workers: how they are started, told to accept and to drain, and what they report."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, Literal

from l7.ipc.channel import Received
from l7.ipc.messages import (
    Adopt,
    BeginAccepting,
    Drain,
    Drained,
    EndRelayed,
    LogInUse,
    LogMoved,
    PreflightDone,
    Relaying,
    Unreachable,
)
from l7.master.child_supervisor import ChildSupervisor
from l7.master.children.fork import Run
from l7.master.children.handle import ChildProcess
from l7.master.connection_broker import ConnectionBroker
from l7.master.context import MasterContext
from l7.master.control.log_reopener import LogReopener
from l7.master.state.gauges import MasterGaugeWriter
from l7.master.state.generations import BoundGeneration
from l7.master.supervision import events as v
from l7.workers.process import WorkerSpec


class WorkerSupervisor(ChildSupervisor):
    """Does with worker processes what the supervision has decided, and posts what they do.

    :param run: what a worker runs.
    """

    def __init__(
        self, context: MasterContext, broker: ConnectionBroker, logs: LogReopener, gauges: MasterGaugeWriter, run: Run
    ) -> None:
        super().__init__(context)
        self._logs = logs
        self._broker = broker
        self._gauges = gauges
        self._run = run

    @property
    def actions(self) -> Mapping[type[v.Action], Callable[[Any], None]]:
        """How a worker is started, and what it is told."""
        return {
            v.SpawnWorker: self._spawn,
            v.AcceptConnections: self._let_accept,
            v.DrainWorker: self._drain,
            v.AnnounceRelays: self._announce_relays,
        }

    def note(self, handle: ChildProcess, received: Received) -> None:
        """Take a message of a worker."""
        message, descriptor = received
        if isinstance(message, Adopt) and descriptor is not None:
            self._broker.post(message, descriptor, handle)
        elif isinstance(message, Drained):
            self._machine.post(v.DrainAcknowledged(handle.slot))
        elif isinstance(message, Relaying):
            self._machine.post(v.RelayBegun(handle.slot))
        elif isinstance(message, LogMoved):
            self._logs.moved(handle.slot, message.path)
        elif isinstance(message, LogInUse):
            self._logs.in_use(handle.slot)
        elif isinstance(message, PreflightDone):
            self._machine.post(v.PreflightFinished(handle.slot))
        elif isinstance(message, Unreachable):
            works_now = self._generations.works_now(message.backend)
            self._machine.post(v.BackendUnreachable(handle.slot, message.backend, message.why, works_now))
        else:
            super().note(handle, received)

    def gone(self, handle: ChildProcess, status: int) -> None:
        """Post that a worker has ended, and release what it had in the shared memory."""
        self._logs.in_use(handle.slot)
        self._broker.announced.discard(handle.pid)
        self._context.scoreboard.idle(handle.slot)
        self._generations.shared_state.retire(handle.slot)
        super().gone(handle, status)

    def _spawn(self, action: v.SpawnWorker) -> None:
        served = self._generations.get(action.generation)
        try:
            self._generations.shared_state.open(action.slot)
        except OSError as error:
            self._machine.post(v.ChildExited(action.slot, f"cannot start: {error.strerror}"))
            return
        if self._start(action.slot, lambda channel: self._boot(action, served, channel), self._run, served.listeners):
            self._gauges.started()

    def _boot(self, action: v.SpawnWorker, served: BoundGeneration, channel: socket.socket) -> WorkerSpec:
        shared_state, resources = self._generations.shared_state, self._context.resources
        return WorkerSpec(
            generation=served.generation,
            slot=action.slot,
            index=action.index,
            workers=self._machine.state.wanted,
            listeners=served.bound(),
            channel=channel,
            scoreboard=self._context.scoreboard,
            shared_memory=shared_state.shared_memory,
            lane=shared_state.lane(action.slot),
            rows=shared_state.rows.taken(),
            resolved=shared_state.resolved,
            cookie_key=shared_state.cookie_key,
            log_lock=resources.output_lock,
            log=resources.log.held,
            preflight=self._generations.preflight(served, action.preflight),
            server_contexts=served.files.contexts,
            pages=served.pages,
            recorder=shared_state.recorder,
        )

    def _let_accept(self, action: v.AcceptConnections) -> None:
        self._children.tell(action.slot, BeginAccepting())

    def _drain(self, action: v.DrainWorker) -> None:
        idle: Literal["handover", "close"] = "close" if action.close else "handover"
        entrances = self._broker.entrances(self._machine.state.plan.generation)
        self._children.tell(action.slot, Drain(action.within, idle, tuple(entrances)))

    def _announce_relays(self, action: v.AnnounceRelays) -> None:
        relay = self._children.get(action.slot)
        if relay is not None:
            self._broker.announced.add(relay.pid)
            for worker in self._children.of(self):
                worker.channel.send(EndRelayed(relay.pid))
