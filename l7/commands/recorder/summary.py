"""``l7 tail --by``: recorded requests by something that they have in common, as a table.

What took awk over a log: which server, which path, which generation it is that is slow or fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from l7.commands.control_client import printable_line
from l7.telemetry.recorder.records import RequestRecord
from l7.telemetry.stories.times import lasted

MOST_ROWS = 40
"""Rows that are shown; what is in the others is counted in one."""
ID_SHOWN = 12
"""Characters of the end of an id in the table: `l7 why` takes them."""
NUMBERS = ("status", "generation", "worker", "attempts")
"""What has an order of its own; by other things the worst come first."""


class _Part(NamedTuple):
    """What a request adds to a row: a server has a part for each attempt."""

    value: str
    failed: bool
    retried: bool
    seconds: float
    """Negative where that is not known: the worker ended meanwhile."""
    waited: float
    """Seconds of them in which no server had room."""


@dataclass
class SummaryRow:
    """The requests that have a value in common."""

    value: str
    requests: int = 0
    failed: int = 0
    retried: int = 0
    longest: float = -1.0
    times: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    slowest: str = ""
    """The id of the request that took longest."""

    def add(self, part: _Part, request_id: str) -> None:
        """Count one more."""
        if part.seconds > self.longest or not self.slowest:
            self.longest, self.slowest = part.seconds, request_id
        self.requests += 1
        if part.seconds >= 0:
            self.times.append(part.seconds)
        self.waits.append(part.waited)
        self.failed += part.failed
        self.retried += part.retried

    def share(self, percent: int) -> float:
        """The time in seconds that so many per cent of them took at most; negative where none is known."""
        return _share(self.times, percent)

    @property
    def waited(self) -> float:
        """The time in seconds that 99 per cent of them waited at most for a server with room."""
        return _share(self.waits, 99)

    def plain(self, by: str) -> dict[str, Any]:
        """All of it for JSON; times are seconds, None where they are not known."""
        return {
            by: self.value, "requests": self.requests, "failed": self.failed, "retried": self.retried,
            "p50": _known(self.share(50)), "p99": _known(self.share(99)), "longest": _known(self.longest),
            "waited-p99": _known(self.waited),
            "slowest": self.slowest,
        }  # fmt: skip


def _share(values: Sequence[float], percent: int) -> float:
    found = sorted(values)
    return found[min(-(-len(found) * percent // 100), len(found)) - 1] if found else -1.0


def _known(seconds: float) -> float | None:
    return None if seconds < 0 else round(seconds, 6)


def print_summary(records: Iterable[RequestRecord], by: str, *, as_json: bool) -> None:
    """Print a row for each value that requests have; ``by`` is one of `FIELDS`."""
    rows = summary(records, by)
    if as_json:
        for row in rows:
            print(json.dumps(row.plain(by)))
    elif rows:
        print("\n".join(map(printable_line, _table(rows, by))))


def summary(records: Iterable[RequestRecord], by: str) -> list[SummaryRow]:
    """The rows, those of numbers in order, else those that failed most and took longest first."""
    rows: dict[str, SummaryRow] = {}
    for record in records:
        for part in FIELDS[by](record):
            rows.setdefault(part.value, SummaryRow(part.value)).add(part, record.request_id)
    if by in NUMBERS:
        return sorted(rows.values(), key=lambda row: (len(row.value), row.value))
    return sorted(rows.values(), key=lambda row: (-row.failed, -row.share(99)))


def _table(rows: Sequence[SummaryRow], by: str) -> Iterator[str]:
    heads = (by, "requests", "failed", "retried", "p50", "p99", "longest", "waited", "longest was")
    cells = [_cells(row) for row in rows[:MOST_ROWS]]
    widths = [max(len(line[at]) for line in (heads, *cells)) for at in range(len(heads))]
    for line in (heads, *cells):
        first, *middle = [one.rjust(width) for one, width in zip(line[:-1], widths, strict=False)]
        yield "  ".join([first.strip().ljust(widths[0]), *middle, line[-1]])
    if rest := rows[MOST_ROWS:]:
        yield f"and {len(rest)} more with {sum(row.requests for row in rest)} requests"


def _cells(row: SummaryRow) -> tuple[str, ...]:
    times = (lasted(row.share(50)), lasted(row.share(99)), lasted(row.longest))
    waited = lasted(row.waited) if row.waited > 0 else "-"
    counts = (str(row.requests), str(row.failed), str(row.retried))
    return (row.value or "-", *counts, *times, waited, row.slowest[-ID_SHOWN:])


def _whole(value_of: Callable[[RequestRecord], object]) -> Callable[[RequestRecord], Iterator[_Part]]:
    def parts(record: RequestRecord) -> Iterator[_Part]:
        yield _Part(str(value_of(record)), record.failed, record.tried > 1, record.total, max(record.queue, 0.0))

    return parts


def _servers(record: RequestRecord) -> Iterator[_Part]:
    """A part for each attempt: how long it was there, and whether it failed there."""
    waited = max(record.queue, 0.0)
    for at, one in enumerate(record.attempts):
        last = at + 1 == len(record.attempts)
        end = one.failed_at if one.failed_at is not None else record.total
        retry = "retry" in one.reasons
        yield _Part(
            one.server,
            bool(one.failure) or (last and record.failed),
            retry,
            max(end - one.began, 0.0) if end >= 0 else -1.0,
            0.0 if at else waited,
        )
    if not record.attempts:
        yield _Part("-", record.failed, False, record.total, waited)


FIELDS: Mapping[str, Callable[[RequestRecord], Iterator[_Part]]] = {
    "server": _servers,
    "route": _whole(lambda one: one.route),
    "host": _whole(lambda one: one.host),
    "client": _whole(lambda one: one.client),
    "path": _whole(lambda one: one.target.partition("?")[0]),
    "method": _whole(lambda one: one.method),
    "status": _whole(lambda one: "died" if one.died else one.status),
    "failure": _whole(lambda one: one.failure or ("the worker ended" if one.died else "none")),
    "generation": _whole(lambda one: one.generation),
    "worker": _whole(lambda one: one.worker),
    "attempts": _whole(lambda one: one.tried),
}
"""What requests can be put together by."""
