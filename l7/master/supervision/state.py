"""All that the supervision knows, as one value: the phase, the generations, the workers, the deadlines.

Values are replaced, never changed; what follows from them is asked here and decided in `l7.master.supervision.step`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from l7.master.supervision.events import GenerationPlan, ReloadRequested
from l7.master.supervision.lifecycle import ENDS, LIVE, MasterPhase, WorkerState


@dataclass(frozen=True)
class WorkerRecord:
    """One process. ``started`` and ``since`` (when it came to its state) and ``until`` are the clock's seconds."""

    slot: int
    index: int
    generation: int
    started: float
    state: WorkerState = WorkerState.STARTING
    since: float = 0.0
    until: float | None = None
    heard: bool = False
    """Whether it is known to have heard that it is to drain."""

    @property
    def live(self) -> bool:
        """Whether it fills its place, or will in a moment."""
        return self.state in LIVE

    @property
    def ready(self) -> bool:
        """Whether it takes connections."""
        return self.state is WorkerState.READY

    def __str__(self) -> str:
        return f"worker {self.index + 1}"


@dataclass(frozen=True)
class Backoff:
    """How often workers of one index died young in a row, and from when on the next may be started."""

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
    phase: MasterPhase = MasterPhase.STARTING
    before: SupervisorState | None = None
    """What was when the reload began, to return to."""
    workers: tuple[WorkerRecord, ...] = ()
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

    def worker(self, slot: int) -> WorkerRecord | None:
        """The worker in a slot, if there is one."""
        return next((worker for worker in self.workers if worker.slot == slot), None)

    def live(self, generation: int | None = None) -> Iterator[WorkerRecord]:
        """The workers that boot or serve; of one generation only, when it is given."""
        return (w for w in self.workers if w.live and generation in (None, w.generation))

    def filled(self, generation: int | None = None) -> set[int]:
        """The indexes that have a live worker."""
        return {worker.index for worker in self.live(generation)}

    def proven(self) -> set[int]:
        """The indexes whose worker is of the wanted generation, and ready."""
        return {worker.index for worker in self.live(self.plan.generation) if worker.ready}

    def takers(self) -> list[WorkerRecord]:
        """The workers that may be given a connection which another one hands over.

        In a reload those that stay: the old generation's while the canary is watched, then the new one's.
        """
        if self.phase in ENDS:
            return []
        ready = [worker for worker in self.live() if worker.ready]
        in_trial = self.phase is MasterPhase.CANARY and self.before is not None
        stays = (self.before if in_trial and self.before else self).plan.generation
        return [worker for worker in ready if worker.generation == stays] or ready

    def free_slot(self) -> int | None:
        """The lowest slot that no process has."""
        taken = {worker.slot for worker in self.workers}
        return next((slot for slot in range(self.slots) if slot not in taken), None)

    def may_start(self, index: int, now: float) -> bool:
        """Whether the place's back-off is over."""
        strike = self.strikes.get(index)
        return strike is None or strike.until <= now

    def with_worker(self, changed: WorkerRecord) -> SupervisorState:
        """This state with one worker changed."""
        return replace(self, workers=tuple(changed if w.slot == changed.slot else w for w in self.workers))

    def without(self, slot: int) -> SupervisorState:
        """This state without one worker."""
        return replace(self, workers=tuple(w for w in self.workers if w.slot != slot))

    def with_strike(self, index: int, strike: Backoff | None) -> SupervisorState:
        """This state with the back-off of one place changed."""
        strikes = {key: value for key, value in self.strikes.items() if key != index}
        if strike is not None:
            strikes[index] = strike
        return replace(self, strikes=strikes)

    def next_deadline(self, now: float) -> float | None:
        """When something is due without any event; what is due already counts, a back-off that is over doesn't."""
        due: Iterable[float | None] = [
            self.until,
            self.weigh_at,
            *(worker.until for worker in self.workers),
            *(strike.until for strike in self.strikes.values() if strike.until > now),
        ]
        return min((moment for moment in due if moment is not None), default=None)


def initial_state(plan: GenerationPlan, slots: int, now: float) -> SupervisorState:
    """The state before the first worker is started."""
    return SupervisorState(plan=plan, wanted=plan.workers, slots=slots, since=now)
