"""The whole screen: head, views, the page that a row has opened, what is said below, and what each key does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import urwid

from l7.commands.top.cells import Glyphs, visible
from l7.commands.top.columns import ScreenLine
from l7.commands.top.drawing import TableBox, TextBox, canvas_of, folded
from l7.commands.top.heading import heading, notices, tabs
from l7.commands.top.help import HELP
from l7.commands.top.tables import FAILURES, ROUTES, SERVERS, WORKERS, rows_of
from l7.ipc.requests import Answer

LEAST = (40, 10)
"""Columns and lines of a terminal on which anything can be read."""
TOGETHER = 40
"""Lines from which on all views are on one screen."""
_FOOT = "?:help  1-4:views  s:sort  /:filter  p:pause  Enter:open  q:quit"
_PAGE_FOOT = "Esc:back  r:ask again  up, down, Page Up, Page Down  q:quit"
_TABLE_FOOT = "?:help  s:sort  /:filter  r:ask again  Enter:open  Esc:back  q:quit"


@dataclass
class DetailPage:
    """What a row has opened."""

    title: str
    box: TableBox | TextBox
    again: Callable[[], None] | None = None
    """Asks for it once more."""


class TopScreen(urwid.Widget):
    """Shows the last overview document.

    :param opened: told the view's title and the entry of a row that is to be opened.
    :param refresh: called where the next document is not to be waited for.
    """

    _sizing = frozenset([urwid.BOX])
    _selectable = True

    def __init__(
        self, document: Answer, glyphs: Glyphs, opened: Callable[[str, Answer], None], refresh: Callable[[], None]
    ) -> None:
        super().__init__()
        self.document = document
        self.paused = False
        self.message = ""
        """Why there is nothing new; empty where there is."""
        self.another = False
        """Whether another l7 has answered than before."""
        self._glyphs = glyphs
        self._opened, self._refresh = opened, refresh
        self._views = [TableBox(table, glyphs) for table in (ROUTES, SERVERS, WORKERS, FAILURES)]
        self._at = 0
        self._pages: list[DetailPage] = []
        self._together: bool | None = None
        self._edit: urwid.Edit | None = None
        self._size = (80, 24)
        self.show(document)

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self._size[0]

    # What it is told

    def show(self, document: Answer) -> None:
        """Show another document."""
        self.document, self.message = document, ""
        for view in self._views:
            view.show(rows_of(view.table, document))
        if document.get("recorder") is False:
            self._views[3].empty = "the recorder is off: l7 keeps no failed requests"
        self._invalidate()

    def say(self, message: str) -> None:
        """Say why there is nothing new."""
        self.message = message
        self._invalidate()

    def push(self, page: DetailPage) -> None:
        """Show a page instead of the views; one with the same title takes the place of the last one."""
        if self._pages and self._pages[-1].title == page.title:
            self._pages.pop()
        self._pages.append(page)
        self._edit = None
        self._invalidate()

    # Keys

    def keypress(self, size: Any, key: str) -> str | None:
        """Do what a key says; a key that says nothing comes back."""
        self._size = size
        self._invalidate()
        if self._edit is not None:
            self._edit_filter(key)
        elif key in self._keys():
            self._keys()[key]()
        elif self._focus.keypress((size[0], self._focus_height(size)), key) is not None:
            return key
        return None

    def _keys(self) -> dict[str, Callable[[], None]]:
        common: dict[str, Callable[[], None]] = {
            **dict.fromkeys(("q", "Q"), self._quit),
            **dict.fromkeys(("?", "h", "f1"), self._help),
            **dict.fromkeys(("p", " "), self._pause),
            **dict.fromkeys(("esc", "backspace"), self._back),
            "r": self._again,
        }
        if isinstance(self._focus, TableBox):
            common |= {
                "enter": self._open,
                "s": lambda: self._sort(1),
                ">": lambda: self._sort(1),
                "<": lambda: self._sort(-1),
                "S": self._turn,
                "/": self._begin_filter,
            }
        if not self._pages:
            common |= {str(number + 1): lambda to=number: self._go(to) for number in range(len(self._views))}  # type: ignore[misc]
            common |= {
                "tab": lambda: self._go(self._at + 1),
                "shift tab": lambda: self._go(self._at - 1),
                "right": lambda: self._go(self._at + 1),
                "left": lambda: self._go(self._at - 1),
                "z": self._zoom,
            }
        return common

    def _quit(self) -> None:
        raise urwid.ExitMainLoop

    def _help(self) -> None:
        self.push(DetailPage("help", TextBox(HELP, self._glyphs)))

    def _pause(self) -> None:
        self.paused = not self.paused
        if not self.paused:
            self._refresh()

    def _back(self) -> None:
        box = self._focus
        if isinstance(box, TableBox) and box.sorting.wanted:
            box.sort(replace(box.sorting, wanted=""))
        elif self._pages:
            self._pages.pop()

    def _again(self) -> None:
        again = self._pages[-1].again if self._pages else self._refresh
        if again is not None:
            again()

    def _go(self, to: int) -> None:
        self._at = to % len(self._views)

    def _zoom(self) -> None:
        self._together = not self._is_together(self._size[1])

    def _open(self) -> None:
        box = self._focus
        if isinstance(box, TableBox) and box.selected is not None:
            self._opened(box.table.title, box.selected)

    def _sort(self, step: int) -> None:
        if isinstance(self._focus, TableBox):
            self._focus.next_column(step)

    def _turn(self) -> None:
        if isinstance(self._focus, TableBox):
            self._focus.sort(replace(self._focus.sorting, turned=not self._focus.sorting.turned))

    def _begin_filter(self) -> None:
        if isinstance(self._focus, TableBox):
            self._edit = urwid.Edit("/", self._focus.sorting.wanted)

    def _edit_filter(self, key: str) -> None:
        box, edit = self._focus, self._edit
        if edit is None or not isinstance(box, TableBox):
            return
        if key in ("enter", "esc"):
            self._edit = None
        else:
            edit.keypress((self._size[0],), key)
        box.sort(replace(box.sorting, wanted="" if key == "esc" else edit.edit_text.lower()))

    # Drawing

    @property
    def _focus(self) -> TableBox | TextBox:
        return self._pages[-1].box if self._pages else self._views[self._at]

    def _is_together(self, height: int) -> bool:
        return height >= TOGETHER if self._together is None else self._together

    def _heights(self, room: int) -> list[int]:
        """Lines of each view, with its title, where all are on one screen: a fair share, and no more than it needs."""
        wanted = [len(view.shown) + 3 for view in self._views]
        heights = [0] * len(wanted)
        for left in range(len(wanted), 0, -1):
            number = min((n for n, height in enumerate(heights) if not height), key=lambda n: wanted[n])
            heights[number] = max(min(wanted[number], (room - sum(heights)) // left), 1)
        heights[-1] += room - sum(heights)
        return heights

    def _focus_height(self, size: tuple[int, int]) -> int:
        room = size[1] - self._fixed(size)
        if self._pages or not self._is_together(size[1]):
            return max(room - 1, 1)
        return max(self._heights(room)[self._at] - 1, 1)

    def _fixed(self, size: tuple[int, int]) -> int:
        """Lines above and below the views: head, what somebody should know, all of the marked row, keys."""
        return sum(self._shares(size))

    def _shares(self, size: tuple[int, int]) -> tuple[int, int]:
        """Lines above and below: on a small terminal there is less of it."""
        return (4, 3) if size[1] >= 20 else (4, 2) if size[1] >= 16 else (2, 2)

    def render(self, size: Any, focus: bool = False) -> urwid.Canvas:
        """Draw all of it."""
        width, height = self._size = size
        if width < LEAST[0] or height < LEAST[1]:
            words = f"too small: {width}x{height}, l7 top needs {LEAST[0]}x{LEAST[1]}"
            return canvas_of([[("", words)]], width, height, self._glyphs)
        above, below = self._shares(size)
        mark = "PAUSED " if self.paused else "STALE " if self.message else ""
        head, notice = heading(self.document, width, self._glyphs, mark), self._notice()
        # Where there is little room, what somebody should know takes the place of figures.
        head = [*head[: above - 1], [notice]] if above > len(head) or notice[1] else head
        parts = [canvas_of(head, width, above, self._glyphs)]
        parts += self._body(width, height - above - below)
        about: list[ScreenLine] = [[("dim", line)] for line in folded(self._about(), width)]
        parts.append(canvas_of(about, width, below - 1, self._glyphs))
        parts.append(self._foot(width))
        return urwid.CanvasCombine([(canvas, number, number == len(parts) - 1) for number, canvas in enumerate(parts)])

    def _notice(self) -> tuple[str, str]:
        if self.message:
            return "bad", visible(self.message, self._glyphs)
        if self.another:
            return "warn", f"another l7 answers now: pid {self.document.get('pid', '-')}"
        return next(notices(self.document, self._glyphs), ("", ""))

    def _body(self, width: int, room: int) -> list[urwid.Canvas]:
        if self._pages:
            box = self._pages[-1].box
            more = box.span((width, room - 1)) if isinstance(box, TextBox) else self._filtered(box)
            return self._titled([(self._pages[-1].title + more, True)], box, (width, room), focus=True)
        if not self._is_together(self._size[1]):
            titles = [(self._title(number), number == self._at) for number in range(len(self._views))]
            return self._titled(titles, self._views[self._at], (width, room), focus=True)
        found = []
        for number, height in enumerate(self._heights(room)):
            on = number == self._at
            found += self._titled([(self._title(number), on)], self._views[number], (width, height), focus=on)
        return found

    def _titled(
        self, titles: Sequence[tuple[str, bool]], box: TableBox | TextBox, size: tuple[int, int], *, focus: bool
    ) -> list[urwid.Canvas]:
        width, height = size
        line: ScreenLine = tabs(list(titles), width, self._glyphs)
        found = [canvas_of([line], width, 1, self._glyphs)]
        return [*found, box.render((width, height - 1), focus)] if height > 1 else found

    def _title(self, number: int) -> str:
        view = self._views[number]
        many = f"{number + 1} {view.table.title} {len(view.entries)}"
        if view.table is SERVERS:
            away = sum(one.get("state") != "up" or bool(one.get("why")) for one in view.entries)
            many += f", {away} not well" if away else ""
        return many + self._filtered(view)

    def _filtered(self, box: Any) -> str:
        if not isinstance(box, TableBox) or not box.sorting.wanted:
            return ""
        return f" /{visible(box.sorting.wanted, self._glyphs)}: {len(box.shown)}"

    def _about(self) -> str:
        box = self._focus
        if not isinstance(box, TableBox) or box.selected is None:
            return ""
        return box.table.about(box.selected, self._glyphs)

    def _foot(self, width: int) -> urwid.Canvas:
        if self._edit is not None:
            # Its cursor is to stay on one line, however long a text is.
            return urwid.CompositeCanvas(self._edit.render((width,), True)) if self._fits(width) else self._cut(width)
        words = _FOOT if not self._pages else _TABLE_FOOT if isinstance(self._focus, TableBox) else _PAGE_FOOT
        return canvas_of([[("foot", words.ljust(width))]], width, 1, self._glyphs)

    def _fits(self, width: int) -> bool:
        return self._edit is not None and self._edit.rows((width,)) == 1

    def _cut(self, width: int) -> urwid.Canvas:
        text = "/" + (self._edit.edit_text if self._edit is not None else "")
        return canvas_of([[("", text[-width:])]], width, 1, self._glyphs)
