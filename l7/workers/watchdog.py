"""Says where the loop is stuck, while it is: a thread beside it that looks whether it turns.

A greenlet cannot tell, because none runs then. The thread wakes twice a second and compares two numbers; only when the
loop stands still does it cost anything. A loop that stands still cannot notice either that its master is gone: then the
thread ends the process, which would keep the port for ever.
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
"""Seconds between two looks."""
TICK = 0.25
"""Seconds between two signs of life of a loop that turns."""
ORPHANED = 3.0
"""Seconds for which a loop may stand still once the master is gone: nobody else would end the process then."""
DEEPEST = 24
"""Functions of a stack that are shown, the innermost first."""


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
        """Tell that the loop turns: called by the loop, every `TICK`."""
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
                # Where this thread overslept as well, the whole process did not run: nobody is to blame.
                stuck_at = turned
                words = f"the loop stands still for {now - turned:.1f} s, in {self._where()}"
                self._report(named("loop.stuck", words, seconds=round(now - turned, 1)))

    def _where(self) -> str:
        """What the loop's thread executes now."""
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
