"""Results of reloads, for the commands that wait for them, for ``l7 status`` and for the overview."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from l7.clock import monotonic
from l7.ipc.requests import refusal
from l7.master.control.server import ControlConnection

KEPT = 20
"""Results that are kept."""
MOST_LINES = 50
"""Changes, and reasons, that are kept of each."""

SendVerdict = Callable[[ControlConnection, dict[str, Any]], None]


class ReloadTracker:
    """The control connections that wait for a reload, and the results of the last ones.

    :param answer: sends the result to one.
    :param passed: how many connections were handed over since the master started.
    """

    def __init__(self, answer: SendVerdict, passed: Callable[[], int]) -> None:
        self.last: dict[str, Any] | None = None
        """The last result, with its time."""
        self._history: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._handed_over_before = 0
        """Connections that were handed over before the last reload began."""
        self._answer = answer
        self._passed = passed
        self._next: list[ControlConnection] = []
        self._now: list[ControlConnection] = []
        self._begin = 0.0
        self._changes: list[str] = []
        self._reasons: list[str] = []
        self._troubles: list[str] = []
        self._wanted = 0
        self._open = False

    def want(self, connection: ControlConnection) -> None:
        """Let a connection wait for the next reload that begins."""
        self._next.append(connection)

    def begin(self) -> None:
        """Note that a reload begins."""
        self._now, self._next = [*self._now, *self._next], []
        self._freeze()
        self._begin, self._handed_over_before = monotonic(), self._passed()
        self._changes, self._reasons, self._wanted, self._open = [], [], 0, True

    def loaded(self, number: int, changes: list[str], troubles: list[str]) -> None:
        """Note that the new configuration is valid, as generation ``number``; ``troubles`` are reported in any case."""
        self._wanted, self._changes, self._troubles = number, changes, troubles

    def note(self, level: str, text: str, *, in_any_case: bool = False) -> None:
        """Note an event during the reload: warnings and errors become reasons; some are reported in any case."""
        if self._open and level in ("warning", "error"):
            (self._troubles if in_any_case else self._reasons).append(text)

    def refused(self, lines: list[str], stays: int) -> None:
        """Publish that the new configuration was refused, for the reasons ``lines``."""
        self._publish({"ok": False, "generation": stays, "changes": [], "reasons": lines})

    def settled(self, number: int) -> None:
        """Publish the generation that is served in the end: the new one, or the old one again."""
        if self._open:
            done = number == self._wanted
            reasons = self._troubles if done else [*self._troubles, *self._reasons]
            self._publish({"ok": done, "generation": number, "changes": self._changes, "reasons": reasons})

    def stopped(self, why: str, *, again: bool) -> None:
        """Answer all that wait: there will be no reload; ``again`` says that another l7 answers now."""
        waiting, self._now, self._next = [*self._now, *self._next], [], []
        for connection in waiting:
            self._answer(connection, {**refusal(why), "again": again})

    @property
    def handed_over(self) -> int:
        """Connections that were handed over since the last reload began."""
        return self._passed() - self._handed_over_before

    @property
    def history(self) -> list[dict[str, Any]]:
        """The last `KEPT` results, the newest last: as the last one, cut, with the connections that it handed over."""
        self._freeze()
        return list(self._history)

    def adopt(self, history: Sequence[dict[str, Any]]) -> None:
        """Begin with the results of another l7, whose place this one takes."""
        self._history = deque([*history, *self._history], KEPT)

    def _freeze(self) -> None:
        """Note how many connections the last reload has handed over by now."""
        if self.last is not None:
            self._history[-1]["handed-over"] = self.handed_over

    def _publish(self, result: dict[str, Any]) -> None:
        """Send the result of the finished reload to all that wait."""
        self._open = False
        result["seconds"] = round(monotonic() - self._begin, 3)
        self.last = {**result, "at": time.time()}
        lines = {key: _cut(result[key]) for key in ("changes", "reasons")}
        self._history.append({**self.last, **lines, "at": round(self.last["at"], 3)})
        waiting, self._now = self._now, []
        for connection in waiting:
            self._answer(connection, result)


def _cut(lines: Sequence[str]) -> list[str]:
    """As many lines as are kept."""
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"… and {more} more"] if more > 0 else list(lines)
