"""The command line: argv becomes one of the commands, and what goes wrong becomes a message and an exit code.

A command that only asks or reads imports neither a proxy nor a loop: half of the time of `l7 status` would be spent so.

Exit codes: 0 done or stopped as asked, 1 could not start or run (`explain` found nothing, a reload failed), 2 usage or
an invalid configuration, 3 workers cannot boot.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from l7 import control, explain
from l7.config import flags
from l7.config.dump import render_dump
from l7.config.held import HeldFiles
from l7.config.jsonschema import json_schema
from l7.config.loading import Loaded, load
from l7.config.names import did_you_mean, printable
from l7.errors import ConfigError, Problem, StartError
from l7.master.resources.process_attributes import restore_signals
from l7.master.resources.startup import open_standard_descriptors
from l7.telemetry.events import complain

Environ = Mapping[str, str]

_UNWRITABLE = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Standard output takes no more: nobody reads on (`l7 dump | head`), the disk is full."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run l7 with ``argv`` (without the program's name) and return the exit code."""
    _mend_standard_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _exit_code(arguments)
        sys.stdout.flush()
        return code
    except ConfigError as error:
        complain(str(error))
        return 2
    except StartError as error:
        complain(f"l7: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        if error.errno != errno.EPIPE:
            complain(f"l7: standard output: {(error.strerror or str(error)).lower()}")
        return 1
    finally:
        _let_go(sys.stdout)
        _let_go(sys.stderr)


def _exit_code(argv: list[str]) -> int:
    try:
        return _dispatch(argv, os.environ)
    except SystemExit as stop:  # --help and --version
        return stop.code if isinstance(stop.code, int) else 0


def _mend_standard_streams() -> None:
    """Open the null device where a standard stream is closed, and write escaped what a stream cannot encode."""
    # Before anything else is opened, which would take the place of standard output and get the access log.
    open_standard_descriptors()
    # A stream that Python found closed is None. What is behind its descriptor now is the null device.
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _let_go(stream: TextIO) -> None:
    """Keep the interpreter from failing, at its end, to write what could not be written: it would exit with 120."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _dispatch(argv: list[str], environ: Environ) -> int:
    """Find out which command is meant and run it."""
    given = flags.parse_flags(argv)
    command = given.words[0] if given.words and "=" not in given.words[0] else None
    if not given.problems:
        _refuse_options_of_others(given, command)
    if command is None:
        return _run(argv, environ)
    if command not in COMMANDS:
        known = ", ".join(COMMANDS)
        what = f"unknown command{did_you_mean(command, COMMANDS)} (commands: {known}; servers: HOST=ADDRESS)"
        raise ConfigError([*given.problems, Problem(printable(command.partition(":")[0], 40), "", what)])
    return COMMANDS[command](argv, environ)


def _refuse_options_of_others(given: flags.Given, command: str | None) -> None:
    used = {
        "--header": bool(given.headers),
        "--offline": given.offline,
        "--json": given.json,
        "--dry-run": given.dry_run,
        "--requests": given.requests is not None,
        "--reloads": given.reloads is not None,
    }
    names = [name for name, value in used.items() if value and command not in flags.ONLY_FOR[name]]
    if names:
        words = [(name, ", ".join(f"`l7 {owner}`" for owner in flags.ONLY_FOR[name])) for name in names]
        raise ConfigError([Problem(name, "", f"only for {owners}") for name, owners in words])


def _run(argv: list[str], environ: Environ) -> int:
    """``l7``: run the proxy; every reload reads flags, environment and file anew."""
    from l7.master.build import serve

    held = HeldFiles()
    return serve(lambda: load(argv, environ, read_bytes=held.read), held=held)


def _check(argv: list[str], environ: Environ) -> int:
    """``l7 check``: say that the configuration is valid, or everything that is wrong with it."""
    loaded = _load(argv, environ)
    hosts = len(loaded.config.backends)
    servers = sum(len(backend.servers) for backend in loaded.config.backends.values())
    name = printable(loaded.file) if loaded.file else "configuration"
    print(f"{name}: ok ({_count(hosts, 'host')}, {_count(servers, 'server')})")
    return 0


def _dump(argv: list[str], environ: Environ) -> int:
    """``l7 dump``: print the effective configuration."""
    sys.stdout.write(render_dump(_load(argv, environ)))
    return 0


def _explain(argv: list[str], environ: Environ) -> int:
    """``l7 explain URL``: print where a request would go; 1 when nowhere."""
    return explain.command(argv, environ, lambda: _load(argv, environ, skip=2))


def _demo(argv: list[str], environ: Environ) -> int:
    """``l7 demo``: three small servers and l7 in front of them."""
    from l7 import demo

    restore_signals()
    rest = list(argv)
    rest.remove("demo")
    return demo.main(rest, environ)


def _rehearse(argv: list[str], environ: Environ) -> int:
    """``l7 rehearse``: reload a private l7 under load, with the configuration that is given or a small one."""
    from l7.rehearsal.command import RELOADS, rehearse

    restore_signals()
    given = flags.parse_flags(argv)
    named = given.config or len(given.words) > 1 or environ.get("L7_CONFIG") or environ.get(flags.SERVERS)
    # The servers are the rehearsal's own, whatever is written: without any, one route is enough.
    loaded = _load(argv if named else [*argv, "*=127.0.0.1"], environ)
    return rehearse(loaded, given.requests, RELOADS if given.reloads is None else given.reloads)


def _schema(argv: list[str], _: Environ) -> int:
    """``l7 schema``: print the JSON Schema of the file."""
    _words_of("schema", argv)
    print(json.dumps(json_schema(), indent=2))
    return 0


def _completion(argv: list[str], _: Environ) -> int:
    """``l7 completion SHELL``: print the script that completes l7's words there."""
    from l7 import completion

    (shells,) = flags.WORDS["completion"]
    words = _words_of("completion", argv, most=1)
    if not words or words[0] not in shells:
        what = f"{printable(words[0], 40)!r} is unknown; " if words else ""
        raise ConfigError([Problem("completion", "", f"{what}write bash, zsh or fish, as in `l7 completion bash`")])
    sys.stdout.write(completion.script(words[0]))
    return 0


def _words_of(command: str, argv: list[str], most: int = 0) -> tuple[str, ...]:
    """The words after a command that reads no configuration; more than ``most`` are refused."""
    given = flags.parse_flags(argv)
    words = given.words[1:]
    more = [Problem(printable(word, 40), "", f"`l7 {command}` takes no such word") for word in words[most:]]
    if given.problems or more:
        raise ConfigError([*given.problems, *more])
    return words


def _load(argv: list[str], environ: Environ, skip: int = 1) -> Loaded:
    loaded = load(argv, environ, skip=skip)
    _warn(loaded)
    return loaded


def _warn(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        complain(f"warning: {warning}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


COMMANDS: dict[str, Callable[[list[str], Environ], int]] = {
    "check": _check,
    "dump": _dump,
    "explain": _explain,
    "reload": control.reload,
    "status": control.status,
    "server": control.server,
    "rehearse": _rehearse,
    "demo": _demo,
    "schema": _schema,
    "completion": _completion,
}
"""What a first word without ``=`` may be."""
