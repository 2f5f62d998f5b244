"""What the TLS handshakes of clients came to: one row of the shared memory, written by workers."""

from __future__ import annotations

from typing import Final

from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import GAUGES, ROW, place
from l7.sharedmem.memory import OF_TLS
from l7.tls.failures import ALL_LABELS, OTHER

VERSIONS: Final = ("1.2", "1.3")
_DONE = GAUGES
"""Handshakes that were completed: two cells a version, the second for those that were resumed."""
_FAILED = _DONE + 2 * len(VERSIONS)
"""Handshakes that failed: a cell a reason."""

assert _FAILED + len(ALL_LABELS) <= ROW


def done_place(version: str, *, resumed: bool) -> int:
    """The cell of completed handshakes."""
    return place(OF_TLS, _DONE + 2 * VERSIONS.index(version) + resumed)


def failed_place(label: str) -> int:
    """The cell of handshakes that failed for a reason, one of `ALL_LABELS`."""
    return place(OF_TLS, _FAILED + ALL_LABELS.index(label if label in ALL_LABELS else OTHER))


class HandshakeCounters:
    """Counts the handshakes of one worker."""

    def __init__(self, writer: CounterWriter) -> None:
        self._writer = writer

    def done(self, version: str, *, resumed: bool) -> None:
        """Count one that was completed."""
        if version in VERSIONS:
            self._writer.add(done_place(version, resumed=resumed), 1)

    def failed(self, label: str) -> None:
        """Count one that failed."""
        self._writer.add(failed_place(label), 1)
