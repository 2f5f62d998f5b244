"""What is shown of routes, servers, workers, failures and recorded requests: the columns of each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from l7.commands.top import cells
from l7.commands.top.cells import Glyphs, visible
from l7.commands.top.columns import Column, EntryTable
from l7.ipc.requests import Answer

_ORDER = ("down", "ejected", "maint", "drain", "up")
"""States of servers, those first that somebody should look at."""
_RESTING = ("drain", "maint")


def _figure(name: str) -> Callable[[Answer], Any]:
    def value(row: Answer) -> Any:
        return row.get(name)

    return value


def _number(head: str, name: str, show: Callable[[Any], str], width: int, rank: int = 0, bad: str = "") -> Column:
    """A column of numbers; where they are above zero they are drawn as ``bad`` says."""

    def text(row: Answer, _: Glyphs) -> str:
        return show(row.get(name))

    def look(row: Answer) -> str:
        return bad if (row.get(name) or 0) > 0 else ""

    return Column(head, text, width, key=_figure(name), rank=rank, look=look if bad else None)


def _in_words(name: str) -> Callable[[Answer], Any]:
    def value(row: Answer) -> Any:
        return str(row.get(name) or "")

    return value


def _text(
    head: str, text: Callable[[Answer, Glyphs], str], width: int, key: Callable[[Answer], Any], rank: int = 0
) -> Column:
    """A column of text that grows."""
    return Column(head, text, width, key=key, falling=False, right=False, grows=True, rank=rank)


def _words(head: str, name: str, width: int, rank: int = 0) -> Column:
    """The same, of what an entry has under a name."""

    def text(row: Answer, glyphs: Glyphs) -> str:
        found = row.get(name)
        return "-" if found in (None, "") else visible(found, glyphs)

    return _text(head, text, width, _in_words(name), rank)


def _plot(head: str, name: str, width: int, rank: int) -> Column:
    def drawn(row: Answer, columns: int, glyphs: Glyphs) -> str:
        return cells.plot((row.get("plot") or {}).get(name) or (), columns, glyphs)

    def text(_: Answer, __: Glyphs) -> str:
        return ""

    return Column(head, text, width, rank=rank, drawn=drawn, right=False)


# ---------------------------------------------------------------------------------------------------------- routes


def _up(row: Answer) -> str:
    return f"{row.get('up', 0)}/{row['servers']}" if row.get("servers") else "-"


def _about_route(row: Answer, glyphs: Glyphs) -> str:
    statuses = row.get("statuses") or {}
    told = ", ".join(f"{name} {number}" for name, number in statuses.items() if number) or "none"
    return f"{visible(row['route'], glyphs)}: answers since l7 was started: {told}; servers up: {_up(row)}"


ROUTES = EntryTable(
    "routes",
    (
        _words("route", "route", 16),
        _number("req/s", "rate", cells.rate, 7),
        _number("err/s", "errors", cells.rate, 6, bad="bad"),
        _number("refused", "refused", cells.rate, 8, rank=2, bad="warn"),
        _number("p50", "p50", cells.took, 6, rank=1),
        _number("p99", "p99", cells.took, 6),
        _number("flight", "in-flight", cells.count, 7, rank=1),
        _number("queue", "queued", cells.count, 6, rank=1, bad="warn"),
        Column(
            "up",
            lambda row, _: _up(row),
            5,
            key=lambda row: (row.get("up", 0) - row["servers"]) if row.get("servers") else None,
            falling=False,
            rank=3,
            look=lambda row: "bad" if row.get("servers", 0) > row.get("up", 0) else "",
        ),
        _number("requests", "requests", cells.count, 9, rank=5),
        _plot("rate, 5 min", "rate", 20, 4),
        _plot("p99, 5 min", "p99", 20, 7),
        _plot("errors, 5 min", "errors", 20, 6),
    ),
    name=lambda row: row["route"],
    sorted_by=1,
    empty="no route has had a request",
    about=_about_route,
)


# --------------------------------------------------------------------------------------------------------- servers


def server_name(row: Answer) -> str:
    """A server as it is written, with its address where that is another one."""
    return str(row["server"]) + (f" at {row['address']}" if row.get("address") else "")


def _state_key(row: Answer) -> Any:
    state = str(row["state"])
    return (_ORDER.index(state) if state in _ORDER else 0, not row.get("why"), row["backend"], row["server"])


def _state_look(row: Answer) -> str:
    if row["state"] == "up":
        return "warn" if row.get("why") else "good"
    return "warn" if row["state"] in _RESTING else "bad"


def _state(row: Answer, glyphs: Glyphs) -> str:
    # Of one that is up and has a remark one should not need the colour.
    return visible(row["state"], glyphs) + (" !" if row["state"] == "up" and row.get("why") else "")


def _since(row: Answer) -> str:
    return cells.age(row.get("for"))


def _server_text(row: Answer, glyphs: Glyphs) -> str:
    return visible(server_name(row), glyphs)


def _why(row: Answer, glyphs: Glyphs) -> str:
    said = ["backup"] if row.get("backup") else []
    if row.get("why"):
        said.append(str(row["why"]))
    if row.get("used") and row["state"] not in ("up", *_RESTING):
        said.append("used all the same: too few are up")
    last = row.get("last-error")
    if last:
        said.append(f"last error {cells.age(last['ago'])} ago: {last['what']}")
    return visible("; ".join(said) or "-", glyphs)


def _about_server(row: Answer, glyphs: Glyphs) -> str:
    why = _why(row, glyphs)
    lasts = "" if row.get("for") is None else f" for {_since(row)}"
    told = "" if why == "-" else f": {why}"
    return f"{visible(row['backend'], glyphs)} {_server_text(row, glyphs)}: {row['state']}{lasts}{told}"


SERVERS = EntryTable(
    "servers",
    (
        _words("route", "backend", 13),
        _text("server", _server_text, 16, server_name),
        Column("state", _state, 8, key=_state_key, falling=False, right=False, look=_state_look),
        Column("for", lambda row, _: _since(row), 6, key=_figure("for"), falling=False),
        _number("req/s", "rate", cells.rate, 6, rank=2),
        _number("err/s", "errors", cells.rate, 6, rank=1, bad="bad"),
        _number("p50", "p50", cells.took, 6, rank=5),
        _number("p99", "p99", cells.took, 6, rank=3),
        _number("flight", "in-flight", cells.count, 6, rank=4),
        _number("weight", "weight", cells.count, 6, rank=6),
        _plot("rate, 5 min", "rate", 20, 7),
        _plot("errors, 5 min", "errors", 20, 8),
        Column("why", _why, 18, right=False, grows=True),
    ),
    name=lambda row: (row["backend"], row["server"], row.get("address")),
    sorted_by=2,
    empty="no route leads to servers",
    about=_about_server,
)


# --------------------------------------------------------------------------------------------------------- workers


def _memory(size: int | None) -> str:
    if size is None:
        return "-"
    return f"{size / 1024**2:.0f}M" if size < 10 * 1024**3 else f"{size / 1024**3:.0f}G"


def _about_worker(row: Answer, _: Glyphs) -> str:
    relayed = f", relays TLS for {row['relayed']} connections" if row.get("relayed") else ""
    return (
        f"worker {row['worker']}, pid {row['pid']}: {row['state']}, generation {row['generation']},"
        f" for {cells.age(row['age'])}, {row['requests']} requests{relayed}"
    )


WORKERS = EntryTable(
    "workers",
    (
        Column(
            "worker",
            lambda row, _: str(row["worker"]),
            7,
            key=lambda row: (row["worker"], -row["generation"]),
            falling=False,
        ),
        Column("pid", lambda row, _: str(row["pid"]), 8, key=_figure("pid"), falling=False, rank=2),
        Column("gen", lambda row, _: str(row["generation"]), 5, key=_figure("generation")),
        Column("age", lambda row, _: cells.age(row["age"]), 7, key=_figure("age")),
        Column(
            "state",
            lambda row, glyphs: visible(row["state"], glyphs),
            10,
            key=lambda row: str(row["state"]),
            right=False,
            look=lambda row: "good" if row["state"] == "ready" else "warn",
        ),
        _number("conns", "connections", cells.count, 7),
        _number("flight", "in-flight", cells.count, 7),
        _number("req/s", "requests-per-second", cells.rate, 7),
        _number("lag", "lag", cells.took, 7),
        Column("memory", lambda row, _: _memory(row.get("memory")), 7, key=_figure("memory")),
        _number("requests", "requests", cells.count, 9, rank=3),
        _number("relayed", "relayed", cells.count, 8, rank=4),
    ),
    name=lambda row: row["pid"],
    sorted_by=0,
    empty="no worker is there",
    about=_about_worker,
)


# -------------------------------------------------------------------------------------------------------- requests


def _clock(row: Answer) -> str:
    ended = row.get("ended")
    if ended is None:
        started, total = row.get("started"), row.get("total")
        ended = None if started is None else started + (total or 0.0)
    return "-" if ended is None else time.strftime("%H:%M:%S", time.localtime(ended))


def _end(row: Answer) -> Any:
    if row.get("under-way"):
        return math.inf  # those that have not ended are the newest, however long ago they began
    return row["ended"] if row.get("ended") is not None else (row.get("started") or 0.0) + (row.get("total") or 0.0)


def _status(row: Answer) -> str:
    if row.get("under-way"):
        return "runs"
    return str(row["status"]) if row.get("status") else "died" if row.get("died") else "-"


def _status_look(row: Answer) -> str:
    if row.get("under-way"):
        return ""
    status = row.get("status") or 0
    return "bad" if status >= 500 or not status else "warn" if status >= 400 else "good"


def _what(row: Answer, glyphs: Glyphs) -> str:
    return visible(f"{row.get('method') or '-'} {row.get('host') or '-'}{row.get('target') or ''}", glyphs)


def _ended_why(row: Answer, glyphs: Glyphs) -> str:
    if not row.get("status") and str(row.get("code") or "").startswith("I"):
        return "its worker ended"
    if row.get("code") == "--" and (row.get("status") or 0) >= 500 and row.get("server"):
        return "the server's own"
    return visible(row.get("failure") or row.get("reason") or "-", glyphs)


def _about_request(row: Answer, glyphs: Glyphs) -> str:
    reason = row.get("reason") or row.get("failure") or ""
    told = f": {visible(reason, glyphs)}" if reason else ""
    server = f" from {visible(row['server'], glyphs)}" if row.get("server") else ""
    return f"{visible(row.get('request-id') or '-', glyphs)} {_what(row, glyphs)} {_status(row)}{server}{told}"


def _requests(title: str, empty: str, *, of_route: bool) -> EntryTable:
    columns = (
        Column("ended", lambda row, _: _clock(row), 8, key=_end, right=False),
        Column("stat", lambda row, _: _status(row), 5, key=_figure("status"), look=_status_look),
        _words("code", "code", 4, rank=1),
        _number("took", "total", cells.took, 6),
        _text("request", _what, 18, _in_words("target")),
        *(() if of_route else (_words("route", "route", 8, rank=4),)),
        _words("server", "server", 14, rank=2),
        _text("why", _ended_why, 18, _in_words("failure"), rank=1),
        _words("client", "client", 15, rank=5),
        _words("id", "request-id", 32, rank=6),
    )
    return EntryTable(
        title,
        columns,
        name=lambda row: (row.get("request-id"), row.get("ended"), row.get("started"), row.get("worker")),
        sorted_by=0,
        empty=empty,
        about=_about_request,
    )


FAILURES = _requests("failures", "no request has failed", of_route=False)
REQUESTS = _requests("requests", "none is recorded", of_route=True)


def rows_of(table: EntryTable, document: Answer) -> list[Answer]:
    """The entries of a table in the overview document; of servers also for how long each is in its state."""
    names = {ROUTES.title: "routes", SERVERS.title: "servers", WORKERS.title: "workers", FAILURES.title: "failures"}
    found = list(document.get(names[table.title]) or ())
    if table is not SERVERS:
        return found
    now = document.get("at")
    return [{**one, "for": now - one["since"] if now and one.get("since") else None} for one in found]
