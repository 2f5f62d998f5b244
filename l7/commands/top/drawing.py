"""Lines as canvases of urwid, and the boxes that scroll over them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import urwid

from l7.commands.top.cells import Glyphs, fit, visible, width_of
from l7.commands.top.columns import EntryTable, ScreenLine, Sorting
from l7.ipc.requests import Answer

FOCUS = "focus"
"""How the row is drawn that Enter opens."""


def canvas_of(lines: Sequence[ScreenLine], width: int, height: int, glyphs: Glyphs) -> urwid.Canvas:
    """Lines as a canvas of a size; what is too long is cut, what is missing blank."""
    texts, looks = [], []
    for line in [*lines[:height], *[[("", "")]] * (height - len(lines))]:
        text, look = _row(line, width, glyphs)
        texts.append(text)
        looks.append(look)
    return urwid.TextCanvas(texts, looks, maxcol=width)


def _row(line: ScreenLine, width: int, glyphs: Glyphs) -> tuple[bytes, list[tuple[Any, int]]]:
    left, text, looks = width, b"", []
    for look, piece in line:
        taken = min(width_of(piece), left)
        part = fit(piece, taken, glyphs).encode("utf-8" if glyphs.unicode else "ascii", "replace")
        if part:
            looks.append((look or None, len(part)))
            text += part
            left -= taken
    if left:
        # What is drawn in another way is drawn so up to the edge.
        looks.append((line[-1][0] if line and line[-1][0] == FOCUS else None, left))
    return text + b" " * left, looks


def folded(line: str, width: int) -> list[str]:
    """A line in parts that fit, taken apart at spaces; those after the first are indented."""
    found = []
    indent = " " * min(len(line) - len(line.lstrip()) + 4, width // 2)
    while width_of(line) > width:
        end, _ = urwid.calc_text_pos(line, 0, len(line), width)
        space = line.rfind(" ", len(indent) + 1, end + 1)
        end = space if space > 0 else end
        found.append(line[:end])
        line = indent + line[end:].lstrip()
    return [*found, line]


def moved(key: str, at: int, page: int, last: int) -> int | None:
    """Where a cursor goes by a key; None for a key that moves none."""
    steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -page, "page down": page, "ctrl b": -page, "ctrl f": page}
    if key in ("home", "g"):
        return 0
    if key in ("end", "G"):
        return max(last, 0)
    return max(0, min(at + steps[key], last)) if key in steps else None


class TableBox(urwid.Widget):
    """A table with a row that is marked, which stays marked wherever the next document puts it."""

    _sizing = frozenset([urwid.BOX])
    _selectable = True

    def __init__(self, table: EntryTable, glyphs: Glyphs) -> None:
        super().__init__()
        self.table = table
        self.sorting = Sorting(table.sorted_by)
        self.entries: list[Answer] = []
        self.shown: list[Answer] = []
        self.empty = table.empty
        self._glyphs = glyphs
        self._cursor = self._offset = 0
        self._marked: Hashable = None

    def show(self, rows: Sequence[Answer]) -> None:
        """Show other rows."""
        self.entries = list(rows)
        self._arrange()

    def sort(self, sorting: Sorting) -> None:
        """Sort in another way, or show other rows of those that are there."""
        self.sorting = sorting
        self._arrange()

    def next_column(self, step: int) -> None:
        """Sort by another column."""
        columns = self.table.sortable()
        at = columns.index(self.sorting.column) if self.sorting.column in columns else 0
        self.sort(Sorting(columns[(at + step) % len(columns)], False, self.sorting.wanted))

    @property
    def selected(self) -> Answer | None:
        """The entry that is marked."""
        return self.shown[self._cursor] if self._cursor < len(self.shown) else None

    def _arrange(self) -> None:
        self.shown = self.sorting.apply(self.table, self.entries, self._glyphs)
        names = [self.table.name(one) for one in self.shown]
        # A mark that nobody has moved stays at the top.
        at = names.index(self._marked) if self._marked is not None and self._marked in names else None
        last = max(len(names) - 1, 0)
        self._cursor = at if at is not None else 0 if self._marked is None else min(self._cursor, last)
        self._invalidate()

    def keypress(self, size: Any, key: str) -> str | None:
        """Move the mark."""
        to = moved(key, self._cursor, max(size[1] - 2, 1), len(self.shown) - 1)
        if to is None:
            return key
        self._cursor = max(to, 0)
        selected = self.selected
        self._marked = None if not self._cursor or selected is None else self.table.name(selected)
        self._invalidate()
        return None

    def render(self, size: Any, focus: bool = False) -> urwid.Canvas:
        """Draw the head and the rows about the one that is marked."""
        width, height = size
        room = max(height - 1, 1)
        self._offset = max(min(self._offset, len(self.shown) - room, self._cursor), self._cursor - room + 1, 0)
        layout = self.table.layout(self.entries, width, self._glyphs)
        lines: list[ScreenLine] = [[("columns", self.table.head(layout, self.sorting, self._glyphs))]]
        for number, row in enumerate(self.shown[self._offset : self._offset + room], self._offset):
            line = self.table.line(row, layout, self._glyphs)
            lines.append([(FOCUS, text) for _, text in line] if focus and number == self._cursor else line)
        if not self.shown:
            words = f"nothing has {self.sorting.wanted!r} in it" if self.entries else self.empty
            lines.append([("dim", f"  {visible(words, self._glyphs)}")])
        return canvas_of(lines, width, height, self._glyphs)


class TextBox(urwid.Widget):
    """Lines of text that can be scrolled; they are taken apart where they are longer than the screen is wide."""

    _sizing = frozenset([urwid.BOX])
    _selectable = True

    def __init__(self, lines: Sequence[str], glyphs: Glyphs) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._offset = 0
        self.show(lines)

    def show(self, lines: Sequence[str]) -> None:
        """Show other lines."""
        self._lines = [visible(line, self._glyphs) for line in lines]
        self._invalidate()

    def span(self, size: tuple[int, int]) -> str:
        """Which lines of how many are shown; empty for all."""
        many = len(self._folded(size[0]))
        first = max(min(self._offset, many - size[1]), 0)
        return f" {first + 1}-{first + size[1]} of {many}" if many > size[1] else ""

    def _folded(self, width: int) -> list[str]:
        return [part for line in self._lines for part in folded(line, width)]

    def keypress(self, size: Any, key: str) -> str | None:
        """Scroll."""
        most = max(len(self._folded(size[0])) - size[1], 0)
        to = moved(key, min(self._offset, most), max(size[1] - 1, 1), most)
        if to is None:
            return key
        self._offset = to
        self._invalidate()
        return None

    def render(self, size: Any, focus: bool = False) -> urwid.Canvas:
        """Draw what is scrolled to."""
        width, height = size
        lines = self._folded(width)
        self._offset = max(min(self._offset, len(lines) - height), 0)
        drawn: list[ScreenLine] = [[("", line)] for line in lines[self._offset : self._offset + height]]
        return canvas_of(drawn, width, height, self._glyphs)
