"""The last failed requests for the overview, from the recorder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from l7.telemetry.recorder.memory import OtherLayoutError, RecorderMemory, RecorderView
from l7.telemetry.recorder.reader import RecorderReader
from l7.telemetry.recorder.request_filter import RequestFilter

SHORT = (
    "request-id", "client", "host", "method", "target", "route", "server", "status", "code", "failure", "reason",
    "total", "worker", "generation",
)  # fmt: skip
"""What is shown of each."""


class LastFailures:
    """Reads them.

    :param memory: None where requests are not recorded.
    :param pause: called every few milliseconds.
    """

    def __init__(self, memory: RecorderMemory | None, pause: Callable[[], None]) -> None:
        self._reader: RecorderReader | None = None
        if memory is not None:
            try:
                self._reader = RecorderReader(RecorderView(memory.descriptor), pause)
            except (OSError, OtherLayoutError):  # it goes without saying them
                self._reader = None

    def last(self, most: int) -> list[dict[str, Any]] | None:
        """The last ones, the last one first; None where they are not recorded."""
        if self._reader is None:
            return None
        try:
            found = self._reader.newest(RequestFilter(), most, failed=True)
        except OSError:  # no memory to map a lane
            return []
        return [_short(one.plain(), one.ended) for one in found]


def _short(record: dict[str, Any], ended: float) -> dict[str, Any]:
    return {key: record[key] for key in SHORT} | {"ended": ended}
