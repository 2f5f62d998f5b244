"""``l7 status``: prints what the l7 that runs is doing. Exit codes: 0 well, 1 not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence

from l7.commands.control_client import ask, lines, printable_line, without_words
from l7.ipc.requests import Answer, StatusRequest
from l7.units import show_size

COLUMNS = (
    "worker", "pid", "generation", "age", "state", "connections", "in flight", "requests/s", "lag", "memory",
)  # fmt: skip


SERVER_COLUMNS = ("backend", "server", "state", "weight", "in flight", "why")
MOST_SHOWN = 100
"""So many servers are all shown; of more, those only of which there is something to say."""
MOST_CHANGES = 20
"""Changes of the last reload that are shown."""


def status(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Print what the l7 that runs is doing, as a table or (``--json``) for programs."""
    given = without_words("status", argv)
    answer = ask(StatusRequest(), given, environ)
    if given.json:
        print(json.dumps(answer, indent=2))
    elif answer.get("ok"):
        print("\n".join(_table(answer)))
    else:
        print("\n".join(lines(answer, "reasons")), file=sys.stderr)
    return 0 if answer.get("ok") else 1


def _table(answer: Answer) -> Iterator[str]:
    configuration = answer["configuration"]
    where = ", ".join(answer["listening"])
    yield f"l7 {answer['version']}, pid {answer['pid']}, {answer['state']}, listening on {where}"
    if answer.get("caution"):
        yield answer["caution"]
    yield (
        f"configuration: generation {configuration['generation']}, digest {configuration['digest']},"
        f" loaded {configuration['loaded']}" + (f" from {configuration['file']}" if configuration["file"] else "")
    )
    yield from map(printable_line, _on_disk(configuration))
    if answer["last-reload"] is not None:
        yield from map(printable_line, _last_reload(answer["last-reload"]))
    if answer.get("connections"):
        yield _connections(answer["connections"])
    if answer.get("refused"):
        yield from map(printable_line, _refused(answer["refused"]))
    yield ""
    yield from _columns([COLUMNS, *map(_row, answer["workers"])])
    yield from _relays(answer["workers"])
    opener = answer.get("opener")
    if opener is not None:
        yield f"privileged opener: pid {opener['pid']}, {opener['state']}"
    monitor = answer.get("monitor")
    if monitor is not None:
        yield (
            f"monitor process: pid {monitor['pid']}, generation {monitor['generation']}, {monitor['state']},"
            f" age {_age(monitor['age'])}, memory {_memory(monitor['memory'])}"
        )
    yield from map(printable_line, _certificates(answer.get("certificates", ())))
    if answer.get("servers"):
        yield ""
        yield from map(printable_line, _servers(answer["servers"]))


def _relays(workers: Sequence[Answer]) -> Iterator[str]:
    for one in workers:
        if count := one.get("relayed"):
            yield f"worker {one['worker']} of generation {one['generation']} relays TLS for {count} connections"


def _certificates(certificates: Sequence[Answer]) -> Iterator[str]:
    for one in certificates:
        names, left = ", ".join(one["names"]) or "no name", one["days_left"]
        when = f"{left} days left" if left >= 0 else "EXPIRED"
        yield f"certificate of {names}: {when}, until {one['not_after']}, by {one['issuer']}"


def _columns(rows: Sequence[tuple[str, ...]], left: int = 0) -> Iterator[str]:
    """Rows as lines; the first ``left`` columns and the last one, where there are any, begin where their heads do."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.ljust(width) if number < left or (left and number == len(row) - 1) else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _servers(servers: Sequence[Answer]) -> Iterator[str]:
    """All servers; of very many those only that are not simply up."""
    shown = [one for one in servers if len(servers) <= MOST_SHOWN or one["state"] != "up" or one["why"]]
    if len(shown) < len(servers):
        yield f"{len(servers)} servers, {len(servers) - len(shown)} of them up and not shown"
    if shown:
        yield from _columns([SERVER_COLUMNS, *map(_server_row, shown)], left=3)


def _server_row(one: Answer) -> tuple[str, ...]:
    where = one["server"] if one["address"] is None else f"{one['server']} at {one['address']}"
    why = [word for word in ("backup" if one["backup"] else "", one["why"]) if word]
    if one["used"] and one["state"] not in ("up", "drain", "maint"):
        why.append("used all the same: too few are up")
    last = one.get("last-error")
    if last is not None:
        why.append(f"last error {_age(last['ago'])} ago: {last['what']}")
    return one["backend"], where, one["state"], str(one["weight"]), str(one["in-flight"]), "; ".join(why)


def _on_disk(configuration: Answer) -> Iterator[str]:
    if configuration["on-disk"] == "invalid":
        yield "what a reload would load is invalid:"
        yield from (f"  {line}" for line in configuration["problems"])
    elif configuration["on-disk"] == "differs":
        yield "what a reload would load differs from what runs:"
        yield from (f"  {line}" for line in configuration["changes"])


def _connections(clients: Answer) -> str:
    counts = (
        (clients["idle-closed"], "idle ones closed to make place"),
        (clients["waited"], "new ones had to wait"),
    )
    told = [f"{count} {what}" for count, what in counts if count]
    return ", ".join([f"connections of clients: {clients['open']} of {clients['limit']}", *told])


def _refused(entries: Sequence[Answer]) -> Iterator[str]:
    """What rules have refused, one line a backend; of very many backends the first."""
    backends: dict[str, list[str]] = {}
    for one in entries:
        backends.setdefault(one["backend"], []).append(f"{one['requests']} by {one['rule']}")
    for route, words in list(backends.items())[:MOST_SHOWN]:
        yield f"refused {'without a backend' if route == '-' else 'for ' + route}: {', '.join(words)}"


def _last_reload(last: Answer) -> Iterator[str]:
    word = "done" if last["ok"] else f"failed, generation {last['generation']} served on"
    yield f"last reload: {word}, {last['at']}, {last['seconds']:.2f} s, {last['handed-over']} connections handed over"
    yield from (f"  {line}" for line in last["reasons"])
    changes = last.get("changes", ())
    yield from (f"  {line}" for line in changes[:MOST_CHANGES])
    if len(changes) > MOST_CHANGES:
        yield f"  and {len(changes) - MOST_CHANGES} more changes (--json)"


def _row(worker: Answer) -> tuple[str, ...]:
    return (
        str(worker["worker"]),
        str(worker["pid"]),
        str(worker["generation"]),
        _age(worker["age"]),
        str(worker["state"]),
        str(worker["connections"]),
        str(worker["in-flight"]),
        f"{worker['requests-per-second']:.1f}",
        f"{worker['lag'] * 1000:.1f} ms",
        _memory(worker["memory"]),
    )


def _memory(size: int | None) -> str:
    return "-" if size is None else show_size(size // 1024**2 * 1024**2)


def _age(seconds: float) -> str:
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours:02d}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {whole % 60:02d}s" if minutes else f"{seconds:.1f}s"
