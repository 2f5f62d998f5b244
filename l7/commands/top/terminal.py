"""The terminal: whether there is one, how it is drawn on, and that it is left as it was."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import urwid
from urwid.display import raw

from l7.commands.top.cells import Glyphs
from l7.errors import ConfigError, Problem

_PALETTE = [
    # name, colour, background, without colours
    ("title", "default,bold", "default", "bold"),
    ("strong", "default,bold", "default", "bold"),
    ("good", "dark green", "default", "default"),
    ("warn", "brown", "default", "bold"),
    ("bad", "light red", "default", "bold"),
    ("plot", "dark cyan", "default", "default"),
    ("dim", "default", "default", "default"),
    ("tab", "default,underline", "default", "underline"),
    ("tab-on", "default,bold,underline", "default", "bold,underline"),
    ("columns", "default,bold", "default", "bold"),
    ("focus", "default,standout", "default", "standout"),
    ("foot", "default,standout", "default", "standout"),
]
_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


_COLUMNS, _ROWS = 80, 24
"""The size of a terminal that does not say what it has, as at a serial line."""


class _Screen(raw.Screen):
    """Has a size in any case: urwid fails where there is no row to draw on."""

    def get_cols_rows(self) -> tuple[int, int]:
        """Columns and rows."""
        columns, rows = super().get_cols_rows()
        self.maxrow = rows or _ROWS
        return columns or _COLUMNS, self.maxrow


def refuse_without_terminal(environ: Mapping[str, str]) -> None:
    """Raise `ConfigError` where nothing can be drawn."""
    term = environ.get("TERM") or ""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        what = "standard input and output are no terminal"
    elif term in ("", "dumb", "unknown"):
        what = f"this terminal cannot be drawn on (TERM={term})"
    else:
        return
    raise ConfigError([Problem("top", "", f"{what}; `l7 top --once` prints once what it would show, also as --json")])


def screen_of(environ: Mapping[str, str], glyphs: Glyphs) -> raw.Screen:
    """The screen to draw on; without colours where a user wants none (https://no-color.org)."""
    urwid.set_encoding("utf-8" if glyphs.unicode else "ascii")
    screen = _Screen()
    if environ.get("NO_COLOR"):
        screen.set_terminal_properties(colors=1)
    screen.register_palette(_PALETTE)
    return screen


def on_signals(wake: Callable[[], None]) -> tuple[list[int], dict[int, Any]]:
    """Note signals that ask to end, and ``wake`` the loop: nothing is drawn in their middle.

    So is Ctrl-C: a `KeyboardInterrupt` that comes in a callback of a weak reference, of which urwid has many, is lost.

    Returns the numbers of those that have come, and what was there before.
    """
    come: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        come.append(number)
        signal.signal(number, signal.SIG_DFL)  # whoever asks twice does not wait for a terminal that takes nothing
        wake()

    return come, {number: signal.signal(number, note) for number in _ENDS if _is_heard(number)}


def _is_heard(number: int) -> bool:
    return signal.getsignal(number) is not signal.SIG_IGN  # as under nohup


def end_by(number: int) -> None:
    """End as who has sent the signal expects it; Ctrl-C is one of the keys that quit."""
    if number == signal.SIGINT:
        return
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
