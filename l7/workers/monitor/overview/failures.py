"""The last failed requests for the overview, from the recorder."""

from __future__ import annotations

from typing import Any

from l7.telemetry.recorder.memory import OtherLayoutError
from l7.telemetry.recorder.request_filter import RequestFilter
from l7.workers.monitor.recorder_source import RecorderSource

SHORT = (
    "request-id", "client", "host", "method", "target", "route", "server", "status", "code", "failure", "reason",
    "total", "worker", "generation",
)  # fmt: skip
"""What is shown of each."""


class LastFailures:
    """Reads them."""

    def __init__(self, recorded: RecorderSource) -> None:
        self._recorded = recorded

    def last(self, most: int) -> list[dict[str, Any]] | None:
        """The last ones, the last one first; None where they are not recorded."""
        try:
            reader = self._recorded.reader()
            found = None if reader is None else reader.newest(RequestFilter(), most, failed=True)
        except (OSError, OtherLayoutError):  # who asks for requests is told why; the overview goes without them
            return []
        return None if found is None else [_short(one.plain(), one.ended) for one in found]


def _short(record: dict[str, Any], ended: float) -> dict[str, Any]:
    return {key: record[key] for key in SHORT} | {"ended": ended}
