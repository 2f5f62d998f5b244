"""All that the supervision knows, as one value: the phase, the generations, the children, the deadlines.

Values are replaced, never changed; what follows from them is asked here and decided in `l7.master.supervision.step`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from l7.master.supervision.events import GenerationPlan, ReloadRequested
from l7.master.supervision.lifecycle import ENDS, LIVE, ChildState, MasterPhase

MONITOR_SLOTS = 16
"""Monitor processes that there may be at a time: one at work, and those that wait or end."""
NO_INDEX = -1
"""The index of a monitor process, which has no place among the workers."""


class ChildRole(Enum):
    """What a child is for."""

    WORKER = "worker"
    MONITOR = "monitor"


STOP_WITHIN = {ChildRole.WORKER: 1.0, ChildRole.MONITOR: 1.5}
"""Seconds that a child has to end when it was told to stop at once."""
STACKS_WITHIN = {ChildRole.WORKER: 1.0, ChildRole.MONITOR: 1.5}
"""Seconds that the interpreter of a silent child has to write its stacks."""


@dataclass(frozen=True)
class ChildRecord:
    """One child. ``started`` and ``since`` (when it came to its state) and ``until`` are the clock's seconds."""

    slot: int
    index: int
    generation: int
    started: float
    state: ChildState = ChildState.STARTING
    since: float = 0.0
    until: float | None = None
    heard: bool = False
    """Whether it is known to have heard that it is to drain."""
    announced: bool = False
    """Whether the connections that it relays end with their next answers."""
    role: ChildRole = ChildRole.WORKER

    @property
    def live(self) -> bool:
        """Whether the child fills its place, or will in a moment."""
        return self.state in LIVE

    @property
    def ready(self) -> bool:
        """Whether a worker takes connections, or a monitor process is at work."""
        return self.state is ChildState.READY

    @property
    def is_worker(self) -> bool:
        """Whether the child is a worker."""
        return self.role is ChildRole.WORKER

    @property
    def title(self) -> str:
        """The process title of the child, which ``ps`` shows."""
        name = f"worker {self.index + 1}" if self.is_worker else "monitor"
        return f"l7: {name} (generation {self.generation})"

    def __str__(self) -> str:
        return f"worker {self.index + 1}" if self.is_worker else "the monitor process"


@dataclass(frozen=True)
class Backoff:
    """How often children of one index died young in a row, and from when on the next may be started."""

    count: int
    until: float


@dataclass(frozen=True)
class SupervisorState:
    """The state of the supervision."""

    plan: GenerationPlan
    """The generation that is wanted: the new one during a reload, the old one again during a rollback."""
    wanted: int
    """How many workers there are to be: the plan's, changed by TTIN and TTOU."""
    slots: int
    """How many workers there may be at a time, old and new ones. Theirs are the slots 0 to ``slots`` - 1."""
    phase: MasterPhase = MasterPhase.STARTING
    before: SupervisorState | None = None
    """What was when the reload began, to return to."""
    children: tuple[ChildRecord, ...] = ()
    strikes: dict[int, Backoff] = field(default_factory=dict)
    failures: int = 0
    """Workers of the new generation that failed in this reload."""
    fault: str = ""
    """Why the last of those failed."""
    watched: int | None = None
    """The slot of the canary while it is watched."""
    weigh_at: float | None = None
    """When the generations are compared next."""
    unreachable: tuple[str, ...] = ()
    """What the look ahead holds against the new generation: backends that work now and would not any more."""
    forced: bool = False
    """Whether this reload goes on all the same."""
    again: ReloadRequested | None = None
    """The reload that was asked for when none could begin."""
    since: float = 0.0
    """When the reload, the draining or the stopping began, whose duration is told."""
    until: float | None = None
    code: int = 0

    @property
    def workers(self) -> tuple[ChildRecord, ...]:
        """The children that are workers."""
        return tuple(child for child in self.children if child.is_worker)

    @property
    def monitors(self) -> tuple[ChildRecord, ...]:
        """The children that are monitor processes."""
        return tuple(child for child in self.children if not child.is_worker)

    def child(self, slot: int) -> ChildRecord | None:
        """The child in a slot, if there is one."""
        return next((child for child in self.children if child.slot == slot), None)

    def live(self, generation: int | None = None) -> Iterator[ChildRecord]:
        """The workers that boot or serve; of one generation only, when it is given."""
        return (w for w in self.workers if w.live and generation in (None, w.generation))

    def filled(self, generation: int | None = None) -> set[int]:
        """The indexes that have a live worker."""
        return {worker.index for worker in self.live(generation)}

    def proven(self) -> set[int]:
        """The indexes whose worker is of the wanted generation, and ready."""
        return {worker.index for worker in self.live(self.plan.generation) if worker.ready}

    def takers(self) -> list[ChildRecord]:
        """The workers that may be given a connection which another one hands over.

        In a reload those that stay: the old generation's while the canary is watched, then the new one's.
        """
        if self.phase in ENDS:
            return []
        ready = [worker for worker in self.live() if worker.ready]
        in_trial = self.phase is MasterPhase.CANARY and self.before is not None
        stays = (self.before if in_trial and self.before else self).plan.generation
        return [worker for worker in ready if worker.generation == stays] or ready

    def free_slot(self, role: ChildRole = ChildRole.WORKER) -> int | None:
        """The lowest slot for a role that no child has."""
        taken = {child.slot for child in self.children}
        slots = range(self.slots) if role is ChildRole.WORKER else range(self.slots, self.slots + MONITOR_SLOTS)
        return next((slot for slot in slots if slot not in taken), None)

    def may_start(self, index: int, now: float) -> bool:
        """Whether the place's back-off is over."""
        strike = self.strikes.get(index)
        return strike is None or strike.until <= now

    def with_child(self, changed: ChildRecord) -> SupervisorState:
        """This state with one child changed."""
        return replace(self, children=tuple(changed if c.slot == changed.slot else c for c in self.children))

    def without(self, slot: int) -> SupervisorState:
        """This state without one child."""
        return replace(self, children=tuple(child for child in self.children if child.slot != slot))

    def with_strike(self, index: int, strike: Backoff | None) -> SupervisorState:
        """This state with the back-off of one place changed."""
        strikes = {key: value for key, value in self.strikes.items() if key != index}
        if strike is not None:
            strikes[index] = strike
        return replace(self, strikes=strikes)

    def next_deadline(self, now: float) -> float | None:
        """When something is due without any event; what is due already counts, a back-off that is over does not."""
        if self.phase is MasterPhase.STOPPED:
            return None
        due: Iterable[float | None] = [
            self.until,
            self.weigh_at,
            *(child.until for child in self.children),
            *(strike.until for strike in self.strikes.values() if strike.until > now),
        ]
        return min((moment for moment in due if moment is not None), default=None)


def initial_state(plan: GenerationPlan, slots: int, now: float) -> SupervisorState:
    """The state before the first worker is started."""
    return SupervisorState(plan=plan, wanted=plan.workers, slots=slots, since=now)
