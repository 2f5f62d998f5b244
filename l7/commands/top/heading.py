"""The lines above the tables: what l7 is, how it goes, and what somebody should know."""

from __future__ import annotations

import time
from collections.abc import Iterator

from l7.commands.top import cells
from l7.commands.top.cells import Glyphs, fit, visible, width_of
from l7.commands.top.columns import ScreenLine
from l7.ipc.requests import Answer

NEWS = 120.0
"""Seconds for which a reload is news."""
SOON = 14
"""Days that a certificate has left from which on that is said."""


def heading(document: Answer, width: int, glyphs: Glyphs, mark: str = "") -> list[ScreenLine]:
    """Two lines about what runs, one about its requests.

    :param mark: stands before it all: that it is not as it is now.
    """
    totals, configuration = document.get("totals") or {}, document.get("configuration") or {}
    state = visible(document.get("state") or "-", glyphs)
    first: ScreenLine = [
        ("warn", mark),
        ("title", f"l7 {visible(document.get('version') or '', glyphs)} "),
        ("good" if state == "serving" else "warn", state),
        (
            "",
            f"  generation {configuration.get('generation', '-')}{_started(document)}  pid {document.get('pid', '-')}",
        ),
    ]
    clock = time.strftime("%H:%M:%S", time.localtime(document["at"])) if document.get("at") else ""
    errors = totals.get("errors") or 0.0
    second: ScreenLine = [
        ("", "req/s "),
        ("strong", f"{cells.rate(totals.get('rate')):<6}"),
        ("", "  err/s "),
        ("bad" if errors > 0 else "strong", f"{cells.rate(totals.get('errors')):<6}"),
        ("", "  refused/s "),
        ("strong", f"{cells.rate(totals.get('refused')):<5}"),
        ("", "  p50 "),
        ("strong", f"{cells.took(totals.get('p50')):<6}"),
        ("", "  p99 "),
        ("strong", f"{cells.took(totals.get('p99')):<6}"),
    ]
    room = width - sum(width_of(text) for _, text in second) - 2
    rates = (totals.get("plot") or {}).get("rate") or ()
    if room >= 8:
        second.append(("plot", "  " + cells.plot(rates, min(room, 60), glyphs)))
    return [_spread(first, ("", clock), width), second, [("", _third(document, glyphs))]]


def _started(document: Answer) -> str:
    started, now = document.get("started"), document.get("at")
    return "" if started is None or now is None else f"  up {cells.age(now - started)}"


def _third(document: Answer, glyphs: Glyphs) -> str:
    connections, totals = document.get("connections") or {}, document.get("totals") or {}
    told = [f"in flight {cells.count(totals.get('in-flight'))}"]
    if connections:
        told.append(f"connections {connections.get('open', '-')} of {connections.get('limit', '-')}")
    told.append(f"requests {cells.count(totals.get('requests'))}")
    disk = (document.get("configuration") or {}).get("on-disk")
    if disk:
        told.append(f"on disk: {visible(disk, glyphs)}")
    return "  ".join(told)


def _spread(line: ScreenLine, last: tuple[str, str], width: int) -> ScreenLine:
    taken = sum(width_of(text) for _, text in line)
    return [*line, ("", " " * max(width - taken - width_of(last[1]), 1)), last]


def notices(document: Answer, glyphs: Glyphs) -> Iterator[tuple[str, str]]:
    """What somebody should know, the most urgent first, each with how it is drawn."""
    for one in (document.get("reloads") or ())[-1:]:
        if (document.get("at") or time.time()) - one.get("at", 0.0) < NEWS:
            yield _reload(one, glyphs)
    configuration = document.get("configuration") or {}
    if configuration.get("on-disk") == "invalid":
        problem = next(iter(configuration.get("problems") or ()), "")
        yield "bad", f"what a reload would load is invalid: {visible(problem, glyphs)}"
    for certificate in document.get("certificates") or ():
        left = certificate.get("days_left")
        if left is not None and left < SOON:
            names = visible(", ".join(certificate.get("names") or ()) or "no name", glyphs)
            yield "bad", f"certificate of {names}: {'EXPIRED' if left < 0 else f'{left} days left'}"
    for kind in ("routes", "servers"):
        if document.get(f"{kind}-left-out"):
            yield "dim", f"{document[f'{kind}-left-out']} {kind} more are not shown"


def _reload(one: Answer, glyphs: Glyphs) -> tuple[str, str]:
    clock = time.strftime("%H:%M:%S", time.localtime(one.get("at", 0.0)))
    if one.get("ok"):
        changes = [visible(change, glyphs) for change in one.get("changes") or ()]
        told = f": {changes[0]}" + (f" and {len(changes) - 1} more" if changes[1:] else "") if changes else ""
        return "good", f"{clock} reloaded: generation {one.get('generation', '-')}{told}"
    reason = next(iter(one.get("reasons") or ()), "")
    return "bad", f"{clock} reload FAILED, generation {one.get('generation', '-')} goes on: {visible(reason, glyphs)}"


def plain_heading(document: Answer, glyphs: Glyphs) -> Iterator[str]:
    """The same for what is no terminal."""
    for line in heading(document, 0, glyphs):
        yield "".join(text for _, text in line).rstrip()
    for _, text in notices(document, glyphs):
        yield text


def tabs(titles: list[tuple[str, bool]], width: int, glyphs: Glyphs) -> ScreenLine:
    """The names of the views, the one that is shown marked with brackets, too."""
    line: ScreenLine = []
    for text, on in titles:
        line.append(("tab-on", f"[{text}]") if on else ("tab", f" {text} "))
    taken = sum(width_of(text) for _, text in line)
    return [*line, ("tab", fit("", max(width - taken, 0), glyphs))]
