"""The events and the actions of the supervision: what goes into `l7.master.supervision.step.step`, and what comes out.

A slot is the child's row on the scoreboard and its name between the pure part and the arbiter; an index is the place
that a worker fills (0 to n-1). Two workers of one index, the old one and the new, have different slots.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GenerationPlan:
    """What the supervision must know of one generation. Times are seconds."""

    generation: int
    workers: int
    graceful: float = 8.0
    drain: float = 300.0
    silence: float = 30.0
    canary: float = 0.0
    preflight: float = 0.0
    """How long the first new worker of a reload may look ahead; 0: it does not."""
    monitor: bool = False
    """Whether the generation has work for a monitor process."""
    monitor_to_end: bool = False
    """Whether that process goes on until l7 ends: it answers on an admin address, or exports traces."""


@dataclass(frozen=True)
class AnswerTally:
    """How many requests were answered, and how many of them with an error of l7's own."""

    answers: int = 0
    faults: int = 0

    def __add__(self, other: AnswerTally) -> AnswerTally:
        return AnswerTally(self.answers + other.answers, self.faults + other.faults)

    def __sub__(self, other: AnswerTally) -> AnswerTally:
        return AnswerTally(self.answers - other.answers, self.faults - other.faults)

    def __str__(self) -> str:
        return f"{self.answers} answers, {self.faults} of them errors of l7's own"


# --- events ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True)
class ReloadRequested:
    """A reload was asked for; ``forced``: whatever is known of the servers of the new configuration."""

    forced: bool = False


@dataclass(frozen=True)
class ConfigurationLoaded:
    """The new configuration is valid and its listeners are bound."""

    plan: GenerationPlan
    forced: bool = False


@dataclass(frozen=True)
class BackendUnreachable:
    """A worker that looks ahead has reached no server of a backend; ``why`` is for people."""

    slot: int
    backend: str
    why: str
    works_now: bool
    """Whether the present configuration has a server for it that can be used."""


@dataclass(frozen=True)
class PreflightFinished:
    """A worker's look ahead is over; it accepts nothing until it is told."""

    slot: int


@dataclass(frozen=True)
class ChildReady:
    """A child reported ready."""

    slot: int


@dataclass(frozen=True)
class ChildExited:
    """A child's process ended, or could not be started; ``why`` is for people; ``clean``: it exited with status 0."""

    slot: int
    why: str
    clean: bool = False


@dataclass(frozen=True)
class HeartbeatLost:
    """A child's heartbeat stayed out for longer than ``worker-timeout``."""

    slot: int


@dataclass(frozen=True)
class DrainAcknowledged:
    """A worker that was told to drain has answered that it accepts no more connections."""

    slot: int


@dataclass(frozen=True)
class RelayBegun:
    """A worker that drains has the TLS of connections that others serve."""

    slot: int


@dataclass(frozen=True)
class CanaryCompared:
    """What the new generation and the old one answered since the watch began."""

    generation: int
    """The new one."""
    new: AnswerTally
    old: AnswerTally
    past: AnswerTally = AnswerTally()
    """What the old workers had answered before the watch."""
    beats: bool = True
    """Whether all new workers have a recent heartbeat."""


@dataclass(frozen=True)
class UpgradeRequested:
    """Another l7, executed anew, is to take this one's place."""


@dataclass(frozen=True)
class SuccessorTookOver:
    """The next l7, process ``pid``, has taken over."""

    pid: int


@dataclass(frozen=True)
class UpgradeFailed:
    """The next l7 has not taken over, and ends."""

    why: str


@dataclass(frozen=True)
class ScaleUp:
    """One worker more."""


@dataclass(frozen=True)
class ScaleDown:
    """One worker fewer."""


@dataclass(frozen=True)
class GracefulStopRequested:
    """Stop when the requests in flight are done."""


@dataclass(frozen=True)
class QuickStopRequested:
    """Stop now."""


Event = (
    Tick
    | ReloadRequested
    | ConfigurationLoaded
    | BackendUnreachable
    | PreflightFinished
    | ChildReady
    | ChildExited
    | HeartbeatLost
    | DrainAcknowledged
    | RelayBegun
    | CanaryCompared
    | UpgradeRequested
    | SuccessorTookOver
    | UpgradeFailed
    | ScaleUp
    | ScaleDown
    | GracefulStopRequested
    | QuickStopRequested
)

# --- actions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SpawnWorker:
    """Fork a worker; before it accepts it may look ahead for ``preflight`` seconds (0: it does not)."""

    slot: int
    index: int
    generation: int
    preflight: float = 0.0


@dataclass(frozen=True)
class AcceptConnections:
    """Tell a worker that has looked ahead to serve."""

    slot: int


@dataclass(frozen=True)
class DrainWorker:
    """Tell a worker to stop accepting and to finish; ``close`` says what becomes of idle connections."""

    slot: int
    within: float
    close: bool = False


@dataclass(frozen=True)
class AnnounceRelays:
    """Let the next answer be the last of each connection whose TLS a worker has."""

    slot: int


@dataclass(frozen=True)
class SpawnMonitor:
    """Fork a monitor process."""

    slot: int
    generation: int


@dataclass(frozen=True)
class ActivateMonitor:
    """Tell a monitor process to begin its work: no other one is left."""

    slot: int


@dataclass(frozen=True)
class StopChild:
    """Tell a child to end at once."""

    slot: int


@dataclass(frozen=True)
class AbortChild:
    """Make a child's interpreter write its stacks and die."""

    slot: int


@dataclass(frozen=True)
class KillChild:
    """Kill a child's process."""

    slot: int


@dataclass(frozen=True)
class LoadConfiguration:
    """Read the configuration again and bind what is new; a success comes back as `ConfigurationLoaded`."""

    forced: bool = False


@dataclass(frozen=True)
class StartCanaryWatch:
    """Note what the workers of the old generation have answered so far."""


@dataclass(frozen=True)
class CompareCanary:
    """Compare the new generation with the old one; the result comes back as `CanaryCompared`."""


@dataclass(frozen=True)
class StartSuccessor:
    """Start the next l7; what becomes of it comes back as `SuccessorTookOver` or `UpgradeFailed`."""


@dataclass(frozen=True)
class AbandonSuccessor:
    """End the next l7, which has not taken over."""


@dataclass(frozen=True)
class ForwardReload:
    """Let the l7 that has taken over reload: it was asked for here."""

    forced: bool = False


@dataclass(frozen=True)
class CommitGeneration:
    """The reload is over and this generation is the one: forget the others, close listeners that it has not."""

    generation: int


@dataclass(frozen=True)
class AnnounceReady:
    """Every worker of the first generation answered: l7 serves."""

    ready: int
    wanted: int


@dataclass(frozen=True)
class CloseListeners:
    """Close the listening sockets: connections are refused once the workers have closed them, too."""


@dataclass(frozen=True)
class LogEvent:
    """Write an event about a generation to the log; ``level`` is debug, info, warning or error."""

    level: str
    text: str
    generation: int = 0
    to_waiters: bool = False
    """Whether the commands that wait for the reload print it, too."""


@dataclass(frozen=True)
class ExitMaster:
    """End with this exit code."""

    code: int


Action = (
    SpawnWorker
    | AcceptConnections
    | DrainWorker
    | AnnounceRelays
    | SpawnMonitor
    | ActivateMonitor
    | StopChild
    | AbortChild
    | KillChild
    | LoadConfiguration
    | StartCanaryWatch
    | CompareCanary
    | StartSuccessor
    | AbandonSuccessor
    | ForwardReload
    | CommitGeneration
    | AnnounceReady
    | CloseListeners
    | LogEvent
    | ExitMaster
)
