"""Open-loop load: requests at times that were fixed beforehand, whatever becomes of the earlier ones.

``python -m tests.bench.pacer JSON`` does what the JSON says and prints JSON. The times are those of a Poisson process
with a fixed seed, the same for each proxy. A request's latency counts from the time when it was due, so one that had to
wait for a free connection, or for a proxy that was stuck, pays for the wait: nothing is omitted where the proxy slows
its clients down. ``lag`` is how late this program itself noticed that a request was due: latencies below it mean
little.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import re
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SEED = 4711
PATIENCE = 5.0
SETTLE = 0.3
"""Seconds at the beginning that are not recorded: connections, caches, processor clocks."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def schedule(rate: float, seconds: float) -> list[float]:
    """When requests are due, in seconds from the start: exponential gaps, always the same ones for a rate."""
    draw = random.Random(SEED).expovariate
    due = []
    now = draw(rate)
    while now < seconds:
        due.append(now)
        now += draw(rate)
    return due


def percentile(ordered: list[float], share: float) -> float:
    """The value below which so large a share of the values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def answered(data: bytes) -> bool:
    """Whether a whole answer is here.

    :raises ValueError: it is not a 200 with a length, or more came than one answer.
    """
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return False
    found = _LENGTH.search(data, 0, end)
    if found is None or not data.startswith(b"HTTP/1.1 200"):
        raise ValueError(f"unexpected answer: {data[:200]!r}")
    left = end + int(found.group(1)) - len(data)
    if left < 0:
        raise ValueError("more than one answer")
    return not left


@dataclass
class Pacer:
    """The connections, what is due, and what came of it."""

    port: int
    start: bytes
    rest: bytes
    due: list[float]
    connections: int
    patience: float = PATIENCE
    """Seconds after the last request is due within which answers still count."""
    latencies: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    errors: int = 0
    _free: list[socket.socket] = field(default_factory=list)
    _waiting: deque[float] = field(default_factory=deque)
    _asked: dict[int, tuple[socket.socket, float, bytes]] = field(default_factory=dict)
    _sent: int = 0

    def run(self) -> None:
        """Send every request when it is due and wait for the answers, at most as long as its ``patience``."""
        self._poll = select.epoll()
        for _ in range(self.connections):
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._poll.register(sock, select.EPOLLIN)
            self._free.append(sock)
        self._begun = time.monotonic()
        try:
            self._loop()
        finally:
            for sock in [*self._free, *(sock for sock, _, _ in self._asked.values())]:
                sock.close()
            self._poll.close()

    def _loop(self) -> None:
        last = (self.due[-1] if self.due else 0) + self.patience
        following = 0
        while following < len(self.due) or self._waiting or self._asked:
            now = time.monotonic() - self._begun
            while following < len(self.due) and self.due[following] <= now:
                self.lags.append(now - self.due[following])
                self._waiting.append(self.due[following])
                following += 1
            while self._waiting and self._free:
                self._send(self._waiting.popleft())
            events = self._poll.poll(0)
            if not events:
                # Polling takes milliseconds, selecting any time: wait by the one on the other.
                until = self.due[following] if following < len(self.due) else now + 0.05
                select.select([self._poll], [], [], max(0.0, until - (time.monotonic() - self._begun)))
                events = self._poll.poll(0)
            for descriptor, _ in events:
                self._receive(descriptor)
            if now > last or not (self._free or self._asked):
                break
        self._give_up(time.monotonic() - self._begun)

    def _send(self, due: float) -> None:
        sock = self._free.pop()
        self._sent += 1
        self._asked[sock.fileno()] = (sock, due, b"")
        try:
            sock.send(b"%b%d%b" % (self.start, self._sent, self.rest))
        except OSError:
            self._lost(sock.fileno())

    def _receive(self, descriptor: int) -> None:
        asked = self._asked.get(descriptor)
        if asked is None:
            self._forget_idle(descriptor)
            return
        sock, due, had = asked
        try:
            data = sock.recv(65536)
            whole = bool(data) and answered(had + data)
        except (OSError, ValueError):
            data = b""
        if not data:
            self._lost(descriptor)
        elif whole:
            del self._asked[descriptor]
            self._free.append(sock)
            self._note(due, time.monotonic() - self._begun)
        else:
            self._asked[descriptor] = (sock, due, had + data)

    def _note(self, due: float, now: float) -> None:
        if due > SETTLE:
            self.latencies.append(now - due)

    def _lost(self, descriptor: int) -> None:
        sock, _, _ = self._asked.pop(descriptor)
        self.errors += 1
        sock.close()

    def _forget_idle(self, descriptor: int) -> None:
        # A connection closed while nothing was asked on it: no request is lost, but there is one less to ask on.
        for sock in self._free:
            if sock.fileno() == descriptor:
                self._free.remove(sock)
                self.errors += 1
                sock.close()
                return

    def _give_up(self, now: float) -> None:
        # Those without an answer took at least so long.
        for _, due, _ in self._asked.values():
            self._note(due, now)
        for due in self._waiting:
            self._note(due, now)

    def result(self) -> dict[str, Any]:
        """What is printed; times in seconds."""
        self.latencies.sort()
        self.lags.sort()
        return {
            "requests": len(self.due) - len(self._asked) - len(self._waiting) - self.errors,
            "unanswered": len(self._asked) + len(self._waiting),
            "errors": self.errors,
            "p50": percentile(self.latencies, 0.5),
            "p99": percentile(self.latencies, 0.99),
            "lag_p50": percentile(self.lags, 0.5),
            "lag_p99": percentile(self.lags, 0.99),
        }


def main(argument: str) -> None:
    """Read ``port``, ``rate``, ``seconds``, ``connections``, ``start`` and ``rest``; print the result."""
    options = json.loads(argument)
    with contextlib.suppress(OSError):  # waits end when they should, not up to 50 us later
        Path("/proc/self/timerslack_ns").write_text("1")
    with contextlib.suppress(OSError):  # the servers on the same core do not keep it from asking in time (root only)
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    due = schedule(options["rate"], options["seconds"])
    pacer = Pacer(options["port"], options["start"].encode(), options["rest"].encode(), due, options["connections"])
    gc.disable()
    pacer.run()
    print(json.dumps(pacer.result()))


if __name__ == "__main__":
    main(sys.argv[1])
