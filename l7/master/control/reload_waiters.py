"""Results of reloads, for the commands that wait for them and for ``l7 status``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from l7.clock import monotonic
from l7.ipc.requests import refusal
from l7.master.control.server import ControlConnection

QUIET = 0.1
"""Seconds without a connection handed over after which the old workers have handed over what was idle."""
NOISY = 2.0
"""Seconds after which a verdict is given although connections are still handed over."""

SendVerdict = Callable[[ControlConnection, dict[str, Any]], None]


class ReloadWaiters:
    """The control connections that wait for a reload, and the result of the last one.

    :param answer: sends the result to one.
    :param passed: how many connections were handed over since the master started.
    """

    def __init__(self, answer: SendVerdict, passed: Callable[[], int]) -> None:
        self.last: dict[str, Any] | None = None
        """The last result, with its time."""
        self._answer = answer
        self._passed = passed
        self._next: list[ControlConnection] = []
        self._now: list[ControlConnection] = []
        self._begin = 0.0
        self._passed_before = 0
        self._changes: list[str] = []
        self._reasons: list[str] = []
        self._troubles: list[str] = []
        self._wanted = 0
        self._open = False
        self._settled: dict[str, Any] | None = None
        self._seen = (0, 0.0)
        self._latest = 0.0

    def want(self, visitor: ControlConnection) -> None:
        """Let a connection wait for the next reload that begins."""
        self._next.append(visitor)

    def begin(self) -> None:
        """Note that a reload begins."""
        self.publish()
        self._now, self._next = self._next, []
        self._begin, self._passed_before = monotonic(), self._passed()
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
        self._close({"ok": False, "generation": stays, "changes": [], "reasons": lines})
        self.publish()

    def settled(self, number: int) -> None:
        """Note the generation that is served in the end: the new one, or the old one again."""
        if self._open:
            done = number == self._wanted
            reasons = self._troubles if done else [*self._troubles, *self._reasons]
            self._close({"ok": done, "generation": number, "changes": self._changes, "reasons": reasons})

    def stopped(self, why: str, *, again: bool) -> None:
        """Answer all that wait: there will be no reload; ``again`` says that another l7 answers now."""
        self.publish()
        waiting, self._now, self._next = [*self._now, *self._next], [], []
        for visitor in waiting:
            self._answer(visitor, {**refusal(why), "again": again})

    @property
    def due(self) -> float | None:
        """When to check again whether the result can be published."""
        return None if self._settled is None else min(self._seen[1] + QUIET, self._latest)

    def look(self) -> None:
        """Publish the result when no more connections are handed over."""
        if self._settled is None:
            return
        now = monotonic()
        if self._passed() != self._seen[0]:
            self._seen = (self._passed(), now)
        if now >= self._seen[1] + QUIET or now >= self._latest:
            self.publish()

    def publish(self) -> None:
        """Send the result of the finished reload to all that wait."""
        if self._settled is None:
            return
        verdict, self._settled = self._settled, None
        verdict["handed-over"] = self._passed() - self._passed_before
        self.last = {**verdict, "at": time.time()}
        waiting, self._now = self._now, []
        for visitor in waiting:
            self._answer(visitor, verdict)

    def _close(self, verdict: dict[str, Any]) -> None:
        now = monotonic()
        self._open = False
        self._settled = {**verdict, "seconds": round(now - self._begin, 3)}
        self._seen, self._latest = (self._passed(), now), now + NOISY
