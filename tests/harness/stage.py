"""One l7 and one origin for all the tests of a module, where starting both for each would be most of the time spent.

@pytest.fixture(scope="module")
def running():
    with Stage(CONFIG) as stage:            # CONFIG names the origin as {address}, or is a function of it
        yield stage

@pytest.fixture
def play(running):
    with running.scene() as play:           # a fresh record, and at its end nothing malformed and nothing leaked
        yield play

def test_x(play):
    app = play(handler)                     # the script of this test
    get(play.proxy.port)
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from tests.harness.client import Client
from tests.harness.l7process import L7Process
from tests.harness.origin import Handler, Origin, echo


class Play:
    """What a test holds: the running proxy, and the origin once it has a script."""

    def __init__(self, proxy: L7Process, origin: Origin) -> None:
        self.proxy = proxy
        self.port = proxy.port
        self.logged = len(proxy.output)
        """Where the access log of this test begins."""
        self._origin = origin
        self._clients = contextlib.ExitStack()

    def __call__(self, handler: Handler = echo) -> Origin:
        """Give the origin its script."""
        self._origin.handler = handler
        return self._origin

    def connect(self, **options: Any) -> Client:
        """A connection to the proxy that is closed when the test ends."""
        return self._clients.enter_context(Client(self.proxy.address, **options))

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        """Wait until a line of this test in the access log matches."""
        return self.proxy.wait_for_output(pattern, start=self.logged)

    def turn(self) -> None:
        """Return when the worker, the only one, has seen what was sent before."""
        self.proxy.turn()

    def close(self) -> None:
        """Close the test's connections."""
        self._clients.close()


class Stage:
    """Starts both and stops both; the second fails when anything was leaked."""

    def __init__(self, config: str | Callable[[str], str], **options: Any) -> None:
        self._config = config
        self._options = options
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Stage:
        self.origin = self._stack.enter_context(Origin())
        address, config = self.origin.address, self._config
        text = config.format(address=address) if isinstance(config, str) else config(address)
        self.proxy = self._stack.enter_context(L7Process(text, **self._options))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                self.origin.close()
                self.proxy.assert_no_leaks()

    @contextlib.contextmanager
    def scene(self) -> Iterator[Play]:
        """One test: it finds no connection and no record of an earlier one."""
        assert self.proxy.process.poll() is None, f"l7 is gone\n{self.proxy.transcript()}"
        self._clear()
        play = Play(self.proxy, self.origin)
        try:
            yield play
        finally:
            play.close()
        self._clear()
        violations, self.origin.violations = self.origin.violations, []
        assert not violations, "\n".join(violations)

    def _clear(self) -> None:
        for connection in list(self.origin.connections):
            connection.close()
        self.origin.handler = echo
        self.origin.connections.clear()
        self.origin.requests.clear()
