"""The loop: wait, one event, step, act.

What is to happen is decided by `l7.master.reload.step`; here is only how it is done. The loop sleeps in one ``poll``
over the signals and the channels, for as long as no deadline asks for less.
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
from l7.master import vocabulary as v
from l7.master.company import Company
from l7.master.dump import process_lines, write
from l7.master.fleet import Fleet, first
from l7.master.generations import SLOTS, Generations, Refused, Served
from l7.master.handles import Handle, describe_end
from l7.master.inheritance import Inheritance, inherit
from l7.master.inquiries import Inquiries
from l7.master.lending import lend
from l7.master.lifecycle import BEATS, ENDS, LifecycleError, MasterState
from l7.master.lineage import Lineage, report_failure
from l7.master.listeners import Listener, describe
from l7.master.names import Names
from l7.master.notices import Notices
from l7.master.notify import Notifier
from l7.master.office import PLACES, Office
from l7.master.orphans import reap_orphans
from l7.master.polling import Poll
from l7.master.relay import Relay
from l7.master.reload import step
from l7.master.restoration import restore
from l7.master.roster import Roster
from l7.master.scales import Scales
from l7.master.signals import NAP, Mailbox, Wish
from l7.master.spawning import Run, spawn, title
from l7.master.startup import Ground, prepare
from l7.telemetry.board import BEAT, Board
from l7.telemetry.events import Events, complain, named
from l7.workers.process import Boot, run

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
    mailbox = Mailbox()
    mailbox.open()
    inheritance = None
    try:
        inheritance = inherit(environ)
        if inheritance is not None and held is not None:
            held.adopt(inheritance.held)
        with mailbox.impatient():
            loaded = load()
        events.level = loaded.config.log_level
        ground, bound = prepare(loaded, environ, mailbox.pause, events.warning, inheritance)
        if uncompiled := caution():
            events.warning(named("master.uncompiled", uncompiled))
    except ConfigError as error:
        report_failure(inheritance, "; ".join(map(str, error.problems)))
        complain(str(error))
        return 2
    except StartError as error:
        stopped = mailbox.is_told_to_stop
        report_failure(inheritance, str(error))
        complain(f"l7: {error}")
        return 0 if stopped else 1
    else:
        try:
            first = 1 if inheritance is None else inheritance.generation + 1
            generations = Generations(load, ground, loaded, bound, events, first)
            return Arbiter(generations, ground, mailbox, events, run, environ, inheritance, held).loop()
        finally:
            ground.leave()
    finally:
        mailbox.mute()


class Arbiter:
    """The master at work."""

    def __init__(
        self, generations: Generations, ground: Ground, mailbox: Mailbox, events: Events, run: Run,
        environ: Mapping[str, str], inheritance: Inheritance | None, held: HeldFiles | None,
    ) -> None:  # fmt: skip
        self._generations, self._ground, self._mailbox, self._events, self._run = (
            generations, ground, mailbox, events, run,
        )  # fmt: skip
        self._environ = environ
        self._board = Board(PLACES)
        self._scales = Scales(self._board)
        self._poll = Poll()
        self._poll.add(mailbox.descriptor, lambda: None)  # it is looked into after every waiting
        self._roster = Roster(self._poll, self._note)
        self._relay = Relay(self._board, self._roster, self._takers)
        self._inquiries = Inquiries(
            self._poll, ground.control, self._board, self._roster, self._relay, generations,
            lambda: self._fleet, lambda: self._queue.append(v.Hangup()), lambda: self._office.entry(),
        )  # fmt: skip
        self._verdicts = self._inquiries.verdicts
        self._notifier = Notifier(environ)
        self._queue: deque[v.Event] = deque()
        names = Names(generations.books, generations.administration, self._roster, events)
        company = Company(self._board, self._roster, self._relay, self._scales, lambda: self._fleet)
        self._lineage = Lineage(
            self._poll, ground, generations, self._relay, self._inquiries, self._notifier, events,
            self._queue.append, inheritance, held, company, names,
        )  # fmt: skip
        self._fleet: Fleet = first(generations.current.plan(), SLOTS, monotonic())
        self._office = Office(
            self._board, self._roster, generations, self._inquiries.desk, self._release, names, events
        )  # fmt: skip
        self._notices = Notices(generations.books.ledger, generations.current.generation.number)
        self._dump_wanted = False
        self._awake_since = monotonic()
        self._code: int | None = None

    def loop(self) -> int:
        """Supervise until the end; returns the exit code."""
        setproctitle("l7: master")
        self._events.generation = self._fleet.plan.generation
        self._queue.append(v.Tick())
        while True:
            while self._queue:
                self._step(self._queue.popleft())
            if self._code is not None:
                self._inquiries.close("l7 has stopped")
                self._relay.close()
                self._lineage.see_off(lambda: self._mailbox.pause(NAP))
                self._office.close()
                self._events.info(named("master.stopped", "stopped"))
                return self._code
            self._office.look(self._fleet, self._awake_since)
            self._notices.look(self._fleet, self._generations.current.generation.number, self._verdicts.last)
            self._dump()  # only when nothing is left to decide: writing may take a while
            self._wait()
            self._collect()

    # --- wait -------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        due = [self._fleet.next_deadline(monotonic()), self._next_silence(), self._relay.due, self._inquiries.due]
        due += [self._lineage.due, self._office.due(self._awake_since)]
        wake = min((moment for moment in due if moment is not None), default=None)
        self._poll.wait(wake)
        if wake is not None and monotonic() > wake + OVERSLEPT:
            self._awake_since = monotonic()
        self._relay.retry()
        self._inquiries.look()
        self._lineage.look(self._fleet)

    def _next_silence(self) -> float | None:
        silence = self._fleet.plan.silence
        beats = (self._last_beat(w.slot, w.since) for w in self._fleet.workers if w.state in BEATS)
        return min((beat + silence for beat in beats), default=None)

    def _last_beat(self, slot: int, since: float) -> float:
        return max(self._board.slot(slot)[BEAT] / 1e9, since, self._awake_since)

    # --- one event --------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Turn what has happened into events."""
        wishes = self._mailbox.take()
        self._reap()
        for wish in wishes:
            if wish is Wish.DUMP:
                self._dump_wanted = True
            elif wish in _EVENTS and not (wish is Wish.RELOAD and self._lineage.remembers_reload()):
                self._queue.append(_EVENTS[wish])
        now = monotonic()
        for worker in self._fleet.workers:
            silence = now - self._last_beat(worker.slot, worker.since)
            if worker.state in BEATS and silence >= self._fleet.plan.silence:
                self._queue.append(v.Silent(worker.slot))
        self._queue.append(v.Tick())

    def _note(self, handle: Handle, received: Received) -> None:
        message, descriptor = received
        if self._office.owns(handle):
            self._office.note(handle, received)
        elif isinstance(message, Adopt) and descriptor is not None:
            self._relay.post(message, descriptor, handle)
        elif isinstance(message, Ready):
            self._queue.append(v.Booted(handle.slot))
        elif isinstance(message, Drained):
            self._queue.append(v.Heard(handle.slot))
        elif isinstance(message, StacksWritten):
            self._queue.append(v.Stacks(handle.slot))
        elif isinstance(message, BootFailed):
            handle.why = message.why
        else:
            received.discard()

    def _reap(self) -> None:
        for handle, status in self._roster.reap():
            if self._office.owns(handle):
                self._office.gone(handle, status)
                continue
            self._board.idle(handle.slot)
            self._generations.books.retire(handle.slot)
            self._queue.append(v.Gone(handle.slot, describe_end(status, handle.why), status == 0))
        reap_orphans({*self._lineage.children, *(handle.pid for handle in self._roster.handles.values())})

    def _takers(self, origin: Handle | None) -> list[Handle]:
        takers = self._fleet.takers(None if origin is None else origin.slot)
        return [handle for worker in takers if (handle := self._roster.get(worker.slot)) is not None]

    # --- step -------------------------------------------------------------------------------------------------------

    def _step(self, event: v.Event) -> None:
        try:
            self._fleet, actions = step(self._fleet, event, monotonic())
        except LifecycleError as bug:
            self._events.error(f"this is a bug in l7, please report it: {event}: {bug}")
            return
        for action in actions:
            _ACTIONS[type(action)](self, action)

    # --- act --------------------------------------------------------------------------------------------------------

    def _spawn(self, action: v.Spawn) -> None:
        served = self._generations.get(action.generation)
        self._board.clear(action.slot)
        self._generations.books.open(action.slot)
        try:
            handle = spawn(
                lambda pid, channel: Handle(
                    action.slot, action.index, action.generation, pid, channel, monotonic(), served.generation.digest
                ),
                lambda channel: self._boot(action, served, channel),
                self._run,
                lambda: self._release(served.listeners),
                self._events,
                title(action.index, action.generation),
            )
        except OSError as error:
            self._queue.append(v.Gone(action.slot, f"cannot start: {error.strerror}"))
            return
        self._roster.add(handle)
        words = f"worker {action.index + 1} is started: process {handle.pid}"
        event = named("worker.started", words, worker=action.index + 1, pid=handle.pid)
        self._events.write("debug", event, action.generation)
        self._notices.started()

    def _boot(self, action: v.Spawn, served: Served, channel: socket.socket) -> Boot:
        books = self._generations.books
        return Boot(
            generation=served.generation,
            slot=action.slot,
            index=action.index,
            workers=self._fleet.wanted,
            listeners=[listener.socket for listener in served.listeners],
            channel=channel,
            board=self._board,
            ledger=books.ledger,
            lane=books.lane(action.slot),
            rows=books.rows.taken(),
            resolved=books.resolved,
            cookie_key=books.cookie_key,
            log_lock=self._ground.output_lock,
            log=self._ground.log.held,
        )

    def _release(self, kept: Sequence[Listener]) -> None:
        """Close, in a child, what only the master needs."""
        self._mailbox.release()
        if self._ground.pid_file is not None:
            self._ground.pid_file.release()
        self._roster.release()
        self._inquiries.desk.release()
        self._lineage.release()
        if self._ground.control is not None:
            self._ground.control.socket.close()
        for listener in self._ground.listeners.everything():
            if listener not in kept:
                listener.socket.close()

    def _drain(self, action: v.Drain) -> None:
        self._roster.tell(action.slot, Drain(action.within, "close" if action.close else "handover"))

    def _load(self, action: v.Load) -> None:
        self._verdicts.begin()
        self._notifier.reloading()
        restore(self._ground, self._inquiries.desk, self._environ, self._events)
        try:
            served = self._generations.load()
        except Refused as refusal:
            self._verdicts.refused(refusal.lines, self._fleet.plan.generation)
            self._notifier.ready(f"reload refused, generation {self._fleet.plan.generation} stays")
            for line in refusal.lines:
                self._events.error(line)
            stays = f"reload refused, generation {self._fleet.plan.generation} stays"
            self._events.error(named("reload.refused", stays))
            return
        self._verdicts.loaded(served.generation.number, list(served.changes), list(served.troubles))
        self._queue.appendleft(v.Loaded(served.plan()))

    def _watch(self, action: v.Watch) -> None:
        self._scales.watch(one for one in self._fleet.live() if one.generation != self._fleet.plan.generation)
        lend(self._board, self._roster, self._fleet.live(), action.slot)

    def _level(self, action: v.Level) -> None:
        lend(self._board, self._roster, self._fleet.live(self._fleet.plan.generation), action.slot, trial=False)

    def _settle(self, action: v.Settle) -> None:
        self._generations.settle(action.generation)
        self._verdicts.settled(action.generation)
        self._notifier.ready(f"generation {action.generation}")

    def _log(self, action: v.Log) -> None:
        self._events.write(action.level, action.text, action.generation)
        self._verdicts.note(action.level, action.text)

    def _announce(self, action: v.Announce) -> None:
        count = f"{action.ready} of {action.wanted}" if action.ready < action.wanted else f"{action.wanted}"
        where = describe(self._generations.current.listeners)
        self._events.info(named("master.ready", f"ready: listening on {where}; workers: {count}", workers=action.ready))
        self._lineage.announce(where, self._fleet)

    def _close_listeners(self, action: v.CloseListeners) -> None:
        if (phase := self._fleet.phase) is not MasterState.RETIRING:
            self._notifier.stopping()
            self._lineage.stop(quick=phase is MasterState.STOPPING, within=self._fleet.plan.graceful)
        self._ground.close_listeners()

    def _finish(self, action: v.Finish) -> None:
        self._code = action.code

    # --- dump -------------------------------------------------------------------------------------------------------

    def _dump(self) -> None:
        if self._dump_wanted:
            self._dump_wanted = False
            states = {worker.slot: worker.state.value for worker in self._fleet.workers} | self._office.states()
            lines = process_lines(self._roster.handles.values(), states, self._board)
            write(self._generations.dump(lines), self._ground.output_lock, self._is_in_a_hurry, self._events.warning)

    def _is_in_a_hurry(self) -> bool:
        return self._fleet.phase in ENDS or self._mailbox.is_told_to_stop


_EVENTS: dict[Wish, v.Event] = {
    Wish.RELOAD: v.Hangup(),
    Wish.UPGRADE: v.Upgrade(),
    Wish.TERMINATE: v.Terminate(),
    Wish.INTERRUPT: v.Interrupt(),
    Wish.MORE: v.More(),
    Wish.FEWER: v.Fewer(),
}

_ACTIONS: dict[type[v.Action], Callable[[Arbiter, Any], None]] = {
    v.Spawn: Arbiter._spawn,
    v.Drain: Arbiter._drain,
    v.Stop: lambda self, action: self._roster.tell(action.slot, Stop()),
    v.AskStacks: lambda self, action: self._roster.signal(action.slot, signal.SIGUSR2, signal.SIGCONT),
    v.Abort: lambda self, action: self._roster.signal(action.slot, signal.SIGABRT, signal.SIGCONT),
    v.Kill: lambda self, action: self._roster.signal(action.slot, signal.SIGKILL),
    v.Load: Arbiter._load,
    v.Watch: Arbiter._watch,
    v.Level: Arbiter._level,
    v.Weigh: lambda self, action: self._queue.append(self._scales.weigh(self._fleet)),
    v.Execute: lambda self, action: self._lineage.execute(self._fleet),
    v.Abandon: lambda self, action: self._lineage.abandon(stop=action.stop),
    v.PassOn: lambda self, action: self._lineage.pass_on(),
    v.GiveBack: lambda self, action: self._lineage.give_back(),
    v.Settle: Arbiter._settle,
    v.Announce: Arbiter._announce,
    v.CloseListeners: Arbiter._close_listeners,
    v.Log: Arbiter._log,
    v.Finish: Arbiter._finish,
}
