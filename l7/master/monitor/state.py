"""Who takes care of the monitor process, as a pure step: ``step(post, event, now) -> (post, actions)``.

The monitor process (`l7.workers.monitor.process`) is one more child of the master beside the workers, and no request
passes through it: it may die, hang or be missing, and traffic goes on with the last that it has found out. The rules:

- There is one for the generation that is wanted, where that generation has any use for it.
- A reload starts one of the new generation beside the old one. The old one is stopped when the new one is ready, and
  the new one begins when the old one is gone: nobody ever writes at the same time as another.
- One that dies is started again, after a pause that grows when it has not lived for long.
- One whose heartbeat stays out is made to write its stacks, and killed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from l7.telemetry.events import named

SLOTS = 16
"""So many monitor processes there can be at a time: one, and those that are at their end."""
STEADY = 10.0
"""Seconds after which a death says nothing about the next one."""
PAUSES = (0.5, 30.0)
"""The first and the longest pause before one is started where others died early; it doubles in between."""
STOP_WITHIN = 1.5
"""Seconds to end by itself, and to write its stacks."""


class MonitorPhase(Enum):
    """What a monitor process is about."""

    STARTING = "starting"
    WAITING = "waiting"
    """It is ready, and another one is not gone yet."""
    READY = "ready"
    STOPPING = "stopping"
    ABORTED = "aborted"
    KILLED = "killed"


LIVE = frozenset({MonitorPhase.STARTING, MonitorPhase.WAITING, MonitorPhase.READY})


@dataclass(frozen=True)
class MonitorRecord:
    """One monitor process. ``until`` is when it must have come out of its phase."""

    slot: int
    generation: int
    started: float
    phase: MonitorPhase = MonitorPhase.STARTING
    until: float | None = None


@dataclass(frozen=True)
class MonitorState:
    """The post of the monitor process, and who fills it. ``wanted`` is a generation, or None where none is needed."""

    wanted: int | None = None
    silence: float = 30.0
    processes: tuple[MonitorRecord, ...] = ()
    early: int = 0
    """How many in a row have died early."""
    pause: float = 0.0
    """When the next one may be started."""

    def process(self, slot: int) -> MonitorRecord | None:
        """Who has a slot."""
        return next((one for one in self.processes if one.slot == slot), None)

    @property
    def present(self) -> MonitorRecord | None:
        """The one of the wanted generation that lives."""
        return next((one for one in self.processes if one.phase in LIVE and one.generation == self.wanted), None)

    def free_slot(self) -> int | None:
        """The lowest slot that nobody has."""
        taken = {one.slot for one in self.processes}
        return next((slot for slot in range(SLOTS) if slot not in taken), None)

    def next_deadline(self, now: float) -> float | None:
        """When something is due without any event."""
        due = [one.until for one in self.processes if one.until is not None]
        if self.wanted is not None and self.present is None and self.pause > now:
            due.append(self.pause)
        return min(due, default=None)


# --- events ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MonitorTick:
    """Time has passed."""


@dataclass(frozen=True)
class MonitorWanted:
    """This generation's is wanted from now on, or none; ``silence`` is how long a heartbeat may stay out."""

    generation: int | None
    silence: float = 30.0


@dataclass(frozen=True)
class MonitorReady:
    """It reported ready."""

    slot: int


@dataclass(frozen=True)
class MonitorHeartbeatLost:
    """Its heartbeat stayed out for too long."""

    slot: int


@dataclass(frozen=True)
class MonitorExited:
    """Its process ended, or could not be started; ``why`` is for people."""

    slot: int
    why: str


MonitorEvent = MonitorTick | MonitorWanted | MonitorReady | MonitorHeartbeatLost | MonitorExited

# --- actions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SpawnMonitor:
    """Fork one."""

    slot: int
    generation: int


@dataclass(frozen=True)
class ActivateMonitor:
    """Let it do its work: it is the only one now."""

    slot: int


@dataclass(frozen=True)
class StopMonitor:
    """Tell it to end."""

    slot: int


@dataclass(frozen=True)
class AbortMonitor:
    """Make its interpreter write its stacks and die."""

    slot: int


@dataclass(frozen=True)
class KillMonitor:
    """End its process, whatever it does."""

    slot: int


@dataclass(frozen=True)
class LogMonitorEvent:
    """Say something; ``level`` is debug, info, warning or error."""

    level: str
    text: str


MonitorAction = SpawnMonitor | ActivateMonitor | StopMonitor | AbortMonitor | KillMonitor | LogMonitorEvent

# --- the step -------------------------------------------------------------------------------------------------------


def step(post: MonitorState, event: MonitorEvent, now: float) -> tuple[MonitorState, list[MonitorAction]]:
    """What becomes of the post by an event, and what is to be done about it."""
    transition = _MonitorTransition(post, now)
    if isinstance(event, MonitorWanted):
        transition.want(event)
    elif isinstance(event, MonitorReady):
        transition.booted(event.slot)
    elif isinstance(event, MonitorHeartbeatLost):
        transition.silent(event.slot)
    elif isinstance(event, MonitorExited):
        transition.gone(event)
    transition.expire()
    transition.reconcile()
    return transition.post, transition.actions


class _MonitorTransition:
    def __init__(self, post: MonitorState, now: float) -> None:
        self.post = post
        self.now = now
        self.actions: list[MonitorAction] = []

    def want(self, event: MonitorWanted) -> None:
        if event.generation != self.post.wanted:
            # A new generation is a new beginning: what the old one died of need not be its fault.
            self.post = replace(self.post, early=0, pause=0.0)
        self.post = replace(self.post, wanted=event.generation, silence=event.silence)

    def booted(self, slot: int) -> None:
        one = self.post.process(slot)
        if one is not None and one.phase is MonitorPhase.STARTING:
            self._move(one, MonitorPhase.WAITING)

    def silent(self, slot: int) -> None:
        one = self.post.process(slot)
        if one is not None and one.phase in LIVE:
            hangs = f"the monitor process hangs: no heartbeat for {self.post.silence:g} s; its stacks follow"
            self._say("error", named("monitor.hung", hangs))
            self._abort(one)

    def gone(self, event: MonitorExited) -> None:
        one = self.post.process(event.slot)
        if one is None:
            return
        rest = tuple(other for other in self.post.processes if other.slot != event.slot)
        self.post = replace(self.post, processes=rest)
        age = self.now - one.started
        if one.phase is MonitorPhase.STOPPING or one.generation != self.post.wanted:
            words = f"the monitor process of generation {one.generation} ended after {age:.1f} s: {event.why}"
            self._say("debug", named("monitor.exited", words, reason=event.why))
            return
        early = 0 if age >= STEADY and one.phase is not MonitorPhase.STARTING else self.post.early + 1
        pause = min(PAUSES[0] * 2 ** min(early - 1, 16), PAUSES[1]) if early else 0.0
        self.post = replace(self.post, early=early, pause=self.now + pause)
        again = f"; it is started again in {pause:g} s" if pause else ""
        words = f"the monitor process died after {age:.1f} s: {event.why}{again}"
        self._say("error", named("monitor.exited", words, reason=event.why))

    def expire(self) -> None:
        for one in self.post.processes:
            if one.until is None or one.until > self.now:
                continue
            if one.phase is MonitorPhase.STARTING:
                words = f"the monitor process is not ready after {self.now - one.started:.1f} s"
                self._say("error", named("monitor.unready", words))
                self._abort(one)
            elif one.phase in (MonitorPhase.STOPPING, MonitorPhase.ABORTED):
                self._move(one, MonitorPhase.KILLED)
                self.actions.append(KillMonitor(one.slot))

    def reconcile(self) -> None:
        present = self.post.present
        for one in self.post.processes:
            if one.phase not in LIVE or one is present:
                continue
            # The old one goes on until there is a new one, except where it has not begun or none is wanted.
            waits = one.phase is MonitorPhase.READY and self.post.wanted is not None
            if not waits or (present is not None and present.phase is not MonitorPhase.STARTING):
                self._move(one, MonitorPhase.STOPPING, STOP_WITHIN)
                self.actions.append(StopMonitor(one.slot))
        if present is None:
            self._spawn()
        elif present.phase is MonitorPhase.WAITING and len(self.post.processes) == 1:
            self._move(present, MonitorPhase.READY)
            self.actions.append(ActivateMonitor(present.slot))

    def _spawn(self) -> None:
        slot, wanted = self.post.free_slot(), self.post.wanted
        if wanted is None or slot is None or self.post.pause > self.now:
            return
        one = MonitorRecord(slot, wanted, self.now, until=self.now + self.post.silence)
        self.post = replace(self.post, processes=(*self.post.processes, one))
        self.actions.append(SpawnMonitor(slot, wanted))

    def _abort(self, one: MonitorRecord) -> None:
        self._move(one, MonitorPhase.ABORTED, STOP_WITHIN)
        self.actions.append(AbortMonitor(one.slot))

    def _move(self, one: MonitorRecord, phase: MonitorPhase, within: float | None = None) -> None:
        moved = replace(one, phase=phase, until=None if within is None else self.now + within)
        changed = tuple(moved if other.slot == one.slot else other for other in self.post.processes)
        self.post = replace(self.post, processes=changed)

    def _say(self, level: str, text: str) -> None:
        self.actions.append(LogMonitorEvent(level, text))
