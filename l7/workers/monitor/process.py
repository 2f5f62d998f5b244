"""The monitor process: what is done once per machine: checks, connect probes, DNS, ACME, spans, the admin endpoint.

No request passes through it. It writes the states of servers into its lane of the shared memory, which all workers
read, and sends the addresses of names to the master, which sends them to all workers. Workers go on with the last of
both when it has exited. `l7.master.supervision.monitor` says when there is one; it does nothing before the message
that it may begin: until then another monitor process may still run.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from gevent import joinall, spawn
from gevent import socket as green
from gevent.event import Event

from l7.balancing.dns_records import ResolvedEndpoint
from l7.balancing.server_state import StateRules
from l7.config.generation import Generation
from l7.config.schema import Backend, Config
from l7.config.values.addresses import Address
from l7.descriptors import raise_limit
from l7.ipc.channel import Channel, Received
from l7.ipc.messages import (
    BeginChecks,
    ControlClient,
    FileStored,
    OpenAdmin,
    OverviewClient,
    Ready,
    Resolved,
    SetMembers,
    Stop,
    StorageLoaded,
    StoredFile,
    UseCertificate,
)
from l7.sharedmem import scoreboard as cells
from l7.sharedmem.master_gauges import MasterGauges
from l7.sharedmem.memory import MONITOR, SharedMemory
from l7.sharedmem.scoreboard import Scoreboard
from l7.telemetry.events import Events
from l7.telemetry.metrics import Metrics
from l7.telemetry.recorder.memory import RecorderMemory
from l7.telemetry.servers.past_states import PastStates
from l7.telemetry.servers.shared_servers import SharedServers
from l7.tls.certificates import CertificateInfo
from l7.tls.renewal import certificate_in, renewed
from l7.tls.servers.names import is_by_host
from l7.workers.monitor.admin.access import AdminAccess
from l7.workers.monitor.admin.handler import AdminHandler
from l7.workers.monitor.admin.pages import AdminPages
from l7.workers.monitor.admin.recorded_requests import RecordedRequests
from l7.workers.monitor.admin.server import AdminServer
from l7.workers.monitor.certificate_renewal import CertificateRenewer
from l7.workers.monitor.connect_probes import ConnectProbes, ProbedServer
from l7.workers.monitor.dns_refresher import DnsRefresher
from l7.workers.monitor.health_checks import CheckTarget, HealthChecks, tls_of_checks
from l7.workers.monitor.name_lookup import look_up_by
from l7.workers.monitor.overview.answering import OverviewAnswers
from l7.workers.monitor.overview.document import Overview, OverviewSources
from l7.workers.monitor.overview.failures import LastFailures
from l7.workers.monitor.overview.route_figures import RouteFigures
from l7.workers.monitor.overview.server_figures import ServerFigures
from l7.workers.monitor.overview.traffic_sampler import TrafficSampler
from l7.workers.monitor.recorder_source import RecorderSource
from l7.workers.monitor.row_changes import RowChanges
from l7.workers.monitor.server_observer import ServerObserver, WatchedServer
from l7.workers.monitor.span_exporter import SpanExporter
from l7.workers.runtime.channel import LoopChannel
from l7.workers.runtime.child_process import MASTER_GONE, LoopTimers, listen_to_signals, run_child
from l7.workers.runtime.pause import pause
from l7.workers.runtime.watchdog import TICK, Watchdog
from l7.workers.transport.dial import endpoint, endpoint_of

Row = tuple[str, ...]
_Place = tuple[str, tuple[int, object], int, str]


@dataclass(frozen=True)
class MonitorSpec:
    """What a monitor process gets from the master; as `l7.workers.process.WorkerSpec`."""

    generation: Generation
    slot: int
    channel: socket.socket
    scoreboard: Scoreboard
    shared_memory: SharedMemory
    rows: Mapping[Row, int]
    resolved: Mapping[tuple[str, str], Sequence[ResolvedEndpoint]]
    """The resolved addresses of names, by route and server."""
    watched: Mapping[str, Backend]
    """`watched_backends` of the configuration."""
    certificates: Sequence[CertificateInfo] = ()
    """What is shown to clients."""
    server_contexts: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    """What TLS with servers is spoken by, by route."""
    storage_lock: int | None = None
    """What is locked while a certificate is obtained by ACME; None where none is."""
    acme_issuers: str = ""
    """Those that the authority's own certificate is verified by, as PEM; empty for those of the system."""
    recorder: RecorderMemory | None = None
    """What the workers record; None where there is no memory for it."""
    admin: socket.socket | None = None
    """The listening socket of the admin endpoint."""


def needs_monitor(config: Config) -> bool:
    """Whether there is work for a monitor process, as for the overview, which is asked for over the control socket."""
    others = config.admin is not None or config.tls.acme is not None or config.tracing is not None
    return others or config.control != "off" or any(backend.servers for backend in config.backends.values())


def watched_backends(config: Config) -> dict[str, Backend]:
    """The backends whose servers are watched whether they fail or not: those with health checks, or names of servers.

    To be found before the fork: whoever looks at ten thousand backends has a copy of them.
    """
    return {
        route: backend
        for route, backend in config.backends.items()
        if backend.servers and (backend.health is not None or any(server.address.named for server in backend.servers))
    }


def run(spec: MonitorSpec) -> int:
    """Run the monitor process; returns the exit status. To be called once, in a newly forked process."""
    return run_child(spec, MonitorWorker)


class MonitorWorker:
    """The monitor process: its checks, probes, names, admin endpoint, and channel to the master."""

    def __init__(self, spec: MonitorSpec, channel: Channel, events: Events) -> None:
        self._spec = spec
        self._events = events
        self._config = spec.generation.config
        raise_limit()
        self._channel = LoopChannel(channel, self._on_message, self._on_end)
        memory, writer = spec.shared_memory, spec.shared_memory.writer(MONITOR)
        self.observer = ServerObserver(writer, memory.history, RowChanges(memory, self._written_rows), self._watched_in)
        self.checks = HealthChecks(writer, events, self.observer.checked)
        self.probes = ConnectProbes(writer, events, RowChanges(memory, self._written_rows), self._server_in)
        # Not a copy: ten thousand keys stay in the memory that all processes share.
        self._rows: ChainMap[Row, int] = ChainMap({}, cast("MutableMapping[Row, int]", spec.rows))
        self._resolved = dict(spec.resolved)
        self._unresolved: dict[tuple[str, str], str] = {}
        self._servers = SharedServers(spec.shared_memory, writer, self._rows, self._resolved, self._unresolved)
        self._naming = DnsRefresher(
            self._config.resolver, spec.watched, look_up_by(self._config.resolver), self._resolved,
            self._on_resolved, events,
        )  # fmt: skip
        metrics = Metrics(writer, spec.scoreboard, self._config, self._rows, self._resolved, spec.shared_memory.written)
        self._metrics = metrics
        metrics.certificates = spec.certificates
        self._renewer = self._make_renewer()
        tracing, spans = self._config.tracing, spec.shared_memory.spans
        self._exporter = None if tracing is None else SpanExporter(tracing, spans, writer, events)
        self.sampler = TrafficSampler(writer, spec.shared_memory.traffic, spec.shared_memory.written, self._key_of)
        self._recorded = RecorderSource(None if self._config.recorder is None else spec.recorder)
        self.overview = self._make_overview()
        self._answers = OverviewAnswers(self.overview)
        self._admin = self._make_admin(metrics)
        self._members: dict[tuple[str, str], list[CheckTarget]] = {}
        self._by_row: dict[int, Row] = {}
        """The rows turned round, once a server is unreachable."""
        self._cells = spec.scoreboard.slot(spec.slot)
        self._watchdog = Watchdog(self._config.block_warning, events.warning)
        self._begun = False
        self._leave = Event()
        self._timers = LoopTimers()

    def _make_admin(self, metrics: Metrics) -> AdminServer | None:
        spec, settings = self._spec, self._config.admin
        if settings is None:
            return None
        writer = spec.shared_memory.writer(MONITOR)
        states = PastStates(self._config.backends, spec.generation.number, self._servers)
        recorded = RecordedRequests(self._recorded, states)
        pages = AdminPages(metrics, MasterGauges(writer), self._visit, recorded, self.overview.json)
        return AdminServer(AdminHandler(pages, AdminAccess(settings)))

    def _make_renewer(self) -> CertificateRenewer | None:
        spec, acme = self._spec, self._config.tls.acme
        if acme is None:
            return None
        issuers, lock, challenges = spec.acme_issuers, spec.storage_lock, spec.shared_memory.challenges
        return CertificateRenewer(acme, issuers, lock, challenges, self._channel.send, self._events)

    def _make_overview(self) -> Overview:
        spec, config, sampler = self._spec, self._config, self.sampler
        writer = spec.shared_memory.writer(MONITOR)
        sources = OverviewSources(
            sampler,
            RouteFigures(config, writer, self._rows, sampler, pause),
            ServerFigures(config, self._servers, sampler, pause),
            LastFailures(self._recorded),
            MasterGauges(writer),
            spec.scoreboard,
        )
        return Overview(sources, self._visit)

    def run(self) -> int:
        """Run until told to stop, or until the master has exited."""
        listen_to_signals("monitor process", self._leave.set)
        self._beat()
        self._timers.every(cells.BEAT_INTERVAL, self._beat)
        self._timers.every(TICK, self._watchdog.turned)
        self._channel.listen()
        self._watchdog.start()
        self._channel.send(Ready())
        self._leave.wait()
        ending = [spawn(self._answers.close)]
        if self._exporter is not None:  # also where it has not begun: what workers have sent may be the last
            ending.append(spawn(self._exporter.close))
        if self._admin is not None:
            self._admin.close()
        joinall(ending)
        return 0

    def _beat(self) -> None:
        self._cells[cells.CHECKED], self._cells[cells.NAMES] = len(self.checks), len(self._naming)
        self._cells[cells.BEAT] = time.monotonic_ns()

    # --- messages of the master --------------------------------------------------------------------------------------

    def _on_message(self, received: Received) -> None:
        message = received.message
        if isinstance(message, BeginChecks):
            self._begin()
        elif isinstance(message, SetMembers):
            self._on_members(message)
        elif isinstance(message, OpenAdmin) and self._admin is not None and self._spec.admin is not None:
            self._admin.start(self._spec.admin)
        elif isinstance(message, OverviewClient) and received.descriptor is not None:
            self._answers.take(received.descriptor)
        elif isinstance(message, Stop):
            self._leave.set()
        elif isinstance(message, UseCertificate):
            self._metrics.certificates = renewed(self._metrics.certificates, certificate_in(message).info)
        elif isinstance(message, (StoredFile, StorageLoaded, FileStored)) and self._renewer is not None:
            self._renewer.take(message)
        else:
            received.discard()

    def _visit(self) -> green.socket:
        """Connect to the master, as over the control socket; raises ``OSError`` when it takes nothing now."""
        ours, theirs = green.socketpair()
        with theirs:
            if not self._channel.try_send(ControlClient(), theirs.fileno()):
                ours.close()
                raise OSError("the master does not read what it is told")
        return ours

    def _on_end(self) -> None:
        self._events.debug(MASTER_GONE)
        self._leave.set()

    def _begin(self) -> None:
        self._begun = True
        for name, backend in self._spec.watched.items():
            for server in backend.servers:
                self._watch(name, backend, server.address, self._resolved.get((name, str(server.address)), ()))
        self.checks.start()
        self.probes.start()
        self.observer.start()
        self.sampler.start()
        self._naming.start()
        if self._renewer is not None:
            self._renewer.start()
        if self._exporter is not None:
            self._exporter.start()

    def _on_members(self, message: SetMembers) -> None:
        name, label = message.backend, message.server
        members = [ResolvedEndpoint(*member) for member in message.members]
        try:
            self._spec.shared_memory.reserve(1 + max([one.row for one in members], default=0))
        except OSError as error:
            self._events.error(f"{name}: server {label}: its new addresses are not checked: {error.strerror}")
            return
        self._resolved[name, label] = members
        found: dict[Row, int] = {(name, label, str(Address(one.host, one.port))): one.row for one in members}
        for key, row in found.items():
            if self._rows.get(key) != row:
                self.sampler.forget(row)  # it was another server's
        self._rows.update(found)
        self.observer.look_at(found.values())
        if self._by_row:
            self._by_row.update({row: key for key, row in found.items()})
        if (backend := self._config.backends.get(name)) is None or not self._begun:
            return
        for server in backend.servers:
            if str(server.address) == label:
                self._watch(name, backend, server.address, members)

    def _on_resolved(self, message: Resolved) -> None:
        self._unresolved[message.backend, message.server] = message.why
        self._channel.send(message)

    def _written_rows(self) -> Iterator[int]:
        written = self._spec.shared_memory.written()
        return (row for row in self._rows.values() if row in written)

    def _server_in(self, row: int) -> ProbedServer | None:
        """A server that is given by its address."""
        name, *labels = self._key_of(row)
        backend = self._config.backends.get(name)
        for server in backend.servers if backend is not None else ():
            where = endpoint_of(server.address)
            if where is not None and [str(server.address)] == labels:
                return ProbedServer(name, labels[0], where, row)
        return None

    def _watched_in(self, row: int) -> WatchedServer | None:
        key = self._key_of(row)
        backend = self._config.backends.get(key[0])
        if backend is None or len(key) < 2:
            return None
        return WatchedServer(self._rows.get(key[:2], 0) if len(key) > 2 else 0, StateRules.of(backend))

    def _key_of(self, row: int) -> Row:
        if not self._by_row:
            self._by_row = {row: key for key, row in self._rows.items()}
        return self._by_row.get(row) or ("",)

    def _watch(self, name: str, backend: Backend, address: Address, resolved: Sequence[ResolvedEndpoint]) -> None:
        """Check and probe a server at the addresses that it has now, and at no others."""
        places = list(self._places(name, address, resolved))
        self.probes.change(
            (name, str(address)), [ProbedServer(name, label, where, row) for label, where, row, _ in places]
        )
        if backend.health is None:
            return
        key = (name, str(address))
        check, limits = backend.health, self._config.limits
        tls = tls_of_checks(name, backend, address, self._spec.server_contexts)
        by_name = tls is not None and is_by_host(
            backend
        )  # who is asked for by a host is asked for that one in Host, too
        targets = [
            CheckTarget(name, label, where, row, check, tls.name if by_name and tls else host, tls, limits)
            for label, where, row, host in places
        ]
        before = {target.key: target for target in self._members.get(key, ())}
        stay = {target.key for target in targets}
        self.checks.change(targets, [target for each, target in before.items() if each not in stay])
        self._members[key] = [before.get(target.key, target) for target in targets]

    def _places(self, name: str, address: Address, resolved: Sequence[ResolvedEndpoint]) -> Iterator[_Place]:
        """For each address of a server: its label, its endpoint, its row and the Host of its checks."""
        literal = endpoint_of(address)
        if literal is not None:
            host = "localhost" if address.path else address.authority
            yield str(address), literal, self._spec.rows[name, str(address)], host
            return
        for one in resolved:
            found = Address(one.host, one.port)
            asked = (found if address.srv else address).authority
            yield f"{address} at {found}", endpoint(one.host, one.port), one.row, asked
