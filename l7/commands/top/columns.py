"""Tables: which columns there is room for, how wide each is, and in which order rows stand."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from l7.commands.top.cells import Glyphs, fit, width_of
from l7.ipc.requests import Answer

Piece = tuple[str, str]
"""A piece of a line: the name of how it is drawn, empty for plain, and the text."""
ScreenLine = list[Piece]


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    head: str
    text: Callable[[Answer, Glyphs], str]
    width: int
    """Characters; for one that grows, the fewest where there is more to be shown."""
    key: Callable[[Answer], Any] | None = None
    """What rows are sorted by; None for a column by which they cannot be."""
    falling: bool = True
    """Whether the greatest comes first."""
    right: bool = True
    grows: bool = False
    rank: int = 0
    """Where there is too little room, columns of the highest rank are left out first."""
    look: Callable[[Answer], str] | None = None
    drawn: Callable[[Answer, int, Glyphs], str] | None = None
    """For a plot: draws it so wide."""


@dataclass(frozen=True)
class EntryTable:
    """What is shown of entries of one kind."""

    title: str
    columns: tuple[Column, ...]
    name: Callable[[Answer], Hashable]
    """What an entry is known by from one document to the next one."""
    sorted_by: int
    """The column by which rows are sorted at first."""
    empty: str
    """What is said where there are no rows."""
    about: Callable[[Answer, Glyphs], str]
    """All that does not fit, of one entry, as one line."""

    def sortable(self) -> list[int]:
        """The columns by which rows can be sorted."""
        return [number for number, one in enumerate(self.columns) if one.key is not None]

    def layout(self, rows: Sequence[Answer], width: int | None, glyphs: Glyphs) -> list[tuple[Column, int]]:
        """The columns that are shown, each with its width; without a ``width`` all but plots, as wide as they need."""
        shown = [one for one in self.columns if width is not None or one.drawn is None]
        if width is not None:
            while len(shown) > 1 and sum(one.width + 1 for one in shown) - 1 > width:
                shown.remove(max(shown, key=lambda one: (one.rank, self.columns.index(one))))
        growing = [one for one in shown if one.grows]
        wanted = {id(one): _wanted(one, rows, glyphs) for one in growing}
        widths = {id(one): min(one.width, wanted.get(id(one), one.width)) for one in shown}
        room = None if width is None else width - (sum(widths.values()) + len(shown) - 1)
        # A long one leaves the others what they need: those that need the least have it first.
        growing.sort(key=lambda one: wanted[id(one)] - widths[id(one)])
        for number, one in enumerate(growing):
            more = wanted[id(one)] - widths[id(one)]
            if room is not None:
                more = min(more, max(room, 0) // (len(growing) - number))
                room -= more
            widths[id(one)] += more
        return [(one, widths[id(one)]) for one in shown]

    def head(self, layout: Sequence[tuple[Column, int]], sorting: Sorting, glyphs: Glyphs) -> str:
        """The line above the rows; the column by which they are sorted is marked."""
        cells = []
        for column, width in layout:
            mark = glyphs.down if sorting.falls(self) else glyphs.up
            sorts = self.columns[sorting.column] is column
            name = fit(column.head, width - 1, glyphs).rstrip() + mark if sorts else column.head
            cells.append(fit(name, width, glyphs, right=column.right))
        return " ".join(cells)

    def line(self, row: Answer, layout: Sequence[tuple[Column, int]], glyphs: Glyphs) -> ScreenLine:
        """One row."""
        found: ScreenLine = []
        for column, width in layout:
            if column.drawn is not None:
                text = column.drawn(row, width, glyphs)
            else:
                text = fit(column.text(row, glyphs), width, glyphs, right=column.right)
            if found:
                found.append(("", " "))
            found.append((column.look(row) if column.look is not None else "", text))
        return found


@dataclass(frozen=True)
class Sorting:
    """By which column rows are sorted, and which of them are shown."""

    column: int
    turned: bool = False
    wanted: str = ""
    """A text that stands in each row that is shown, in small letters."""

    def falls(self, table: EntryTable) -> bool:
        """Whether the greatest comes first."""
        return table.columns[self.column].falling != self.turned

    def apply(self, table: EntryTable, rows: Sequence[Answer], glyphs: Glyphs) -> list[Answer]:
        """The rows that are shown, in their order."""
        key = table.columns[self.column].key
        found = [one for one in rows if not self.wanted or self.wanted in _words(table, one, glyphs)]
        if key is None:
            return found
        # What is not known comes last, whichever way rows are sorted.
        known = [one for one in found if key(one) is not None]
        return [
            *sorted(known, key=key, reverse=self.falls(table)),
            *[one for one in found if key(one) is None],
        ]


def _wanted(column: Column, rows: Sequence[Answer], glyphs: Glyphs) -> int:
    return max([len(column.head) + 1, *[width_of(column.text(row, glyphs)) for row in rows]])


def _words(table: EntryTable, row: Answer, glyphs: Glyphs) -> str:
    return " ".join(column.text(row, glyphs) for column in table.columns if not column.drawn).lower()


def plain(table: EntryTable, rows: Sequence[Answer], glyphs: Glyphs) -> Iterator[str]:
    """A table as lines of text, with all columns and all rows, for what is no terminal."""
    yield table.title.upper()
    if not rows:
        yield f"  {table.empty}"
        return
    layout = table.layout(rows, None, glyphs)
    yield " ".join(fit(column.head, width, glyphs, right=column.right) for column, width in layout).rstrip()
    for row in Sorting(table.sorted_by).apply(table, rows, glyphs):
        yield "".join(text for _, text in table.line(row, layout, glyphs)).rstrip()
