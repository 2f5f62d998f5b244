"""Which of the recorded requests are meant: those that a filter takes, or those with an id."""

from __future__ import annotations

from dataclasses import dataclass

from l7.http.grammar import REQUEST_ID
from l7.telemetry.recorder.records import RequestRecord
from l7.units import quoted

LEAST_OF_ID = 4
"""Characters of the end of an id that are enough."""


@dataclass(frozen=True)
class RequestFilter:
    """Which requests are shown: those that fulfil all that is set."""

    status: tuple[tuple[int, int], ...] = ()
    host: str = ""
    server: str = ""
    route: str = ""
    slower: float = 0.0
    """Seconds."""
    target: str = ""
    """What the target begins with."""
    client: str = ""

    def takes_status(self, status: int) -> bool:
        """Whether requests with a status are shown, if the rest fits."""
        return not self.status or any(first <= status <= last for first, last in self.status)

    @property
    def needle(self) -> bytes:
        """What stands in the bytes of each record that is shown, as whoever writes them has it; empty for anything."""
        found = [text for text in (self.host.lower(), self.target, self.client) if text.isascii() and "\\" not in text]
        return max(found, key=len, default="").encode("ascii")

    def takes(self, record: RequestRecord) -> bool:
        """Whether a request is shown."""
        if not self.takes_status(record.status):
            return False
        if self.host and record.host != self.host.lower():
            return False
        if self.server and not any(one.server == self.server for one in record.attempts):
            return False
        if self.route and record.route != self.route:
            return False
        if not record.target.startswith(self.target):
            return False
        if self.client and record.client != self.client:
            return False
        return max(record.total, 0.0) >= self.slower


def wanted_id(text: str) -> str:
    """The id, or end of one, that somebody has copied, perhaps with what stood around it; raises ValueError."""
    wanted = text.strip("\"'[](),;")
    if len(wanted) < LEAST_OF_ID or not REQUEST_ID.fullmatch(wanted.encode("utf-8", "surrogateescape")):
        raise ValueError(f"{quoted(text, 40)} is no id")
    return wanted
