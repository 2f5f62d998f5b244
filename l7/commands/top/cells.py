"""Texts of the cells of a table: nothing in them moves a cursor, turns a line around or takes an unknown width."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from urwid import calc_text_pos, calc_width

from l7.config.values.names import printable
from l7.telemetry.stories.times import lasted

LONGEST = 600
"""Characters of a cell: a target has 512 octets at most."""
_DAY, _HOUR, _MINUTE = 86400, 3600, 60


@dataclass(frozen=True)
class Glyphs:
    """Characters that a terminal without UTF-8 does not have."""

    unicode: bool
    levels: str
    """Of a plot, the lowest first."""
    down: str
    """Marks the column by which rows are sorted."""
    up: str
    cut: str
    """Stands where a text was cut."""


UNICODE = Glyphs(True, "▁▂▃▄▅▆▇█", "▼", "▲", "…")
ASCII = Glyphs(False, "_.-=*#", "v", "^", "~")

_IN_ASCII = {ord("×"): "x", ord("…"): "..."}
"""What l7 itself writes, as in `×3`."""


def glyphs_of(environ: Mapping[str, str]) -> Glyphs:
    """The characters that the locale of a user has; the console of Linux has too few in its fonts."""
    named = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    return UNICODE if "utf8" in named.lower().replace("-", "") and environ.get("TERM") != "linux" else ASCII


def visible(text: object, glyphs: Glyphs) -> str:
    """A text as one cell: what is no letter, digit or sign of known width and direction is written escaped."""
    shown = printable(str(text), LONGEST)
    if not glyphs.unicode:
        shown = shown.translate(_IN_ASCII)
    if shown.isascii():
        return shown
    return "".join(c if c.isascii() or (glyphs.unicode and _is_plain(c)) else _escaped(c) for c in shown)


def _is_plain(char: str) -> bool:
    # Marks have no width of their own, signs such as emoji have another one in each terminal, and letters that are
    # written from the right turn around what stands beside them.
    category = unicodedata.category(char)
    return (category[0] in "LNP" or category in ("Sm", "Sc")) and unicodedata.bidirectional(char) not in (
        "R",
        "AL",
        "AN",
    )


def _escaped(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode()


def width_of(text: str) -> int:
    """Columns that a text takes."""
    return len(text) if text.isascii() else calc_width(text, 0, len(text))


def fit(text: str, width: int, glyphs: Glyphs, *, right: bool = False) -> str:
    """A text of exactly ``width`` columns: filled with spaces, or cut and marked as such."""
    taken = width_of(text)
    if taken > width:
        end, column = calc_text_pos(text, 0, len(text), max(width - 1, 0))
        text = text[:end] + (glyphs.cut if width else "")
        taken = column + (1 if width else 0)
    return " " * (width - taken) + text if right else text + " " * (width - taken)


def plot(values: Sequence[float | None], width: int, glyphs: Glyphs) -> str:
    """The last values as a row of characters, each the greatest of those that fall together; unknown ones are blank."""
    if not values or width <= 0:
        return " " * max(width, 0)
    each = max(-(-len(values) // width), 1)
    parts = [values[max(end - each, 0) : end] for end in range(len(values), 0, -each)][::-1]
    greatest = [max((one for one in part if one is not None), default=None) for part in parts]
    top = max((one for one in greatest if one is not None), default=0.0) or 1.0
    steps = len(glyphs.levels) - 1
    drawn = "".join(" " if one is None else glyphs.levels[round(max(one, 0.0) / top * steps)] for one in greatest)
    return drawn.rjust(width)


def rate(value: float | None) -> str:
    """A rate per second, or another number, in at most six characters."""
    if value is None:
        return "-"
    if value < 999.95:
        return f"{value:.1f}"
    return f"{value / 1000:.1f}k" if value < 999_950 else f"{value / 1e6:.1f}M"


def count(value: int | None) -> str:
    """A whole number in at most six characters."""
    if value is None:
        return "-"
    for least, unit, letter in ((9.9995e9, 1e9, "G"), (9.9995e6, 1e6, "M"), (1e5, 1e3, "k")):
        if value >= least:
            return f"{value / unit:.0f}{letter}"
    return str(value)


def took(seconds: float | None) -> str:
    """A time that something took, in at most six characters."""
    return lasted(seconds).replace(" ", "")


def age(seconds: float | None) -> str:
    """How long ago something was, in at most six characters."""
    if seconds is None:
        return "-"
    whole = max(int(seconds), 0)
    if whole >= _DAY:
        return f"{whole // _DAY}d{whole % _DAY // _HOUR:02d}h" if whole < 100 * _DAY else f"{whole // _DAY}d"
    if whole >= _HOUR:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02d}m"
    return f"{whole // _MINUTE}m{whole % _MINUTE:02d}s" if whole >= _MINUTE else f"{whole}s"
