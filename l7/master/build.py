"""Where l7 begins, and where the master is put together: each part after those that it needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from l7.clock import monotonic
from l7.compiled import caution
from l7.config.generation import Loaded
from l7.errors import ConfigError, StartError
from l7.master.announcer import ServiceAnnouncer
from l7.master.arbiter import Arbiter
from l7.master.certificate_requests import CertificateRequests
from l7.master.certificate_watch import CertificateWatch
from l7.master.child_supervisor import HeartbeatWatch
from l7.master.children.close_in_child import CloseInChild
from l7.master.children.fork import Run
from l7.master.children.poll import Poll
from l7.master.children.signals import SignalQueue
from l7.master.children.table import ChildTable
from l7.master.connection_broker import ConnectionBroker
from l7.master.context import MasterContext
from l7.master.control.commands import ControlCommands
from l7.master.control.config_dump import ConfigDumper
from l7.master.control.log_reopener import LogReopener
from l7.master.control.reload_tracker import ReloadTracker
from l7.master.control.server import ControlServer
from l7.master.monitor_supervisor import MonitorSupervisor
from l7.master.opener.process import StartSettings
from l7.master.opener.process import run as run_opener
from l7.master.opener.watch import OpenerWatch
from l7.master.reloader import Reloader
from l7.master.resources.inherited import InheritedResources, inherit
from l7.master.resources.listeners import Listener
from l7.master.resources.privileged_opener import PrivilegedOpener
from l7.master.resources.startup import MasterResources, prepare
from l7.master.resources.systemd import SystemdNotifier
from l7.master.state.config_source import ConfigSource
from l7.master.state.dns_results import DnsResultPublisher
from l7.master.state.gauges import MasterGaugeWriter
from l7.master.state.generations import SLOTS, Generations
from l7.master.state.tls_contexts import TlsContexts
from l7.master.supervision.machine import SupervisionMachine
from l7.master.supervision.state import MONITOR_SLOTS, initial_state
from l7.master.upgrade.coordinator import UpgradeCoordinator, report_failure
from l7.master.upgrade.state_file import StateFile
from l7.master.worker_supervisor import WorkerSupervisor
from l7.sharedmem.scoreboard import Scoreboard
from l7.telemetry.events import Events, complain, named
from l7.workers.process import run


def serve(source: ConfigSource, *, run: Run = run, environ: MutableMapping[str, str] = os.environ) -> int:
    """Run l7 until it is told to stop; returns the exit code.

    :param source: what is read at the start and at each reload.
    :param run: what a worker does; tests put something small in its place.
    """
    events = Events()
    signal_queue = SignalQueue()
    signal_queue.open()
    inheritance, opener = None, PrivilegedOpener(run_opener, StartSettings.of)
    tls = TlsContexts(source, opener)
    try:
        inheritance = inherit(environ)
        if inheritance is not None and inheritance.opener is not None:
            opener.adopt(*inheritance.opener)
        else:
            opener.fork_early()
        with signal_queue.raise_on_stop():
            loaded = tls.load()
        events.level = loaded.config.log_level
        resources, bound = prepare(loaded, environ, signal_queue.pause, events.warning, opener, inheritance)
        generations = _first_generation(tls, resources, loaded, bound, events, inheritance)
        del loaded  # else the first configuration would be there until the end
        if uncompiled := caution():
            events.warning(named("master.uncompiled", uncompiled))
    except ConfigError as error:
        report_failure(inheritance, "; ".join(map(str, error.problems)))
        complain(str(error))
        return 2
    except StartError as error:
        stopped = signal_queue.is_told_to_stop
        report_failure(inheritance, str(error))
        complain(f"l7: {error}")
        return 0 if stopped else 1
    else:
        try:
            context = context_of(resources, generations, signal_queue, events, environ)
            return build(context, run, inheritance).loop()
        finally:
            resources.leave()
    finally:
        opener.dismiss()
        signal_queue.mute()


def _first_generation(
    tls: TlsContexts, resources: MasterResources, loaded: Loaded, bound: list[Listener],
    events: Events, inheritance: InheritedResources | None,
) -> Generations:  # fmt: skip
    """Make room for what is counted, for the first generation and those that follow; raises `StartError`."""
    first = 1 if inheritance is None else inheritance.generation + 1
    try:
        return Generations(tls, resources, loaded, bound, events, first)
    except StartError:
        resources.leave()
        raise


def context_of(
    resources: MasterResources, generations: Generations, signal_queue: SignalQueue, events: Events,
    environ: Mapping[str, str],
) -> MasterContext:  # fmt: skip
    """Make what all parts of the master work on."""
    now, poll = monotonic(), Poll()
    children = ChildTable(poll)
    close_in_child = CloseInChild(resources.listeners)
    for close in (signal_queue.release, resources.close_in_child, children.release):
        close_in_child.add(close)
    return MasterContext(
        machine=SupervisionMachine(initial_state(generations.current.plan(), SLOTS, now), now),
        generations=generations,
        resources=resources,
        children=children,
        scoreboard=Scoreboard(SLOTS, MONITOR_SLOTS),
        poll=poll,
        signal_queue=signal_queue,
        close_in_child=close_in_child,
        notifier=SystemdNotifier(environ),
        events=events,
        environ=environ,
    )


def build(context: MasterContext, run: Run, inheritance: InheritedResources | None) -> Arbiter:
    """Make the parts of the master, and the loop over them."""
    machine, children, generations = context.machine, context.children, context.generations
    gauges = MasterGaugeWriter(generations.shared_state.writer, generations.current.generation.number)
    names = DnsResultPublisher(generations.shared_state, generations.administration, children, context.events)
    broker = ConnectionBroker(
        context.scoreboard, children, lambda: [one.slot for one in machine.state.takers()], generations.entrances
    )
    control_server = ControlServer(context.poll, context.resources.control, context.events.error)
    reload_tracker = ReloadTracker(control_server.answer, lambda: broker.passed)
    monitor = MonitorSupervisor(context, control_server, names, CertificateRequests(context))
    logs = LogReopener(context, control_server.answer)
    commands = ControlCommands(context, control_server, reload_tracker, logs, monitor)
    state_file = StateFile(generations.shared_state, generations.administration, names, reload_tracker)
    upgrades = UpgradeCoordinator(context, broker, commands, state_file, inheritance)
    announcer = ServiceAnnouncer(context, commands, upgrades)
    workers = WorkerSupervisor(context, broker, logs, gauges, run)
    reloader = Reloader(context, control_server, reload_tracker, gauges)
    dumper = ConfigDumper(context)
    opener = OpenerWatch(context)
    certificates = CertificateWatch(context)
    heartbeats = HeartbeatWatch(context)
    # In this order they end: who waits is answered before anything that could be told about is gone.
    parts = [
        commands,
        logs,
        broker,
        upgrades,
        monitor,
        announcer,
        workers,
        heartbeats,
        reloader,
        dumper,
        opener,
        certificates,
    ]
    return Arbiter(context, parts)
