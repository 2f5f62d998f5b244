"""What became of the requests of a rehearsal: what the clients were answered, and what the servers received."""

from __future__ import annotations

from dataclasses import dataclass, field

from l7.clock import monotonic

SHOWN = 10
"""Failures that are described one by one."""
ROOM = 65536
"""So many numbers are made room for at a time."""
GETS, POSTS = 0, 1


@dataclass
class Results:
    """Counts, of requests unless they say otherwise."""

    sent: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    announced: int = 0
    """Connections that the proxy closed with a word: ``Connection: close``, or a close frame on a WebSocket."""
    silent: int = 0
    """Idle connections that the proxy closed without a word, and that no request was lost on."""
    longest_pause: float = 0.0
    """The longest time in seconds for which no request was answered while the load ran."""
    slowest: float = 0.0
    """The longest time in seconds that a quick request took."""
    _answered: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    _received: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    """How often each number was answered, and received by a server, to 255: of GETs, and of POSTs."""
    _last: float = 0.0

    def number(self) -> int:
        """The number of the next request."""
        self.sent += 1
        return self.sent

    def begin(self) -> None:
        """The load runs, or runs again."""
        self._last = monotonic()

    def pause(self) -> None:
        """The load is held back: what follows is no pause of the proxy."""
        self._last = 0.0

    def received(self, number: int, *, post: bool) -> None:
        """A server has got a request."""
        _count(self._received[post], number)

    def good(self, number: int, took: float, *, post: bool, quick: bool) -> None:
        """A request was answered as it should be, after ``took`` seconds."""
        _count(self._answered[post], number)
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

    def audit(self) -> None:
        """Compare both ends: nothing is answered that no server got, and no POST came twice."""
        for post, method in ((GETS, "GET"), (POSTS, "POST")):
            received = self._received[post]
            for number, answered in enumerate(self._answered[post]):
                if answered and not received[number : number + 1].strip(b"\0"):
                    self.bad(f"{method} {number} was answered, and no server got it")
        for number, times in enumerate(self._received[POSTS]):
            if times > 1:
                self.bad(f"POST {number} came to the servers {times} times")


def _count(counts: bytearray, number: int) -> None:
    if number >= len(counts):
        counts.extend(bytes(number + ROOM - len(counts)))
    counts[number] = min(counts[number] + 1, 255)
