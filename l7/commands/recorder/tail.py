"""``l7 tail``: the requests of the l7 that runs, as they end. Exit codes: 0 well, 1 none shown or nothing runs."""

from __future__ import annotations

import errno
import json
import os
import select
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from l7.commands.control_client import printable_line, without_words
from l7.commands.recorder.connection import RecorderFollower
from l7.commands.recorder.summary import print_summary
from l7.telemetry.recorder.reader import RecorderReader
from l7.telemetry.recorder.records import RequestRecord
from l7.telemetry.recorder.request_filter import RequestFilter
from l7.telemetry.stories.times import lasted, moment

LINES = 10
"""Requests that have ended already that are shown first."""
LOOK = 0.1
"""Seconds between two looks; a ring that is full sooner costs the reader lines, and l7 nothing."""


def tail(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Print one line a request, or one JSON object, until Ctrl-C or, with ``--once``, the end of what is there.

    With ``--by`` it is a table of what is there.
    """
    given = without_words("tail", argv)
    follower = RecorderFollower(given, environ)
    asked = dict(given.filters)
    by, many = asked.pop("by", ""), asked.pop("lines", None)
    once = asked.pop("once", False) or bool(by)
    wanted = RequestFilter(**asked, client=given.client)
    if many is None and once:
        before = [one for one in follower.reader.finished() if wanted.takes(one)]
    else:
        before = _last(follower.reader, wanted, LINES if many is None else many)
    printer = _print_json if given.json else _print_line
    if by:
        print_summary(before, by, as_json=given.json)
    else:
        printer(before)
    if once:
        return 0 if before else 1
    with suppress(KeyboardInterrupt):
        _follow(follower, wanted, printer, {one.identity for one in before})
    return 0


def _last(reader: RecorderReader, wanted: RequestFilter, most: int) -> list[RequestRecord]:
    """The last ``most`` requests that have ended, the last one last: of very many no others are read."""
    found = {one.identity: one for failed in (False, True) for one in reader.newest(wanted, most, failed=failed)}
    return sorted(found.values(), key=lambda one: one.ended)[-most:] if most else []


def _follow(follower: RecorderFollower, wanted: RequestFilter, printer: Any, shown: Collection[Any]) -> None:
    """Print what ends from now on, but for what was ``shown``; raises `StartError` when no l7 runs any more."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    while True:
        news = follower.news()
        if news.missed:
            print(f"l7: {news.missed} requests missed: more ended than could be shown", file=sys.stderr, flush=True)
        printer(one for one in news.records if wanted.takes(one) and one.identity not in shown)
        shown = ()  # they can have ended between two looks at the beginning only
        if output.poll(LOOK * 1000):  # nobody reads any more: to learn of it by writing may take hours
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _print_line(records: Iterable[RequestRecord]) -> None:
    for one in records:
        print(printable_line(line_of(one)))
    sys.stdout.flush()


def _print_json(records: Iterable[RequestRecord]) -> None:
    for one in records:
        print(json.dumps(one.plain()))
    sys.stdout.flush()


def line_of(one: RequestRecord) -> str:
    """A request as one line: when it ended, how, how long it took, what it was, where it went, its id."""
    tries = f" ({one.tried} attempts)" if one.tried > 1 else ""
    server = f"{one.server}{tries}" if one.server else "-"
    status = "died" if one.died else str(one.status)
    what = f"{one.method or '-'} {one.host or '-'} {one.target or '-'}"
    how = f"{status} {one.code} {lasted(one.total):>8}"
    return f"{moment(one.ended)} {how} {what} -> {server} {one.client} {one.request_id}"
