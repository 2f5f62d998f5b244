"""Sees the end of the privileged opener."""

from __future__ import annotations

from l7.master.context import MasterContext
from l7.master.part import MasterPart
from l7.master.resources.privileged_opener import GONE
from l7.telemetry.events import named


class OpenerWatch(MasterPart):
    """Warns when the privileged opener ends before l7 does."""

    def __init__(self, context: MasterContext) -> None:
        self._context = context
        self._opener = context.resources.opener

    def start(self) -> None:
        """Wait for the end of the opener from now on."""
        if self._opener.alive:
            self._opener.on_release = self._drop
            self._context.poll.add(self._opener.fileno(), self._warn)

    def _drop(self) -> None:
        self._context.poll.drop(self._opener.fileno())

    def _warn(self) -> None:
        self._opener.release()
        self._context.events.warning(named("opener.gone", GONE, pid=self._opener.pid))
