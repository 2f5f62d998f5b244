"""A reload as the master does it: read the configuration, bind, compare the canary, answer commands that wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from l7.master.context import MasterContext
from l7.master.control.reload_tracker import ReloadTracker
from l7.master.control.restoration import restore
from l7.master.control.server import ControlServer
from l7.master.part import MasterPart
from l7.master.state.gauges import MasterGaugeWriter
from l7.master.state.generations import ReloadRefused
from l7.master.supervision import events as v
from l7.master.supervision.canary_counts import CanaryCounts
from l7.telemetry.events import named


class Reloader(MasterPart):
    """Loads generations, and reports each event of the supervision to those that wait for a reload."""

    def __init__(
        self,
        context: MasterContext,
        control_server: ControlServer,
        reload_tracker: ReloadTracker,
        gauges: MasterGaugeWriter,
    ) -> None:
        self._context = context
        self._machine = context.machine
        self._control_server = control_server
        self._reload_tracker = reload_tracker
        self._gauges = gauges
        self._canary_counts = CanaryCounts(context.scoreboard)

    @property
    def actions(self) -> Mapping[type[v.Action], Callable[[Any], None]]:
        """The steps of a reload, and what is said of it."""
        return {
            v.LoadConfiguration: self._load,
            v.StartCanaryWatch: self._watch_canary,
            v.CompareCanary: self._compare_canary,
            v.CommitGeneration: self._settle,
            v.LogEvent: self._log,
        }

    def look(self) -> None:
        """Write the master's gauges."""
        number = self._context.generations.current.generation.number
        self._gauges.look(self._machine.state, number, self._reload_tracker.last)

    def _load(self, action: v.LoadConfiguration) -> None:
        context, stays = self._context, self._machine.state.plan.generation
        self._reload_tracker.begin()
        context.notifier.reloading()
        restore(context.resources, self._control_server, context.environ, context.events)
        try:
            served = context.generations.load()
        except ReloadRefused as refusal:
            self._reload_tracker.refused(refusal.lines, stays)
            words = f"reload refused, generation {stays} stays"
            context.notifier.ready(words)
            for line in refusal.lines:
                context.events.error(line)
            context.events.error(named("reload.refused", words, reason="configuration"))
            return
        self._reload_tracker.loaded(served.generation.number, list(served.changes), list(served.troubles))
        self._machine.post_first(v.ConfigurationLoaded(served.plan(), action.forced))

    def _watch_canary(self, action: v.StartCanaryWatch) -> None:
        state = self._machine.state
        self._canary_counts.watch(one for one in state.live() if one.generation != state.plan.generation)

    def _compare_canary(self, action: v.CompareCanary) -> None:
        self._machine.post(self._canary_counts.weigh(self._machine.state))

    def _settle(self, action: v.CommitGeneration) -> None:
        self._context.generations.settle(action.generation)
        self._reload_tracker.settled(action.generation)
        self._context.notifier.ready(f"generation {action.generation}")

    def _log(self, action: v.LogEvent) -> None:
        self._context.events.write(action.level, action.text, action.generation)
        self._reload_tracker.note(action.level, action.text, in_any_case=action.to_waiters)
