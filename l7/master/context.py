"""What the parts of the master work on; `l7.master.build` puts it together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from l7.master.children.close_in_child import CloseInChild
from l7.master.children.poll import Poll
from l7.master.children.signals import SignalQueue
from l7.master.children.table import ChildTable
from l7.master.resources.startup import MasterResources
from l7.master.resources.systemd import SystemdNotifier
from l7.master.state.generations import Generations
from l7.master.supervision.machine import SupervisionMachine
from l7.sharedmem.scoreboard import BEAT, Scoreboard
from l7.telemetry.events import Events


@dataclass(frozen=True)
class MasterContext:
    """The objects that all parts of the master share."""

    machine: SupervisionMachine
    generations: Generations
    resources: MasterResources
    children: ChildTable
    scoreboard: Scoreboard
    poll: Poll
    signal_queue: SignalQueue
    close_in_child: CloseInChild
    notifier: SystemdNotifier
    events: Events
    environ: Mapping[str, str]

    def last_beat(self, slot: int, since: float) -> float:
        """The last heartbeat of the child in a slot, in seconds of the clock.

        None is missed before ``since``, when it came to its state, nor while the machine stood still.
        """
        return max(self.scoreboard.slot(slot)[BEAT] / 1e9, since, self.machine.awake_since)
