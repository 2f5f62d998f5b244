"""A fleet without processes: time is a number, and workers do what the test says.

`Simulation` plays the arbiter's part: it hands events to `l7.master.supervision.step.step`, keeps what was told to the
workers and checks after every step that what must always hold does hold.
"""

from __future__ import annotations

from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import MasterPhase
from l7.master.supervision.state import ChildRecord, SupervisorState, initial_state
from l7.master.supervision.step import step


class Simulation:
    def __init__(self, workers: int = 2, *, slots: int = 64, **times: float) -> None:
        self.now = 100.0
        self.times = times
        self.state: SupervisorState = initial_state(v.GenerationPlan(1, workers, **times), slots, self.now)
        self.actions: list[v.Action] = []
        self.log: list[str] = []
        self.alive: dict[int, v.SpawnWorker | v.SpawnMonitor] = {}
        self.least_ready: int | None = None
        self.most_alive = 0
        self.weight = (v.AnswerTally(), v.AnswerTally(), True)
        """What the new workers answer, what the old ones do, and whether the hearts of the new ones beat."""
        self.past = v.AnswerTally()
        self.hears = True
        """Whether workers answer at once when they are told to drain."""
        self.send(v.Tick())

    def send(self, event: v.Event) -> list[v.Action]:
        self.state, actions = step(self.state, event, self.now)
        told: list[int] = []
        weighed = 0
        for action in actions:
            if isinstance(action, v.SpawnWorker | v.SpawnMonitor):
                assert action.slot not in self.alive, "two processes in one slot"
                self.alive[action.slot] = action
            if isinstance(action, v.ActivateMonitor):
                others = [slot for slot in self.alive if slot >= self.state.slots and slot != action.slot]
                assert not others, "two monitor processes at work"
            if isinstance(action, v.DrainWorker) and self.hears:
                told.append(action.slot)
            if isinstance(action, v.CompareCanary):
                weighed += 1
            if isinstance(action, v.LogEvent):
                self.log.append(f"{action.level} {action.text}")
        self.actions += actions
        self.most_alive = max(self.most_alive, len(self.alive))
        if self.least_ready is not None:
            self.least_ready = min(self.least_ready, len(self.ready()))
        for slot in told:
            actions = actions + self.send(v.DrainAcknowledged(slot))
        for _ in range(weighed):
            new, old, beats = self.weight
            actions = actions + self.send(
                v.CanaryCompared(self.state.plan.generation, new, old, self.past, beats=beats)
            )
        return actions

    def watch_capacity(self) -> None:
        self.least_ready = len(self.ready())

    def pass_time(self, seconds: float) -> list[v.Action]:
        """Let time pass as the arbiter does: waking at every deadline."""
        end, actions = self.now + seconds, []
        for _ in range(1000):
            due = self.state.next_deadline(self.now)
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            actions += self.send(v.Tick())
        else:
            raise AssertionError("time stands still: a deadline that nothing moves")
        self.now = end
        return actions + self.send(v.Tick())

    def boot(self, slot: int | None = None) -> None:
        """One worker that starts becomes ready (the only one, unless its slot is given)."""
        if slot is None:
            (slot,) = [worker.slot for worker in self.state.workers if worker.state.value == "starting"]
        self.send(v.ChildReady(slot))

    def boot_all(self) -> None:
        for worker in self.state.workers:
            if worker.state.value == "starting":
                self.boot(worker.slot)

    def die(self, slot: int, why: str = "killed by SIGKILL", *, clean: bool = False) -> list[v.Action]:
        del self.alive[slot]
        return self.send(v.ChildExited(slot, why, clean))

    def reload(self, generation: int, workers: int = 2, *, forced: bool = False) -> None:
        """HUP, or a reload that is forced, with a valid configuration."""
        assert v.LoadConfiguration(forced) in self.send(v.ReloadRequested(forced))
        self.loaded(generation, workers, forced=forced)

    def loaded(self, generation: int, workers: int = 2, *, forced: bool = False) -> None:
        self.send(v.ConfigurationLoaded(v.GenerationPlan(generation, workers, **self.times), forced))

    def look_ahead(self, **unreachable: bool) -> list[v.Action]:
        """The one worker that starts has looked ahead; of each backend that it has not reached, whether it works now.

        It boots when it is let accept.
        """
        (worker,) = self.starting()
        for backend, works_now in unreachable.items():
            self.send(v.BackendUnreachable(worker.slot, backend, "x:80: connect refused", works_now))
        actions = self.send(v.PreflightFinished(worker.slot))
        if v.AcceptConnections(worker.slot) in actions:
            self.boot(worker.slot)
        return actions

    def drained(self) -> None:
        """Every draining worker comes to its end."""
        for worker in self.state.workers:
            if worker.state.value == "draining":
                self.die(worker.slot, "exit status 0", clean=True)

    def starting(self) -> list[ChildRecord]:
        return [worker for worker in self.state.workers if worker.state.value == "starting"]

    def ready(self, generation: int | None = None) -> list[ChildRecord]:
        return [w for w in self.state.workers if w.ready and generation in (None, w.generation)]

    def told(self, kind: type[v.Action]) -> list[v.Action]:
        return [action for action in self.actions if isinstance(action, kind)]

    def forget(self) -> None:
        self.actions.clear()

    @property
    def phase(self) -> MasterPhase:
        return self.state.phase


def serving(workers: int = 2, **options: float) -> Simulation:
    """A fleet whose first generation has been ready for a while."""
    sim = Simulation(workers, **options)
    sim.boot_all()
    assert sim.phase is MasterPhase.SERVING
    sim.pass_time(60)
    sim.forget()
    return sim
