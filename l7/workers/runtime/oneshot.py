"""A timer that is started again and again: libev forgets the time of one that has fired, so each start is a new one."""

from __future__ import annotations

from collections.abc import Callable

from gevent import get_hub


class OneShotTimer:
    """Calls something once, ``seconds`` after it was started last."""

    __slots__ = ("_seconds", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer = get_hub().loop.timer(seconds)

    def start(self, call: Callable[[], object]) -> None:
        """Call ``call`` in time, and nothing that an earlier start was for."""
        self._timer.close()
        self._timer = get_hub().loop.timer(self._seconds)
        self._timer.start(call)

    def stop(self) -> None:
        """Call nothing."""
        self._timer.stop()

    def close(self) -> None:
        """Call nothing any more."""
        self._timer.close()
