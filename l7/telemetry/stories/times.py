"""Times of records as people read them."""

from __future__ import annotations

from datetime import datetime


def moment(seconds: float) -> str:
    """A point in time as local time of day with milliseconds, and the day where it is another one."""
    at = datetime.fromtimestamp(seconds).astimezone()
    day = "" if at.date() == datetime.now().astimezone().date() else f"{at:%Y-%m-%d} "
    return f"{day}{at:%H:%M:%S}.{at.microsecond // 1000:03d}"


def lasted(seconds: float | None) -> str:
    """How long something took, to three digits: 310 us, 12.3 ms, 430 ms, 1.20 s, 12.3 s, 123 s, 2.8 h; - where unknown.

    The page writes the same (``format.js``); a table that has no room for the space leaves it out.
    """
    if seconds is None or seconds < 0:
        return "-"
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.{_decimals(seconds * 1e3, 1)}f} ms"
    if seconds < 9999.5:
        return f"{seconds:.{_decimals(seconds, 2)}f} s"
    return f"{seconds / 3600:.{_decimals(seconds / 3600, 1)}f} h"


def _decimals(value: float, most: int) -> int:
    """So many that three digits are shown, also where rounding adds one."""
    return min(most, 2 if value < 9.995 else 1 if value < 99.95 else 0)
