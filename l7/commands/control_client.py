"""Finds the l7 that runs and asks it over its control socket.

It is found by the same flags, environment and file that it runs with, read leniently: a file that has just become
invalid must not keep anybody from asking why.
"""

from __future__ import annotations

import functools
import json
import os
import pwd
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from l7 import __version__
from l7.config.reading import flags
from l7.config.values.names import printable
from l7.errors import ConfigError, Problem, StartError
from l7.ipc.requests import REQUESTS, UNKNOWN, Answer, RecorderRequest, Request
from l7.master.resources.instance_registry import InstanceKey, registered
from l7.master.resources.privileges import NOBODY
from l7.master.resources.runtime_directory import all_directories

STATUS_WITHIN = 10.0
"""Seconds after which an l7 that accepts and says nothing is given up; a reload is waited for without end."""

ASK_AGAIN = 0.05
"""Seconds until an l7 is asked again that many others ask."""


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


def ask_for_recorder(given: flags.Given, environ: Mapping[str, str]) -> tuple[Answer, int | None]:
    """Ask for the memory of the recorder: the answer, and a descriptor where that is ok. Raises `StartError`.

    An l7 whom very many ask at once takes no more connections for a moment: then it is asked again.
    """
    if given.problems:
        raise ConfigError(list(given.problems))
    until = time.monotonic() + STATUS_WITHIN
    while True:
        with _connect(given, environ) as sock:
            sock.settimeout(STATUS_WITHIN)
            try:
                sock.sendall(REQUESTS.encode(RecorderRequest()) + b"\n")
                received, descriptors, _, _ = socket.recv_fds(sock, 65536, 1)
            except OSError:
                received, descriptors = b"", []
        if received:
            break
        if time.monotonic() > until:
            raise StartError("control: it has gone away, or too many ask at once; its events say more")
        time.sleep(ASK_AGAIN)
    try:
        answer = json.loads(received)
    except ValueError as error:
        raise StartError("control: what answers there is no l7") from error
    return _understood(answer), descriptors[0] if descriptors else None


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
    return _understood(answer)


def _understood(answer: Any) -> Answer:
    """The answer of an l7 that has understood what was asked; raises `StartError` for any other."""
    if not isinstance(answer, dict):
        raise StartError("control: what answers there is no l7")
    if any(line.startswith(UNKNOWN) for line in lines(answer, "reasons")):
        what = f"the l7 that runs does not know what this command, of l7 {__version__}, asks: it is of another version"
        raise StartError(f"{what}; upgrade it in place (USR2), or restart it")
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
    return _texts(name, _version(name)).get(key) or None


@functools.lru_cache(maxsize=1)
def _texts(name: str, _: tuple[int, ...]) -> Mapping[str, str]:
    """The settings at the top of a file that are texts; read once as long as it is the same, for who asks often."""
    from l7.config.reading.yaml_file import read

    return {key: value for key, value in read(name).data.items() if isinstance(value, str)}


def _version(name: str) -> tuple[int, ...]:
    """What is another when a file has changed."""
    try:
        found = os.stat(os.path.expanduser(name))
    except (OSError, ValueError):  # who reads it sees why
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


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


def without_words(command: str, argv: Sequence[str]) -> flags.Given:
    """Return what is given; raises `ConfigError` for a word: a file that lost its ``-c`` would be ignored otherwise."""
    given = flags.parse_flags(argv)
    # The servers of a command line may stand here, so that it can be repeated as it was.
    stray = [word for word in given.words[1:] if "=" not in word]
    if given.problems:
        raise ConfigError(list(given.problems))
    if stray:
        what = f"`l7 {command}` takes no such word; a file is given as -c FILE"
        raise ConfigError([Problem(printable(stray[0].partition(":")[0], 40), "", what)])
    return given


def printable_line(line: str) -> str:
    """One line as it may be shown at a terminal, whoever wrote it."""
    return printable(line, 2000)


def lines(answer: Answer, key: str) -> list[str]:
    """The lines that an answer has under ``key``, as they may be shown at a terminal."""
    found = answer.get(key, [])
    return [printable_line(str(line)) for line in found] if isinstance(found, list) else []
