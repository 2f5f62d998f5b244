"""Durations, sizes and statuses as people write them: ``500ms``, ``64KiB``, ``5xx``; inside l7 they are numbers.

What `show_duration` and `show_size` write, `parse_duration` and `parse_size` read back to the same value.
"""

from __future__ import annotations

import re

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
BYTES = {
    "B": 1,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
}
LONGEST = 366 * 24 * 3600.0
"""A year: whoever writes more has mistaken the unit."""
LARGEST = 2**62

DURATION_HELP = "write a duration such as 500ms, 2s, 5m, 1h or a number of seconds"
SIZE_HELP = "write a size such as 64KiB, 10MB, 1GiB or a number of bytes"

_NUMBER_AND_UNIT = re.compile(r"(\d+(?:\.\d+)?|\.\d+) *([A-Za-z]*)", re.ASCII)
_STATUSES = re.compile(r"([1-5](?:[0-9]{2}|xx))(?:-([1-5][0-9]{2}))?", re.ASCII)
_FOLDED_BYTES = {unit.lower(): factor for unit, factor in BYTES.items()}


def parse_duration(value: object) -> float:
    """Return the seconds meant by ``value``: a text such as ``500ms`` or a number of seconds.

    Raises ValueError, in words for the user, when it is none.
    """
    match = _NUMBER_AND_UNIT.fullmatch(str(value).strip())
    if match is None or (match[2] and match[2] not in SECONDS):
        raise ValueError(f"{quoted(value)} is not a duration; {DURATION_HELP}")
    # Milliseconds are divided, not multiplied by 0.001, so that 1100ms is exactly 1.1.
    number = float(match[1])
    seconds = number / 1000 if match[2] == "ms" else number * SECONDS[match[2] or "s"]
    if seconds > LONGEST:
        raise ValueError(f"{quoted(value)} is longer than a year; write at most {show_duration(LONGEST)}")
    return seconds


def show_duration(seconds: float) -> str:
    """Return ``seconds`` in the largest unit that keeps it whole; a minute stays ``60s``."""
    if seconds and seconds % 3600 == 0:
        return f"{seconds / 3600:.0f}h"
    if seconds > 60 and seconds % 60 == 0:
        return f"{seconds / 60:.0f}m"
    if seconds == int(seconds):
        return f"{seconds:.0f}s"
    thousandths = round(seconds * 1000)
    return f"{thousandths}ms" if thousandths / 1000 == seconds else f"{seconds:f}s"


def parse_size(value: object) -> int:
    """Return the bytes meant by ``value``: a text such as ``64KiB`` (``KB`` is 1000) or a number of bytes.

    Raises ValueError, in words for the user, when it is none.
    """
    match = _NUMBER_AND_UNIT.fullmatch(str(value).strip())
    factor = _FOLDED_BYTES.get((match[2] or "B").lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{quoted(value)} is not a size; {SIZE_HELP}")
    size = float(match[1]) * factor if "." in match[1] else int(match[1]) * factor
    if size != int(size):
        raise ValueError(f"{quoted(value)} is not a whole number of bytes")
    if size > LARGEST:
        raise ValueError(f"{quoted(value)} is too large; write at most {show_size(LARGEST)}")
    return int(size)


def show_size(size: int) -> str:
    """Return ``size`` bytes in the largest unit that keeps it whole, or as a plain number, and none as ``0B``."""
    for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "KB"):
        if size and size % BYTES[unit] == 0:
            return f"{size // BYTES[unit]}{unit}"
    return str(size) if size else "0B"


def parse_statuses(text: str) -> tuple[tuple[int, int], ...]:
    """Return the first and the last of each range of statuses in ``502, 5xx, 400-499``; raises ValueError."""
    found = []
    for part in text.split(","):
        match = _STATUSES.fullmatch(part.strip())
        if match is None:
            raise ValueError("must be statuses, as 502, 5xx or 400-499, with commas between")
        first, last = int(match[1].replace("x", "0")), int(match[2] or match[1].replace("x", "9"))
        if last < first:
            raise ValueError(f"{quoted(part.strip())} begins behind its end; write {last}-{first}")
        found.append((first, last))
    return tuple(found)


def quoted(value: object, longest: int = 60) -> str:
    """Return ``value`` for a message: in quotes, control characters escaped, cut where it is long."""
    text = str(value)
    return repr(text if len(text) <= longest else text[:longest] + "...")


def one_line(text: str) -> str:
    """``text`` with whatever a terminal or a log reader could take for something else made visible."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _visible(ord(c)) for c in text)


def _visible(code: int) -> str:
    # By hand: a codec that was not used yet is a file that whom l7 has become may not be allowed to read.
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
