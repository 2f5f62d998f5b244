"""What is particular to the monitor process: how it is started, told to begin, and what it reports."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from l7.clock import monotonic
from l7.config.schema import Backend
from l7.ipc.channel import Received
from l7.ipc.messages import (
    BeginChecks,
    ControlClient,
    LoadStorage,
    OpenAdmin,
    OverviewClient,
    Resolved,
    Stop,
    StoreFile,
)
from l7.master.child_supervisor import ChildSupervisor
from l7.master.children.handle import ChildProcess
from l7.master.context import MasterContext
from l7.master.control.server import ControlServer
from l7.master.control.status import memory
from l7.master.state.dns_results import DnsResultPublisher
from l7.master.state.generations import BoundGeneration
from l7.master.supervision import events as v
from l7.master.supervision.monitor import present_monitor
from l7.master.supervision.state import STOP_WITHIN, ChildRecord, ChildRole
from l7.workers.monitor.process import MonitorSpec, run

DIES_WITHIN = 1.0
"""Seconds for which the master waits, at its own end, for a monitor process that was killed."""


class StorageRequests(Protocol):
    """What answers a monitor process that obtains certificates."""

    def open_lock(self, served: BoundGeneration) -> int | None:
        """The file that is locked while an order is under way; None where there is none."""

    def note(self, handle: ChildProcess, message: LoadStorage | StoreFile) -> None:
        """Do what a monitor process asks, and answer it."""


class MonitorSupervisor(ChildSupervisor):
    """Does with monitor processes what the supervision has decided, and posts what they do.

    :param control_server: answers what the admin endpoint asks the master.
    """

    def __init__(
        self,
        context: MasterContext,
        control_server: ControlServer,
        names: DnsResultPublisher,
        certificates: StorageRequests,
    ) -> None:
        super().__init__(context)
        self._certificates = certificates
        self._server = control_server
        self._names = names
        self._opened = 0
        """The process that has been told to open the admin endpoint."""

    @property
    def actions(self) -> Mapping[type[v.Action], Callable[[Any], None]]:
        """How a monitor process is started, and told to begin."""
        return {v.SpawnMonitor: self._spawn, v.ActivateMonitor: self._begin}

    def look(self) -> None:
        """Let it answer on the admin address once this l7 is the master: before that, the predecessor does."""
        present = self.present()
        if present is None or not self._server.is_open:
            return
        handle, child = present
        if child.ready and handle.pid != self._opened:
            self._opened = handle.pid
            handle.channel.send(OpenAdmin())

    def note(self, handle: ChildProcess, received: Received) -> None:
        """Take a message of a monitor process."""
        message, descriptor = received
        if isinstance(message, ControlClient) and descriptor is not None:
            self._server.welcome(descriptor)
        elif isinstance(message, Resolved):
            self._names.note(message)
        elif isinstance(message, (LoadStorage, StoreFile)):
            self._certificates.note(handle, message)
        else:
            super().note(handle, received)

    def present(self) -> tuple[ChildProcess, ChildRecord] | None:
        """The monitor process that is at work, or will be in a moment."""
        child = present_monitor(self._machine.state)
        handle = None if child is None else self._children.get(child.slot)
        return None if child is None or handle is None else (handle, child)

    def entry(self) -> dict[str, Any] | None:
        """What `l7 status` shows of it."""
        present = self.present()
        if present is None:
            return None
        handle, child = present
        return {
            "pid": handle.pid,
            "generation": child.generation,
            "age": round(monotonic() - handle.started, 1),
            "state": child.state.value,
            "memory": memory(handle.pid),
        }

    def tell_overview(self, descriptor: int) -> bool:
        """Let the monitor process that is at work answer `OverviewRequest` on a connection; False where none can."""
        for child in self._machine.state.monitors:
            handle = self._children.get(child.slot)
            if child.ready and handle is not None:
                return handle.channel.try_send(OverviewClient(), descriptor)
        return False

    def close(self) -> None:
        """End them all, as the master ends; the admin endpoint first answers the requests that it has."""
        handles = self._children.of(self)
        for handle in handles:
            handle.channel.send(Stop())
        handles = _still_running(handles, STOP_WITHIN[ChildRole.MONITOR])
        for handle in handles:
            handle.signal(signal.SIGKILL)
        _still_running(handles, DIES_WITHIN)

    def _begin(self, action: v.ActivateMonitor) -> None:
        self._children.tell(action.slot, BeginChecks())

    def _spawn(self, action: v.SpawnMonitor) -> None:
        served = self._generations.get(action.generation)
        kept = () if served.admin is None else (served.admin,)
        watched = served.watched
        lock = self._certificates.open_lock(served)
        self._start(action.slot, lambda channel: self._boot(action.slot, served, watched, channel, lock), run, kept)
        if lock is not None:
            os.close(lock)

    def _boot(
        self,
        slot: int,
        served: BoundGeneration,
        watched: Mapping[str, Backend],
        channel: socket.socket,
        lock: int | None,
    ) -> MonitorSpec:
        shared_state, acme = self._generations.shared_state, served.generation.config.tls.acme
        # It would keep a file that was rotated and removed on the disk.
        self._context.resources.log.close()
        return MonitorSpec(
            generation=served.generation,
            slot=slot,
            channel=channel,
            scoreboard=self._context.scoreboard,
            shared_memory=shared_state.shared_memory,
            rows=shared_state.rows.known(),
            resolved=shared_state.resolved,
            watched=watched,
            certificates=[one.info for one in served.files.certificates],
            server_contexts=served.files.contexts,
            storage_lock=lock,
            acme_issuers="" if acme is None or acme.ca is None else served.files.authorities[acme.ca],
            recorder=shared_state.recorder,
            admin=None if served.admin is None or served.admin.socket.fileno() < 0 else served.admin.socket,
        )


def _still_running(handles: list[ChildProcess], within: float) -> list[ChildProcess]:
    """The processes that have not ended within ``within`` seconds."""
    until = monotonic() + within
    return [handle for handle in handles if not handle.await_end(until - monotonic())]
