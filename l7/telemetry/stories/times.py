"""Times of records as people read them."""

from __future__ import annotations

from datetime import datetime


def moment(seconds: float) -> str:
    """A point in time as local time of day with milliseconds, and the day where it is another one."""
    at = datetime.fromtimestamp(seconds).astimezone()
    day = "" if at.date() == datetime.now().astimezone().date() else f"{at:%Y-%m-%d} "
    return f"{day}{at:%H:%M:%S}.{at.microsecond // 1000:03d}"


def lasted(seconds: float | None) -> str:
    """A time for people: 310 us, 12.3 ms, 1.20 s."""
    if seconds is None or seconds < 0:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:.0f} s"
