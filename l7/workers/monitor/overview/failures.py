"""The last failed requests for the overview, from the recorder."""

from __future__ import annotations

from typing import Any

from l7.telemetry.recorder.memory import OtherLayoutError, RecorderMemory, RecorderView
from l7.telemetry.recorder.reader import RecorderReader

SHORT = (
    "request-id", "client", "host", "method", "target", "route", "server", "status", "code", "failure", "reason",
    "total", "worker", "generation",
)  # fmt: skip
"""What is shown of each."""


class LastFailures:
    """Reads them; ``memory`` is None where requests are not recorded."""

    def __init__(self, memory: RecorderMemory | None) -> None:
        self._reader: RecorderReader | None = None
        if memory is not None:
            try:
                self._reader = RecorderReader(RecorderView(memory.descriptor))
            except (OSError, OtherLayoutError):  # it goes without saying them
                self._reader = None

    def last(self, most: int) -> list[dict[str, Any]] | None:
        """The last ones, the last one first; None where they are not recorded."""
        if self._reader is None:
            return None
        try:
            found = self._reader.last_failures(most)
        except OSError:  # no memory to map a lane
            return []
        return [_short(one.plain(), one.ended) for one in found]


def _short(record: dict[str, Any], ended: float) -> dict[str, Any]:
    return {key: record[key] for key in SHORT} | {"ended": ended}
