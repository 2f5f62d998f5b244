"""A worker process: patch, build, serve, drain, exit.

What the master asks comes over the channel (`l7.ipc`); that the master is gone is the channel's end.
Signals that a terminal sends to the whole process group are the master's business; TERM alone drains a worker.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import gevent
from gevent import get_hub
from gevent.event import Event

from l7.balancing.dns_records import ResolvedEndpoint
from l7.clock import monotonic
from l7.config.generation import Generation
from l7.descriptors import raise_limit
from l7.ipc.channel import Channel, Received
from l7.ipc.messages import (
    Adopt,
    BeginAccepting,
    BootFailed,
    Drain,
    Drained,
    EndRelayed,
    LogInUse,
    LogMoved,
    PreflightDone,
    Ready,
    Relaying,
    SetMembers,
    Stop,
    Unreachable,
    UseCertificate,
    UseLog,
    shortened,
)
from l7.rules.answers.error_pages import Pages
from l7.sharedmem.memory import SharedMemory
from l7.sharedmem.scoreboard import BEAT_INTERVAL, Scoreboard
from l7.telemetry.access_log import AccessLog, NullAccessLog, open_log
from l7.telemetry.events import Events, named
from l7.telemetry.recorder.opening import RecorderMemory, recorder_of
from l7.telemetry.tracing.tracer import tracer_of
from l7.tls.counters import HandshakeCounters
from l7.tls.renewal import show
from l7.workers.downstream.accept_balancer import AcceptBalancer
from l7.workers.downstream.bound_listener import BoundListener
from l7.workers.downstream.connection_handler import ConnectionHandler
from l7.workers.downstream.proxy_headers import ProxyHeaders
from l7.workers.downstream.tls_handshakes import TlsHandshakes
from l7.workers.handover.queue import HandoverQueue
from l7.workers.handover.target import HandoverTarget
from l7.workers.handover.tls_relays import TlsRelays
from l7.workers.monitor.name_lookup import look_up_by
from l7.workers.phase import WorkerPhase
from l7.workers.proxy import Proxy
from l7.workers.runtime.channel import LoopChannel
from l7.workers.runtime.child_process import CANNOT_BOOT, MASTER_GONE, LoopTimers, listen_to_signals, run_child
from l7.workers.runtime.client_places import places
from l7.workers.runtime.greenlet_pool import GreenletPool
from l7.workers.runtime.heartbeat import HeartbeatWriter
from l7.workers.runtime.preload import preload
from l7.workers.runtime.watchdog import Watchdog
from l7.workers.self_test import SelfTestFailed, probe
from l7.workers.transport.splice import SHELF
from l7.workers.transport.stream import DeadlineSweeper
from l7.workers.upstream.backend import TICK
from l7.workers.upstream.context import BackendContext
from l7.workers.upstream.preflight import Preflight, PreflightSpec

TRIM_INTERVAL = 2.0
"""Seconds without a large body after which idle pipes are closed."""
GOODBYE = 0.2
"""Seconds between the end of draining and the exit of the worker: for the last bytes to arrive."""
IN_TRANSIT = 0.1
"""Seconds that an idle connection still has for a request when l7 stops: one may be on its way."""

preload()


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker gets from the master. ``index`` is its place, ``slot`` its row of the scoreboard."""

    generation: Generation
    slot: int
    index: int
    workers: int
    listeners: Sequence[BoundListener]
    channel: socket.socket
    scoreboard: Scoreboard
    shared_memory: SharedMemory
    lane: int
    """The lane of the shared memory that this worker writes."""
    rows: Mapping[tuple[str, ...], int]
    """The shared memory's rows: of backends by ``(route,)``, of servers by ``(route, address)``."""
    resolved: Mapping[tuple[str, str], Sequence[ResolvedEndpoint]]
    """The resolved addresses of servers given by name, by ``(route, address)``."""
    cookie_key: bytes
    """What sticky cookies are signed with where the configuration has no secret."""
    log_lock: int | None = None
    log: tuple[str, int] | None = None
    """Path and descriptor of the access log that the master has open."""
    preflight: PreflightSpec | None = None
    """What it connects to before it accepts."""
    server_contexts: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    """What TLS with servers is spoken by, by route."""
    pages: Pages = field(default_factory=dict)
    """The error pages by the name of their file."""
    recorder: RecorderMemory | None = None


def run(spec: WorkerSpec) -> int:
    """Run a worker; returns the exit status. To be called once, in a newly forked process."""
    return run_child(spec, Worker)


class Worker:
    """One worker: its proxy, its acceptor, its channel to the master."""

    def __init__(self, spec: WorkerSpec, channel: Channel, events: Events) -> None:
        self._spec = spec
        self._channel = LoopChannel(channel, self._on_message, self._on_master_gone)
        self._events = events
        config = spec.generation.config
        allowed = raise_limit()
        self._sweeper = DeadlineSweeper()
        self._greenlets = GreenletPool()
        self._log = _access_log(spec, events)
        self._proxy = Proxy(config, self._sweeper, self._greenlets, self._log, _context(spec, events))
        place = (spec.index, spec.workers)
        self._proxy.attempts.recorder = recorder_of(spec.recorder, spec.slot, spec.generation, place, events.warning)
        self._balancer = AcceptBalancer(spec.scoreboard, spec.slot)
        most = places(config.limits.connections, spec.index, spec.workers, allowed, events.warning)
        self._server = ConnectionHandler(self._proxy, self._sweeper, most, events.warning, self._balancer)
        relays = TlsRelays(self._sweeper, config.timeouts.write, self._on_relaying, self._on_drained)
        self._handover_queue = self._server.handover_queue = HandoverQueue(self._channel, self._server, relays)
        self._target = HandoverTarget(self._server, self._sweeper, self._balancer)
        self._relays = relays
        self._heartbeat = HeartbeatWriter(
            spec.scoreboard.slot(spec.slot), self._proxy, self._server.connections, relays
        )
        self._watchdog = Watchdog(config.block_warning, events.warning)
        self._changes_log = False
        """Whether the master is to be told that the log's new file is written."""
        self._may_accept = Event()
        """Whether the master has let it accept, after its look ahead."""
        self._leave = Event()
        self._look = get_hub().loop.timer(TICK, TICK)
        self._timers = LoopTimers()

    def run(self) -> int:
        """Serve until told to stop, or until the master has exited."""
        listen_to_signals("worker", self._on_term)
        self._heartbeat.beat()
        self._timers.every(BEAT_INTERVAL, self._heartbeat.beat)
        self._timers.every(self._sweeper.interval, self._tick)
        self._look_at_servers()
        self._timers.every(TRIM_INTERVAL, SHELF.trim)
        self._sweeper.start()
        self._channel.listen()
        try:
            probe(self._proxy, self._sweeper)
        except SelfTestFailed as failure:
            self._channel.send(BootFailed(shortened(str(failure))))
            return CANNOT_BOOT
        if self._spec.preflight is not None:
            self._look_ahead(self._spec.preflight)
        if self._leave.is_set():  # it was told so while it booted
            return self._finish()
        self._watchdog.start()
        self._prepare_openings()
        self._server.listen(self._spec.listeners)
        self._channel.send(Ready())
        self._leave.wait()
        return self._finish()

    def _prepare_openings(self) -> None:
        """Read PROXY headers, show the certificates of this generation and trace, where that is configured."""
        seconds, writer = self._spec.generation.config.timeouts.handshake, self._proxy.upstreams.writer
        self._server.proxy_headers = ProxyHeaders(self._server, writer, seconds, self._events.warning)
        contexts = [one.contexts for one in self._spec.listeners if one.contexts is not None]
        if contexts:
            handshakes = TlsHandshakes(self._server, self._sweeper, HandshakeCounters(writer), seconds)
            handshakes.show(contexts)
            self._server.handshakes = handshakes
        if self._spec.generation.config.tls.acme is not None:
            self._proxy.challenges = self._spec.shared_memory.challenges
        self._proxy.tracer = tracer_of(self._spec.generation.config.tracing, self._spec.shared_memory.spans, writer)

    def _look_ahead(self, spec: PreflightSpec) -> None:
        """Tell the master which backends cannot be reached, and wait until it is let accept, or told to leave."""
        for backend, why in Preflight(spec, self._proxy.upstreams).run(self._leave):
            self._channel.send(Unreachable(backend, shortened(why)))
        self._channel.send(PreflightDone())
        gevent.wait([self._may_accept, self._leave], count=1)

    def _finish(self) -> int:
        until = monotonic() + GOODBYE
        while self._proxy.in_flight and monotonic() < until:  # what is cut off comes to its end, and into the log
            get_hub().loop.run_callback(self._proxy.cut_rest)
            gevent.sleep(0.002)
        self._server.close()
        self._relays.close()
        self._proxy.upstreams.close()
        self._log.close()
        self._sweeper.stop()
        self._channel.close()
        self._timers.stop()
        self._look.stop()
        return 0

    def _look_at_servers(self) -> None:
        """Keep up with what other processes find out about servers, from now on."""
        if not self._look.active:
            self._look.start(self._proxy.upstreams.tick)

    def _tick(self) -> None:
        self._watchdog.turned()
        self._log.tick()
        self._proxy.attempts.recorder.tick()
        self._follow_log()
        self._heartbeat.show()

    def _follow_log(self) -> None:
        """Ask the master for the log's new file after a rotation; tell it when that is written."""
        if self._log.has_moved():
            self._channel.send(LogMoved(self._spec.generation.config.access_log))
        if self._changes_log and not self._log.is_changing:
            self._changes_log = False
            self._channel.send(LogInUse())

    # --- messages of the master --------------------------------------------------------------------------------------

    def _on_master_gone(self) -> None:
        words = f"{MASTER_GONE}: finishing what is in flight; each connection ends with its next answer"
        self._events.error(named("master.gone", words))
        self._drain(self._spec.generation.config.graceful_timeout, WorkerPhase.FINISHING)

    def _on_message(self, received: Received) -> None:
        message, descriptor = received
        if isinstance(message, Adopt) and descriptor is not None:
            self._look_at_servers()  # where it only relayed, too: one has come back
            self._target.adopt(message, descriptor)
        elif isinstance(message, UseLog) and descriptor is not None:
            self._log.use(message.path, descriptor)
            self._changes_log = True
        elif isinstance(message, Drain):
            handover = message.idle == "handover"
            self._handover_queue.entrances = frozenset(message.entrances)
            self._drain(message.within, WorkerPhase.HANDING_OVER if handover else WorkerPhase.STOPPING)
            self._channel.send(Drained())
        elif isinstance(message, EndRelayed):
            self._target.announce(message.relay)
        elif isinstance(message, BeginAccepting):
            self._may_accept.set()
        elif isinstance(message, Stop):
            self._cut_off("stopped at once", 0.0, self._leave_now)
        elif isinstance(message, SetMembers):
            self._set_members(message)
        elif isinstance(message, UseCertificate):
            show(message, [one.contexts for one in self._spec.listeners if one.contexts is not None])
        else:
            received.discard()

    def _set_members(self, message: SetMembers) -> None:
        """Use the present addresses of a server; where there is no memory to count in, go on with those before."""
        members = [ResolvedEndpoint(*one) for one in message.members]
        try:
            self._spec.shared_memory.reserve(1 + max([one.row for one in members], default=0))
        except OSError as error:
            words = f"{message.backend}: server {message.server}: its new addresses are left out: {error.strerror}"
            self._events.error(words)
            return
        self._proxy.upstreams.set_members(message.backend, message.server, members)

    def _drain(self, within: float, phase: WorkerPhase) -> None:
        """Accept no more, serve what was accepted, and leave when that is done or ``within`` seconds have passed.

        What becomes of idle connections depends on ``phase``; nothing happens where the worker is in it already.
        """
        server = self._server
        if not self._proxy.enter(phase):
            return
        server.on_drained = self._on_drained
        server.stop()
        if phase == WorkerPhase.HANDING_OVER:
            self._timers.after(within, lambda: self._cut_off("drain-timeout is over", GOODBYE, self._end_drain))
            server.hand_over_idle()
        else:
            self._timers.after(within, lambda: self._cut_off("graceful-timeout is over", GOODBYE, self._leave_now))
            self._handover_queue.cancel()
        if phase == WorkerPhase.STOPPING:
            self._proxy.tunnels.leave()
            self._timers.after(min(IN_TRANSIT, within), server.close_idle)
        self._on_drained()

    def _on_relaying(self) -> None:
        """Tell the master that this process goes on for connections that others serve."""
        self._channel.send(Relaying())

    def _on_drained(self) -> None:
        """Leave, where no connection is left, neither served nor relayed."""
        if not self._server.stopped or self._server.connections:
            return
        if not self._relays:
            self._leave.set()
        else:
            self._look.stop()
            self._proxy.upstreams.close()
            SHELF.close()

    def _cut_off(self, why: str, goodbye: float, then: Callable[[], None]) -> None:
        """Cut off requests in flight, and give tunnels ``goodbye`` seconds to end by themselves before ``then``."""
        count, tunnels = self._proxy.cut(), len(self._proxy.tunnels)
        if count:
            which = f", {tunnels} of them upgraded connections" if tunnels else ""
            self._events.warning(named("requests.cut", f"{why}: requests cut off: {count}{which}", requests=count))
        self._timers.after(goodbye, then)

    def _end_drain(self) -> None:
        """End what is served here; what is relayed has a time of its own."""
        self._proxy.cut_rest()
        self._server.close()
        self._on_drained()

    def _leave_now(self) -> None:
        self._proxy.cut_rest()
        self._leave.set()

    def _on_term(self) -> None:
        self._drain(self._spec.generation.config.graceful_timeout, WorkerPhase.STOPPING)


def _access_log(spec: WorkerSpec, events: Events) -> NullAccessLog:
    """The log that the master has open; where that is another one by now, it is opened here, and ``OSError`` raised."""
    config = spec.generation.config
    target = config.access_log
    held = spec.log is not None and spec.log[0] == target
    if spec.log is not None and not held and spec.log[1] > 2:
        os.close(spec.log[1])
    if target == "off":
        return NullAccessLog()
    descriptor = spec.log[1] if spec.log is not None and held else open_log(target)
    return AccessLog(target, descriptor, config.access_log_format, lock=spec.log_lock, report=events.warning)


def _context(spec: WorkerSpec, events: Events) -> BackendContext:
    writer, resolved, key = spec.shared_memory.writer(spec.lane), dict(spec.resolved), spec.cookie_key
    look_up, tls = look_up_by(spec.generation.config.resolver), spec.server_contexts
    report, debug, limits = events.warning, events.debug, spec.shared_memory.rate_limits
    return BackendContext(writer, spec.rows, resolved, key, report, debug, look_up, tls, spec.pages, limits)
