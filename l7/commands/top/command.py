"""``l7 top``: a live screen, or (``--once``) what it would show as text. Exit codes: 0 well, 1 nothing runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from l7.commands.control_client import without_words
from l7.commands.top.cells import Glyphs, glyphs_of
from l7.commands.top.columns import plain
from l7.commands.top.details import Source
from l7.commands.top.heading import plain_heading
from l7.commands.top.session import TopSession
from l7.commands.top.tables import FAILURES, ROUTES, SERVERS, WORKERS, rows_of
from l7.commands.top.terminal import refuse_without_terminal
from l7.ipc.requests import Answer

INTERVAL = 2.0
"""Seconds between two looks: l7 itself takes its figures as often."""


def top(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Show what the l7 that runs is doing, until somebody quits."""
    given = without_words("top", argv)
    source = Source(given, environ)
    glyphs = glyphs_of(environ)
    if given.json or given.filters.get("once"):
        document = source.overview()
        print(json.dumps(document) if given.json else "\n".join(text_of(document, glyphs)))
        return 0
    refuse_without_terminal(environ)
    return TopSession(source, source.overview(), given.filters.get("interval", INTERVAL), glyphs).run(environ)


def text_of(document: Answer, glyphs: Glyphs) -> Iterator[str]:
    """The document as lines of text, all rows and columns of it, without any escape sequence."""
    yield from plain_heading(document, glyphs)
    for table in (ROUTES, SERVERS, WORKERS, FAILURES):
        yield ""
        yield from plain(table, rows_of(table, document), glyphs)
