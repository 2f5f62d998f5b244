"""One ``l7 top`` at a terminal: asks for the overview again and again, and shows it, until somebody quits."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import urwid

from l7.commands.top import cells, terminal
from l7.commands.top.asking import Asker, Unanswered, answer_to
from l7.commands.top.cells import Glyphs, visible
from l7.commands.top.details import Source
from l7.commands.top.drawing import TableBox, TextBox
from l7.commands.top.screen import DetailPage, TopScreen
from l7.commands.top.tables import FAILURES, REQUESTS, ROUTES, SERVERS, server_name
from l7.ipc.requests import Answer

ANOTHER = 30.0
"""Seconds for which it is said that another l7 answers than before."""
_ASKING = "asking ..."
_PATIENCE = 5.0
"""Seconds that an answer may take until that is said."""


class TopSession:
    """Puts the screen, the one who asks and the loop together.

    :param document: the first one.
    :param interval: seconds between two.
    """

    def __init__(self, source: Source, document: Answer, interval: float, glyphs: Glyphs) -> None:
        self._source = source
        self._interval = interval
        self._glyphs = glyphs
        self._asked: float | None = None
        self._pid = document.get("pid")
        self._heard = time.monotonic()
        self._changed: float | None = None
        self._screen = TopScreen(document, glyphs, self._open, self._ask)
        self._asker = Asker(self._wake)
        self._loop: Any = None
        self._pipe = -1
        self._ended: list[int] = []

    def run(self, environ: Mapping[str, str]) -> int:
        """Run until somebody quits; returns the exit code."""
        screen = terminal.screen_of(environ, self._glyphs)
        self._loop = urwid.MainLoop(
            self._screen, screen=screen, handle_mouse=False, input_filter=self._filter, unhandled_input=self._unknown
        )
        self._pipe = self._loop.watch_pipe(self._deliver)
        self._ended, before = terminal.on_signals(self._wake)
        self._asker.start()
        self._loop.set_alarm_in(self._interval, self._tick)
        try:
            self._loop.run()
        except (OSError, RuntimeError):  # urwid's for an end of the input
            if sys.stdin.isatty():
                raise
            return 1  # the terminal has gone away
        if self._ended and before:
            terminal.end_by(self._ended[0])
        return 0

    # The loop

    def _wake(self) -> None:
        os.write(self._pipe, b"!")

    def _deliver(self, _: bytes) -> bool:
        if self._ended:
            raise urwid.ExitMainLoop
        self._asker.deliver()
        return True

    def _filter(self, keys: list[Any], _: list[int]) -> list[Any]:
        if "ctrl l" in keys:
            self._loop.screen.clear()
        return [key for key in keys if key != "ctrl l"]

    def _unknown(self, _: Any) -> bool:
        return True

    def _tick(self, *_: Any) -> None:
        self._loop.set_alarm_in(self._interval, self._tick)
        if self._asked is not None and time.monotonic() - self._asked > _PATIENCE:
            self._show_trouble("it does not answer")
        if not self._screen.paused:
            self._ask()

    def _show_trouble(self, why: str) -> None:
        self._screen.say(f"no news for {cells.age(time.monotonic() - self._heard)}: {why}")

    # The overview

    def _ask(self) -> None:
        if self._asked is None:
            self._asked = time.monotonic()
            self._asker.ask(self._source.overview, self._take)

    def _take(self, answer: Answer | Unanswered) -> None:
        self._asked = None
        if isinstance(answer, Unanswered):
            self._show_trouble(answer.why)
            return
        self._heard = time.monotonic()
        if self._screen.paused:
            return
        shown = answer_to(lambda: self._screen.show(answer))
        if isinstance(shown, Unanswered):
            self._screen.say(shown.why)
        if answer.get("pid") != self._pid:
            self._pid, self._changed = answer.get("pid"), self._heard
        self._screen.another = self._changed is not None and self._heard - self._changed < ANOTHER

    # What rows open

    def _open(self, view: str, row: Answer) -> None:
        if view == ROUTES.title:
            self._requests(str(row["route"]))
        elif view == SERVERS.title:
            self._text(f"server {server_name(row)}", lambda: self._source.history(row["backend"], row["server"]))
        elif view in (FAILURES.title, REQUESTS.title):
            self._text(
                f"request {row['request-id']}", lambda: self._source.story(row["request-id"], self._screen.width)
            )
        else:
            lines = [f"  {name:22}  {value}" for name, value in row.items() if name != "plot"]
            self._screen.push(DetailPage(f"worker {row['worker']}", TextBox(lines, self._glyphs)))

    def _text(self, title: str, question: Callable[[], list[str]]) -> None:
        """Open a page of lines; what it shows comes when it is there."""
        box = TextBox((_ASKING,), self._glyphs)

        def take(answer: list[str] | Unanswered) -> None:
            box.show([answer.why] if isinstance(answer, Unanswered) else answer)

        self._push(title, box, question, take)

    def _requests(self, route: str) -> None:
        """Open the last requests of a route."""
        box = TableBox(REQUESTS, self._glyphs)
        box.empty = _ASKING

        def take(answer: list[Answer] | Unanswered) -> None:
            box.empty = answer.why if isinstance(answer, Unanswered) else REQUESTS.empty
            box.show([] if isinstance(answer, Unanswered) else answer)

        self._push(f"the last requests of {route}", box, lambda: self._source.requests(route), take)

    def _push(
        self, title: str, box: TableBox | TextBox, question: Callable[[], Any], take: Callable[[Any], None]
    ) -> None:
        def again() -> None:
            self._asker.ask(question, take)

        self._screen.push(DetailPage(visible(title, self._glyphs), box, again))
        again()
