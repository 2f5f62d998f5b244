"""``l7 reload``, ``status`` and ``server``: finds the l7 that runs, asks it over its control socket, prints the answer.

It is found by the same flags, environment and file that it runs with, read leniently: a file that has just become
invalid must not keep anybody from asking why. Exit codes: 0 well, 1 not.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence

from l7.config.reading import flags
from l7.config.reading.document import read
from l7.config.values.names import printable
from l7.errors import ConfigError, Problem, StartError
from l7.ipc.requests import (
    REQUESTS,
    Answer,
    DryRunRequest,
    ReloadRequest,
    Request,
    ServerRequest,
    StatusRequest,
)
from l7.master.resources.instance_registry import InstanceKey, registered
from l7.master.resources.privileges import NOBODY
from l7.master.resources.runtime_directory import all_directories
from l7.units import show_size

STATUS_WITHIN = 10.0
"""Seconds after which an l7 that accepts and says nothing is given up; a reload is waited for without end."""


def reload(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Reload the l7 that runs, wait, and print the verdict; with ``--dry-run``, only what a reload would change."""
    given = _without_words("reload", argv)
    if given.dry_run and given.force:
        raise ConfigError([Problem("--force", "", "not with --dry-run, which connects to no server")])
    if given.dry_run:
        return _show_dry_run(ask(DryRunRequest(), given, environ))
    answer = ask(ReloadRequest(given.force), given, environ, None)
    changes, reasons = _lines(answer, "changes"), _lines(answer, "reasons")
    number = answer.get("generation", 0)
    if not answer.get("ok"):
        print(f"reload failed, generation {number} serves on" if number else "reload failed", file=sys.stderr)
        for line in reasons:
            print(f"  {line}", file=sys.stderr)
        return 1
    print(f"reload done: generation {number}, {answer.get('seconds', 0):.2f} s")
    for line in changes or ([] if reasons else ["nothing changed"]):
        print(f"  {line}")
    for line in reasons:
        print(f"  warning: {line}", file=sys.stderr)
    return 0


def status(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Print what the l7 that runs is doing, as a table or (``--json``) for programs."""
    given = _without_words("status", argv)
    answer = ask(StatusRequest(), given, environ)
    if given.json:
        print(json.dumps(answer, indent=2))
    elif answer.get("ok"):
        print("\n".join(_table(answer)))
    else:
        print("\n".join(_lines(answer, "reasons")), file=sys.stderr)
    return 0 if answer.get("ok") else 1


def server(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Tell the l7 that runs what is wanted of one server: ``HOST ADDRESS drain|ready|maint|weight N``."""
    given = flags.parse_flags(argv)
    if given.problems:
        raise ConfigError(list(given.problems))
    words = given.words[1:]
    if len(words) != (4 if words[2:3] == ("weight",) else 3):
        usage = "write HOST ADDRESS drain, ready, maint or weight N, as in `l7 server example.com 127.0.0.1:8081 drain`"
        raise ConfigError([Problem("server", "", usage)])
    answer = ask(ServerRequest(*words), given, environ)
    if given.json:
        print(json.dumps(answer, indent=2))
    elif answer.get("ok"):
        for one in answer["servers"]:
            print(_printable(_about(one)))
    else:
        print("\n".join(_lines(answer, "reasons")), file=sys.stderr)
    return 0 if answer.get("ok") else 1


def _without_words(command: str, argv: Sequence[str]) -> flags.Given:
    """What is given; raises `ConfigError` for a word: a file that lost its ``-c``, say, would be ignored otherwise."""
    given = flags.parse_flags(argv)
    # The servers of a command line may stand here, so that it can be repeated as it was.
    stray = [word for word in given.words[1:] if "=" not in word]
    if stray and not given.problems:
        what = f"`l7 {command}` takes no such word; a file is given as -c FILE"
        raise ConfigError([Problem(printable(stray[0].partition(":")[0], 40), "", what)])
    return given


def _about(order: Answer) -> str:
    weight = "" if order["weight"] is None else f", weight {order['weight']}"
    state = f"{order['state']}{weight}, requests in flight {order['in-flight']}"
    return f"{order['backend']}: server {order['server']}: {state}"


def _show_dry_run(answer: Answer) -> int:
    for line in _lines(answer, "changes"):
        print(line)
    for line in _lines(answer, "reasons"):
        print(f"refused: {line}", file=sys.stderr)
    if answer.get("ok") and not answer.get("changes"):
        print("nothing changed")
    return 0 if answer.get("ok") else 1


# --- the table --------------------------------------------------------------------------------------------------------


COLUMNS = (
    "worker", "pid", "generation", "age", "state", "connections", "in flight", "requests/s", "lag", "memory",
)  # fmt: skip


SERVER_COLUMNS = ("backend", "server", "state", "weight", "in flight", "why")
MOST_SHOWN = 100
"""So many servers are all shown; of more, those only of which there is something to say."""


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
    yield from map(_printable, _on_disk(configuration))
    if answer["last-reload"] is not None:
        yield from map(_printable, _last_reload(answer["last-reload"]))
    if answer.get("connections"):
        yield _connections(answer["connections"])
    yield ""
    yield from _columns([COLUMNS, *map(_row, answer["workers"])])
    opener = answer.get("opener")
    if opener is not None:
        yield f"privileged opener: pid {opener['pid']}, {opener['state']}"
    monitor = answer.get("monitor")
    if monitor is not None:
        yield (
            f"monitor process: pid {monitor['pid']}, generation {monitor['generation']}, {monitor['state']},"
            f" age {_age(monitor['age'])}, memory {_memory(monitor['memory'])}"
        )
    if answer.get("servers"):
        yield ""
        yield from map(_printable, _servers(answer["servers"]))


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


def _last_reload(last: Answer) -> Iterator[str]:
    word = "done" if last["ok"] else f"failed, generation {last['generation']} served on"
    yield f"last reload: {word}, {last['at']}, {last['seconds']:.2f} s, {last['handed-over']} connections handed over"
    yield from (f"  {line}" for line in last["reasons"])


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


def _printable(line: str) -> str:
    """One line as it may be shown at a terminal, whoever wrote it."""
    return printable(line, 2000)


def _lines(answer: Answer, key: str) -> list[str]:
    found = answer.get(key, [])
    return [_printable(str(line)) for line in found] if isinstance(found, list) else []


# --- where it is ------------------------------------------------------------------------------------------------------


def ask(
    request: Request, given: flags.Given, environ: Mapping[str, str], within: float | None = STATUS_WITHIN
) -> Answer:
    """Ask the l7 that runs, and the one that has taken its place meanwhile; raises `StartError` when there is none."""
    if given.problems:
        raise ConfigError(list(given.problems))
    answer = _ask_once(request, given, environ, within)
    while answer.get("again"):
        answer = _ask_once(request, given, environ, within)
    return answer


def _ask_once(request: Request, given: flags.Given, environ: Mapping[str, str], within: float | None) -> Answer:
    with _connect(given, environ) as sock:
        sock.settimeout(within)
        try:
            sock.sendall(REQUESTS.encode(request) + b"\n")
            received = b"".join(iter(lambda: sock.recv(65536), b""))
            answer = json.loads(received)
        except (OSError, ValueError) as error:
            why = "it has gone away" if not isinstance(error, TimeoutError) else f"no answer within {within:g} s"
            raise StartError(f"control: {why}; its events say more") from error
    if not isinstance(answer, dict):
        raise StartError("control: what answers there is no l7")
    return answer


def _connect(given: flags.Given, environ: Mapping[str, str]) -> socket.socket:
    """A connection to the l7 that the registry has; without an entry, to where the settings say that its socket is."""
    key = _instance_key(given, environ)
    failures: dict[str, OSError] = {}
    directories = all_directories(_accounts(given, environ), environ)
    entries = [one for one in registered(directories) if one.matches(key)] if key.control == "auto" else []
    found = _all({one.socket: str(one) for one in entries}, failures)
    if not found:
        # What the file says now need not be what it said when l7 read it.
        key = key if key.path is not None else _instance_key(given, environ, of_file=True)
        if key.control == "off":
            raise StartError("control is off: send HUP to reload, USR1 for the workers")
        found = _all({} if key.path is None else {key.path: key.path}, failures)
    if len(found) > 1:
        for sock in found.values():
            sock.close()
        how = "-c FILE, --port, --pid-file or --control"
        raise StartError(f"several l7 run here; say which by its {how}: {', '.join(found)}")
    if found:
        return next(iter(found.values()))
    raise StartError(_not_found(key.path, directories, failures))


def _all(places: Mapping[str, str], failures: dict[str, OSError]) -> dict[str, socket.socket]:
    """Connections to the sockets where somebody listens, by what people call them."""
    return {name: sock for place, name in places.items() if (sock := _try(place, failures)) is not None}


def _try(path: str, failures: dict[str, OSError]) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        failures[path] = error
        return None
    return sock


def _not_found(path: str | None, directories: Sequence[str], failures: Mapping[str, OSError]) -> str:
    closed = [one for one, error in failures.items() if isinstance(error, PermissionError)]
    if path is None:
        closed += [one for one in directories if not os.access(one, os.R_OK | os.X_OK)]
    if closed:
        return f"control: {closed[0]}: permission denied; be root, or whom l7 runs as"
    looked = f"for {path}" if path is not None else f"in {', '.join(directories) or 'no directory'}"
    return f"no l7 runs with these settings (looked {looked}); give it the options that l7 was started with"


def _instance_key(given: flags.Given, environ: Mapping[str, str], *, of_file: bool = False) -> InstanceKey:
    """What l7 is found by: flag over variable (over file), without any judgement on the rest."""
    port = _setting("port", given, environ, of_file=False)
    name = _file(given, environ)
    return InstanceKey(
        _setting("control", given, environ, of_file=of_file) or "auto",
        _setting("pid-file", given, environ, of_file=of_file),
        None if name is None else os.path.expanduser(name),
        int(port) if port is not None and port.isdecimal() else None,
    )


def _file(given: flags.Given, environ: Mapping[str, str]) -> str | None:
    return given.config if given.config is not None else flags.parse_environment(environ).config


def _setting(key: str, given: flags.Given, environ: Mapping[str, str], *, of_file: bool = True) -> str | None:
    for source in (given, flags.parse_environment(environ)):
        if key in source.values:
            return str(source.values[key][1])
    name = _file(given, environ)
    if name is None or not of_file:
        return None
    document = read(name).data
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, str) and found else None


def _accounts(given: flags.Given, environ: Mapping[str, str]) -> Iterator[int]:
    """Whom it may run as: ourselves, whom ``run-as`` names, and for root whom it becomes unless told otherwise."""
    yield os.geteuid()
    named = _setting("run-as", given, environ)
    for user in (named, NOBODY):
        if user is not None:
            yield from _uid(user.partition(":")[0])


def _uid(user: str) -> Iterator[int]:
    try:
        yield pwd.getpwnam(user).pw_uid
    except KeyError:
        if user.isdecimal():
            yield int(user)
