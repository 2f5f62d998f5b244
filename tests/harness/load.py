"""Clients that ask while something is done to l7: on new connections, on kept ones, and one whose answer waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness import TIMEOUT
from tests.harness.client import Client, get
from tests.harness.l7process import L7Process
from tests.harness.origin import Reply, Request

PAUSE = 0.004
"""Seconds between two requests of a client: all that l7 is tested by shares the machine with it."""


class Gate:
    """An origin's script whose answers wait until the test opens the gate."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, request: Request) -> Reply:
        self.entered.release()
        self.opened.wait(TIMEOUT)
        return Reply(200, body=b"late")


@contextmanager
def in_flight(proxy: L7Process, gate: Gate) -> Iterator[Client]:
    """A request that the origin has and does not answer."""
    with Client(proxy.address) as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert gate.entered.acquire(timeout=TIMEOUT)
        yield client
    gate.opened.set()


class Load:
    """Clients that open a new connection for each request, some hundred a second, and what became of each."""

    def __init__(self, proxy: L7Process, clients: int = 3) -> None:
        self.bad: list[str] = []
        self._good: list[int] = []  # an integer that several threads add to would lose some
        self._proxy = proxy
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def _run(self) -> None:
        while not self._done.is_set():
            try:
                answer = get(self._proxy.address, host="a")
                if answer.status == 200:
                    self._good.append(answer.status)
                else:
                    self.bad.append(f"status {answer.status}: {answer.body!r}")
            except (OSError, AssertionError) as error:
                self.bad.append(f"{type(error).__name__}: {error}")
            self._done.wait(PAUSE)

    @property
    def good(self) -> int:
        """How many went well."""
        return len(self._good)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(TIMEOUT)

    def more(self, count: int = 30) -> None:
        """Wait until that many more requests went well."""
        wanted = self.good + count
        deadline = time.monotonic() + TIMEOUT
        while self.good < wanted and not self.bad:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@contextmanager
def load_without_loss(proxy: L7Process) -> Iterator[Load]:
    """`LoadConfiguration` that loses nothing, with requests before and after what the test does."""
    with Load(proxy) as load:
        load.more()
        yield load
        load.more()
    assert load.bad == [], f"{len(load.bad)} of {load.good + len(load.bad)} lost: {load.bad[:5]}\n{proxy.transcript()}"
