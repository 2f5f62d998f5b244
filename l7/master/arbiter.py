"""The loop: wait, one event, step, act.

What is to happen is decided by `l7.master.supervision.step.step`; here is only how it is done. The loop sleeps in one
``poll`` over the signals and the channels, for as long as no deadline asks for less.
"""

from __future__ import annotations

import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from setproctitle import setproctitle

from l7.clock import monotonic
from l7.compiled import caution
from l7.config.generation import Loaded
from l7.config.held import HeldFiles
from l7.errors import ConfigError, StartError
from l7.ipc.channel import Received
from l7.ipc.messages import Adopt, BootFailed, Drain, Drained, Ready, StacksWritten, Stop
from l7.master.children.connection_broker import ConnectionBroker
from l7.master.children.fork import Run, spawn, title
from l7.master.children.handle import ChildProcess, describe_end
from l7.master.children.orphans import reap_orphans
from l7.master.children.poll import Poll
from l7.master.children.signals import NAP, SignalQueue, SignalRequest
from l7.master.children.table import ChildTable
from l7.master.control.commands import ControlCommands
from l7.master.control.config_dump import process_lines, write
from l7.master.monitor.supervisor import PLACES, MonitorSupervisor
from l7.master.resources.inherited import InheritedState, inherit
from l7.master.resources.listeners import Listener, describe
from l7.master.resources.restoration import restore
from l7.master.resources.startup import MasterResources, prepare
from l7.master.resources.systemd import SystemdNotifier
from l7.master.state.dns_results import DnsResults
from l7.master.state.gauges import MasterGaugeWriter
from l7.master.state.generations import SLOTS, ActiveGeneration, Generations, ReloadRefused
from l7.master.supervision import events as v
from l7.master.supervision.canary_counts import CanaryCounts
from l7.master.supervision.lifecycle import BEATS, ENDS, LifecycleError, MasterState
from l7.master.supervision.state import SupervisorState, initial_state
from l7.master.supervision.step import step
from l7.master.upgrade.coordinator import UpgradeCoordinator, report_failure
from l7.sharedmem.scoreboard import BEAT, Scoreboard
from l7.telemetry.events import Events, complain, named
from l7.workers.process import WorkerSpec, run

Load = Callable[[], Loaded]
"""Reads flags, environment and file; raises `ConfigError`."""

OVERSLEPT = 1.0
"""Seconds after which a late wake-up means that the machine or l7 stood still, and no worker is to blame."""


def serve(
    load: Load, *, run: Run = run, environ: MutableMapping[str, str] = os.environ, held: HeldFiles | None = None
) -> int:
    """Run l7 until it is told to stop; returns the exit code.

    :param load: is called at the start and at each reload.
    :param run: what a worker does; tests put something small in its place.
    :param held: the files that ``load`` reads.
    """
    events = Events()
    signal_queue = SignalQueue()
    signal_queue.open()
    inheritance = None
    try:
        inheritance = inherit(environ)
        if inheritance is not None and held is not None:
            held.adopt(inheritance.held)
        with signal_queue.raise_on_stop():
            loaded = load()
        events.level = loaded.config.log_level
        resources, bound = prepare(loaded, environ, signal_queue.pause, events.warning, inheritance)
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
            initial_state = 1 if inheritance is None else inheritance.generation + 1
            generations = Generations(load, resources, loaded, bound, events, initial_state)
            return Arbiter(generations, resources, signal_queue, events, run, environ, inheritance, held).loop()
        finally:
            resources.leave()
    finally:
        signal_queue.mute()


class Arbiter:
    """The master at work."""

    def __init__(
        self, generations: Generations, resources: MasterResources, signal_queue: SignalQueue, events: Events, run: Run,
        environ: Mapping[str, str], inheritance: InheritedState | None, held: HeldFiles | None,
    ) -> None:  # fmt: skip
        self._generations, self._resources, self._signal_queue, self._events, self._run = (
            generations, resources, signal_queue, events, run,
        )  # fmt: skip
        self._environ = environ
        self._scoreboard = Scoreboard(PLACES)
        self._canary_counts = CanaryCounts(self._scoreboard)
        self._poll = Poll()
        self._poll.add(signal_queue.descriptor, lambda: None)  # it is looked into after every waiting
        self._children = ChildTable(self._poll, self._note)
        self._relay = ConnectionBroker(self._scoreboard, self._children, self._takers)
        self._commands = ControlCommands(
            self._poll, resources.control, self._scoreboard, self._children, self._relay, generations,
            lambda: self._state, lambda: self._queue.append(v.ReloadRequested()), lambda: self._monitor.entry(),
        )  # fmt: skip
        self._reload_waiters = self._commands.reload_waiters
        self._notifier = SystemdNotifier(environ)
        self._queue: deque[v.Event] = deque()
        names = DnsResults(generations.shared_state, generations.administration, self._children, events)
        self._upgrades = UpgradeCoordinator(
            self._poll, resources, generations, self._relay, self._commands, self._notifier, events,
            self._queue.append, inheritance, held, names,
        )  # fmt: skip
        self._state: SupervisorState = initial_state(generations.current.plan(), SLOTS, monotonic())
        self._monitor = MonitorSupervisor(
            self._scoreboard, self._children, generations, self._commands.control_server, self._release, names, events
        )  # fmt: skip
        self._gauges = MasterGaugeWriter(generations.shared_state.shared_memory, generations.current.generation.number)
        self._dump_wanted = False
        self._awake_since = monotonic()
        self._code: int | None = None

    def loop(self) -> int:
        """Supervise until the end; returns the exit code."""
        setproctitle("l7: master")
        self._events.generation = self._state.plan.generation
        self._queue.append(v.Tick())
        while True:
            while self._queue:
                self._step(self._queue.popleft())
            if self._code is not None:
                self._commands.close("l7 has stopped")
                self._relay.close()
                self._upgrades.see_off(lambda: self._signal_queue.pause(NAP))
                self._monitor.close()
                self._events.info(named("master.stopped", "stopped"))
                return self._code
            self._monitor.look(self._state, self._awake_since)
            self._gauges.look(self._state, self._generations.current.generation.number, self._reload_waiters.last)
            self._dump()  # only when nothing is left to decide: writing may take a while
            self._wait()
            self._collect()

    # --- wait -------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        due = [self._state.next_deadline(monotonic()), self._next_silence(), self._relay.due, self._commands.due]
        due += [self._upgrades.due, self._monitor.due(self._awake_since)]
        wake = min((moment for moment in due if moment is not None), default=None)
        self._poll.wait(wake)
        if wake is not None and monotonic() > wake + OVERSLEPT:
            self._awake_since = monotonic()
        self._relay.retry()
        self._commands.look()
        self._upgrades.look()

    def _next_silence(self) -> float | None:
        silence = self._state.plan.silence
        beats = (self._last_beat(w.slot, w.since) for w in self._state.workers if w.state in BEATS)
        return min((beat + silence for beat in beats), default=None)

    def _last_beat(self, slot: int, since: float) -> float:
        return max(self._scoreboard.slot(slot)[BEAT] / 1e9, since, self._awake_since)

    # --- one event --------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Turn what has happened into events."""
        requests = self._signal_queue.take()
        self._reap()
        for request in requests:
            if request is SignalRequest.DUMP:
                self._dump_wanted = True
            elif request in _EVENTS and not (request is SignalRequest.RELOAD and self._upgrades.remembers_reload()):
                self._queue.append(_EVENTS[request])
        now = monotonic()
        for worker in self._state.workers:
            silence = now - self._last_beat(worker.slot, worker.since)
            if worker.state in BEATS and silence >= self._state.plan.silence:
                self._queue.append(v.HeartbeatLost(worker.slot))
        self._queue.append(v.Tick())

    def _note(self, handle: ChildProcess, received: Received) -> None:
        message, descriptor = received
        if self._monitor.owns(handle):
            self._monitor.note(handle, received)
        elif isinstance(message, Adopt) and descriptor is not None:
            self._relay.post(message, descriptor, handle)
        elif isinstance(message, Ready):
            self._queue.append(v.WorkerReady(handle.slot))
        elif isinstance(message, Drained):
            self._queue.append(v.DrainAcknowledged(handle.slot))
        elif isinstance(message, StacksWritten):
            self._queue.append(v.StacksWritten(handle.slot))
        elif isinstance(message, BootFailed):
            handle.why = message.why
        else:
            received.discard()

    def _reap(self) -> None:
        for handle, status in self._children.reap():
            if self._monitor.owns(handle):
                self._monitor.gone(handle, status)
                continue
            self._scoreboard.idle(handle.slot)
            self._generations.shared_state.retire(handle.slot)
            self._queue.append(v.WorkerExited(handle.slot, describe_end(status, handle.why), status == 0))
        reap_orphans({*self._upgrades.children, *(handle.pid for handle in self._children.handles.values())})

    def _takers(self) -> list[ChildProcess]:
        return [handle for worker in self._state.takers() if (handle := self._children.get(worker.slot)) is not None]

    # --- step -------------------------------------------------------------------------------------------------------

    def _step(self, event: v.Event) -> None:
        try:
            self._state, actions = step(self._state, event, monotonic())
        except LifecycleError as bug:
            self._events.error(f"this is a bug in l7, please report it: {event}: {bug}")
            return
        for action in actions:
            _ACTIONS[type(action)](self, action)

    # --- act --------------------------------------------------------------------------------------------------------

    def _spawn(self, action: v.SpawnWorker) -> None:
        served = self._generations.get(action.generation)
        self._scoreboard.clear(action.slot)
        self._generations.shared_state.open(action.slot)
        try:
            handle = spawn(
                lambda pid, channel: ChildProcess(
                    action.slot, action.index, action.generation, pid, channel, monotonic(), served.generation.digest
                ),
                lambda channel: self._boot(action, served, channel),
                self._run,
                lambda: self._release(served.listeners),
                self._events,
                title(action.index, action.generation),
            )
        except OSError as error:
            self._queue.append(v.WorkerExited(action.slot, f"cannot start: {error.strerror}"))
            return
        self._children.add(handle)
        words = f"worker {action.index + 1} is started: process {handle.pid}"
        event = named("worker.started", words, worker=action.index + 1, pid=handle.pid)
        self._events.write("debug", event, action.generation)
        self._gauges.started()

    def _boot(self, action: v.SpawnWorker, served: ActiveGeneration, channel: socket.socket) -> WorkerSpec:
        shared_state = self._generations.shared_state
        return WorkerSpec(
            generation=served.generation,
            slot=action.slot,
            index=action.index,
            workers=self._state.wanted,
            listeners=served.bound(),
            channel=channel,
            scoreboard=self._scoreboard,
            shared_memory=shared_state.shared_memory,
            writer=shared_state.writer(action.slot),
            rows=shared_state.rows.taken(),
            resolved=shared_state.resolved,
            cookie_key=shared_state.cookie_key,
            log_lock=self._resources.output_lock,
            log=self._resources.log.held,
        )

    def _release(self, kept: Sequence[Listener]) -> None:
        """Close, in a child, what only the master needs."""
        self._signal_queue.release()
        if self._resources.pid_file is not None:
            self._resources.pid_file.release()
        self._children.release()
        self._commands.control_server.release()
        self._upgrades.release()
        if self._resources.control is not None:
            self._resources.control.socket.close()
        for listener in self._resources.listeners.everything():
            if listener not in kept:
                listener.socket.close()

    def _drain(self, action: v.DrainWorker) -> None:
        self._children.tell(action.slot, Drain(action.within, "close" if action.close else "handover"))

    def _load(self, action: v.LoadConfiguration) -> None:
        self._reload_waiters.begin()
        self._notifier.reloading()
        restore(self._resources, self._commands.control_server, self._environ, self._events)
        try:
            served = self._generations.load()
        except ReloadRefused as refusal:
            self._reload_waiters.refused(refusal.lines, self._state.plan.generation)
            self._notifier.ready(f"reload refused, generation {self._state.plan.generation} stays")
            for line in refusal.lines:
                self._events.error(line)
            stays = f"reload refused, generation {self._state.plan.generation} stays"
            self._events.error(named("reload.refused", stays))
            return
        self._reload_waiters.loaded(served.generation.number, list(served.changes), list(served.troubles))
        self._queue.appendleft(v.ConfigurationLoaded(served.plan()))

    def _watch(self, action: v.StartCanaryWatch) -> None:
        self._canary_counts.watch(one for one in self._state.live() if one.generation != self._state.plan.generation)

    def _settle(self, action: v.CommitGeneration) -> None:
        self._generations.settle(action.generation)
        self._reload_waiters.settled(action.generation)
        self._notifier.ready(f"generation {action.generation}")

    def _log(self, action: v.LogEvent) -> None:
        self._events.write(action.level, action.text, action.generation)
        self._reload_waiters.note(action.level, action.text)

    def _announce(self, action: v.AnnounceReady) -> None:
        count = f"{action.ready} of {action.wanted}" if action.ready < action.wanted else f"{action.wanted}"
        where = describe(self._generations.current.listeners)
        self._events.info(named("master.ready", f"ready: listening on {where}; workers: {count}", workers=action.ready))
        self._upgrades.announce(where, self._state)

    def _close_listeners(self, action: v.CloseListeners) -> None:
        if (phase := self._state.phase) is not MasterState.RETIRING:
            self._notifier.stopping()
            self._upgrades.stop(quick=phase is MasterState.STOPPING, within=self._state.plan.graceful)
        self._resources.close_listeners()

    def _finish(self, action: v.ExitMaster) -> None:
        self._code = action.code

    # --- dump -------------------------------------------------------------------------------------------------------

    def _dump(self) -> None:
        if self._dump_wanted:
            self._dump_wanted = False
            states = {worker.slot: worker.state.value for worker in self._state.workers} | self._monitor.states()
            lines = process_lines(self._children.handles.values(), states, self._scoreboard)
            write(self._generations.dump(lines), self._resources.output_lock, self._is_in_a_hurry, self._events.warning)

    def _is_in_a_hurry(self) -> bool:
        return self._state.phase in ENDS or self._signal_queue.is_told_to_stop


_EVENTS: dict[SignalRequest, v.Event] = {
    SignalRequest.RELOAD: v.ReloadRequested(),
    SignalRequest.UPGRADE: v.UpgradeRequested(),
    SignalRequest.TERMINATE: v.GracefulStopRequested(),
    SignalRequest.INTERRUPT: v.QuickStopRequested(),
    SignalRequest.MORE: v.ScaleUp(),
    SignalRequest.FEWER: v.ScaleDown(),
}

_ACTIONS: dict[type[v.Action], Callable[[Arbiter, Any], None]] = {
    v.SpawnWorker: Arbiter._spawn,
    v.DrainWorker: Arbiter._drain,
    v.StopWorker: lambda self, action: self._children.tell(action.slot, Stop()),
    v.AskStacks: lambda self, action: self._children.signal(action.slot, signal.SIGUSR2, signal.SIGCONT),
    v.AbortWorker: lambda self, action: self._children.signal(action.slot, signal.SIGABRT, signal.SIGCONT),
    v.KillWorker: lambda self, action: self._children.signal(action.slot, signal.SIGKILL),
    v.LoadConfiguration: Arbiter._load,
    v.StartCanaryWatch: Arbiter._watch,
    v.CompareCanary: lambda self, action: self._queue.append(self._canary_counts.weigh(self._state)),
    v.StartSuccessor: lambda self, action: self._upgrades.execute(self._state),
    v.AbandonSuccessor: lambda self, action: self._upgrades.abandon(),
    v.ForwardReload: lambda self, action: self._upgrades.pass_on(),
    v.CommitGeneration: Arbiter._settle,
    v.AnnounceReady: Arbiter._announce,
    v.CloseListeners: Arbiter._close_listeners,
    v.LogEvent: Arbiter._log,
    v.ExitMaster: Arbiter._finish,
}
