"""Time, in one place, so that a test can drive it by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns seconds that never go backwards; their zero means nothing."""

monotonic: Clock = time.monotonic
monotonic_ns: Callable[[], int] = time.monotonic_ns
"""The same in nanoseconds, counted by all processes from the same moment."""
