"""The books of a rehearsal: what was sent, what became of it, and what the origins have to say about it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from l7.clock import monotonic

SHOWN = 10
"""Failures that are described one by one."""


@dataclass
class Ledger:
    """Counts, of requests unless they say otherwise."""

    sent: int = 0
    answered: int = 0
    failed: int = 0
    killed: int = 0
    """Lost together with a worker that was killed: what was inside it."""
    failures: list[str] = field(default_factory=list)
    announced: int = 0
    """Connections that the proxy closed with a word: ``Connection: close``, or a close frame on a WebSocket."""
    silent: int = 0
    """Idle connections that the proxy closed without a word, and that no request was lost on."""
    orphaned: int = 0
    """Connections that ended with a worker that was killed."""
    opened: int = 0
    """Connections opened."""
    longest_pause: float = 0.0
    """The longest time in seconds for which no request was answered while the load ran."""
    slowest: float = 0.0
    """The longest time in seconds that a quick request took."""
    posts: bytearray = field(default_factory=bytearray)
    gets: bytearray = field(default_factory=bytearray)
    """1 for each number that was answered."""
    _last: float = 0.0

    def number(self) -> int:
        """The number of the next request."""
        self.sent += 1
        return self.sent

    def begin(self) -> None:
        """The load runs, or runs again."""
        self._last = monotonic()

    def pause(self) -> None:
        """The load is held back: what follows is nobody's fault."""
        self._last = 0.0

    def good(self, number: int, took: float, *, post: bool, quick: bool) -> None:
        """A request was answered as it should be, after ``took`` seconds."""
        self.answered += 1
        counts = self.posts if post else self.gets
        if number >= len(counts):
            counts.extend(bytes(number + 65536 - len(counts)))
        counts[number] = 1
        if quick:
            self.slowest = max(self.slowest, took)
        now = monotonic()
        if self._last:
            self.longest_pause = max(self.longest_pause, now - self._last)
            self._last = now

    def bad(self, what: str) -> None:
        """A request, or a connection in use, was lost."""
        self.failed += 1
        if len(self.failures) < SHOWN:
            self.failures.append(what)

    def audit(self, directory: Path) -> None:
        """Compare with what the origins noted: nothing answered that they never got, no POST that they got twice."""
        for mixed in json.loads((directory / "mixed.notes").read_text("utf-8")):
            self.bad(f"mixed up: {mixed}")
        for name, answered in (("get", self.gets), ("post", self.posts)):
            noted = (directory / f"{name}.notes").read_bytes()
            for number, answer in enumerate(answered):
                if answer and (number >= len(noted) or not noted[number]):
                    self.bad(f"{name.upper()} {number} was answered, and no server got it")
            if name == "post":
                for number, count in enumerate(noted):
                    if count > 1:
                        self.bad(f"POST {number} came to the servers {count} times")
