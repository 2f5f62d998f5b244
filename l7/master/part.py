"""A part of the master, as its loop sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from l7.master.children.signals import SignalRequest
from l7.master.supervision.events import Action


class MasterPart:
    """What the loop may ask of a part; a subclass overrides what concerns it."""

    @property
    def actions(self) -> Mapping[type[Action], Callable[[Any], None]]:
        """The actions of the supervision that it executes."""
        return {}

    @property
    def signals(self) -> Mapping[SignalRequest, Callable[[], None]]:
        """The requests of signals that it takes."""
        return {}

    @property
    def pids(self) -> tuple[int, ...]:
        """Its processes that are not in the table of the children, and that it reaps itself."""
        return ()

    @property
    def due(self) -> float | None:
        """When `look` is to be called at the latest, as seconds of the clock."""
        return None

    def start(self) -> None:
        """Begin, before the loop does."""

    def look(self) -> None:
        """See what has become due: called in each turn of the loop, when no event waits."""

    def close(self) -> None:
        """End, when the loop has ended."""
