"""Watches the event loop from a thread beside it, and logs where a blocked loop is stuck.

A greenlet cannot do that, because none runs then. The thread wakes twice a second and compares two numbers, and costs
more only while the loop is blocked. A blocked loop cannot notice that its master has exited: then the thread ends the
process, which would hold the port for ever.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident  # by name: patching makes it a greenlet's
from collections.abc import Callable
from types import FrameType

from l7.clock import monotonic
from l7.telemetry.events import named
from l7.telemetry.shared_output import NATIVE

INTERVAL = 0.5
"""Seconds between two checks."""
TICK = 0.25
"""Seconds between two ticks of a running loop."""
ORPHANED = 3.0
"""Seconds for which a loop may be blocked once the master has exited, before the thread ends the process."""
DEEPEST = 24
"""The most functions of a stack that are logged, the innermost first."""


class Watchdog:
    """Watches the loop of the thread that makes it; ``threshold`` is in seconds, ``report`` takes events."""

    def __init__(self, threshold: float, report: Callable[[str], None]) -> None:
        self._threshold = threshold
        self._report = report
        self._turned = 0.0
        self._main = get_ident()
        self._master = os.getppid()

    def start(self) -> None:
        """Begin; the thread ends with its process."""
        self._turned = monotonic()
        NATIVE.start_thread(self._watch, ())

    def turned(self) -> None:
        """Note that the loop runs: called by the loop, every `TICK`."""
        self._turned = monotonic()

    def _watch(self) -> None:
        stuck_at = 0.0
        while True:
            asleep = monotonic()
            NATIVE.sleep(INTERVAL)
            now, turned = monotonic(), self._turned
            if now - turned > ORPHANED and os.getppid() != self._master:
                self._report(f"the master is gone and the loop stands still, in {self._where()}: leaving")
                os._exit(1)
            if stuck_at:
                if turned != stuck_at:
                    stood = turned - stuck_at
                    words = f"the loop turns again; it stood still for {stood:.1f} s"
                    self._report(named("loop.resumed", words, seconds=round(stood, 1)))
                    stuck_at = 0.0
            elif now - turned > self._threshold + TICK and now - asleep < 2 * INTERVAL:
                # Where this thread was late as well, the whole process was stopped, not the loop blocked.
                stuck_at = turned
                words = f"the loop stands still for {now - turned:.1f} s, in {self._where()}"
                self._report(named("loop.stuck", words, seconds=round(now - turned, 1)))

    def _where(self) -> str:
        """The stack of the loop's thread."""
        frame = sys._current_frames().get(self._main)
        return stack(frame) if frame is not None else "an unknown place"


def stack(frame: FrameType | None) -> str:
    """The functions that are being executed, on one line, the innermost first."""
    places: list[str] = []
    while frame is not None and len(places) < DEEPEST:
        code = frame.f_code
        places.append(f"{code.co_name} ({code.co_filename}:{frame.f_lineno})")
        frame = frame.f_back
    return " < ".join(places)
