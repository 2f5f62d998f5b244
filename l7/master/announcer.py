"""The first and the last moment of a master, as the outside sees them: ready, and stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from l7.master.context import MasterContext
from l7.master.control.commands import ControlCommands
from l7.master.part import MasterPart
from l7.master.resources.listeners import describe
from l7.master.supervision import events as v
from l7.master.supervision.lifecycle import MasterPhase
from l7.master.supervision.transition import MARGIN
from l7.master.upgrade.coordinator import UpgradeCoordinator
from l7.telemetry.events import named


class ServiceAnnouncer(MasterPart):
    """Tells the log and systemd that l7 is ready, alive or stopping; opens the control socket, closes listeners."""

    def __init__(self, context: MasterContext, commands: ControlCommands, upgrades: UpgradeCoordinator) -> None:
        self._context = context
        self._commands = commands
        self._upgrades = upgrades

    @property
    def actions(self) -> Mapping[type[v.Action], Callable[[Any], None]]:
        """What is done when l7 is ready, and when it accepts no more."""
        return {v.AnnounceReady: self._announce, v.CloseListeners: self._close_listeners}

    @property
    def due(self) -> float | None:
        """When systemd's watchdog is to be told again."""
        return self._context.notifier.due

    def look(self) -> None:
        """Tell systemd's watchdog that the loop turns."""
        self._context.notifier.look()

    def _announce(self, action: v.AnnounceReady) -> None:
        """Say that l7 serves; at an upgrade, ask the predecessor first to let this l7 take over."""
        context = self._context
        count = f"{action.ready} of {action.wanted}" if action.ready < action.wanted else f"{action.wanted}"
        where = describe(context.generations.current.listeners)
        words = f"ready: listening on {where}; workers: {count}"
        context.events.info(named("master.ready", words, workers=action.ready))
        if not self._upgrades.offer():
            self._commands.open()
            context.notifier.ready(f"listening on {where}")

    def _close_listeners(self, action: v.CloseListeners) -> None:
        """Close the listeners; stop a predecessor that still drains, too, when this l7 stops."""
        state = self._context.machine.state
        if state.phase is not MasterPhase.RETIRING:
            self._context.notifier.stopping()
            quick = state.phase is MasterPhase.STOPPING
            self._upgrades.stop(quick=quick, within=MARGIN + (0.0 if quick else state.plan.graceful))
        self._context.resources.close_listeners()
