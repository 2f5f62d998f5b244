"""The commands: argv becomes one of them, and each is run.

What only one command needs is imported when it is run: else importing would be three quarters of `l7 status`.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from l7.config.file_content import read_file
from l7.config.reading import flags
from l7.config.reading.command_options import WORDS
from l7.config.reading.loading import Loaded, load
from l7.config.values.names import printable
from l7.config.values.routekeys import routes_of
from l7.errors import ConfigError, Problem
from l7.master.resources.process_attributes import restore_signals
from l7.telemetry.events import complain

Environ = Mapping[str, str]


def dispatch(argv: list[str], environ: Environ) -> int:
    """Find out which command is meant and run it; returns the exit code."""
    command = flags.command_of(flags.parse_flags(argv))
    if command is None:
        from l7.commands.serve import run

        return run(argv, environ)
    gc.enable()
    return COMMANDS[command](argv, environ)


def _check(argv: list[str], environ: Environ) -> int:
    """``l7 check``: say that the configuration is valid, or everything that is wrong with it."""
    loaded = _load(argv, environ, files=True)
    hosts = sum(len(routes_of(key)) for key in loaded.config.backends)
    servers = sum(len(backend.servers) for backend in loaded.config.backends.values())
    name = printable(loaded.file) if loaded.file else "configuration"
    print(f"{name}: ok ({_count(hosts, 'host')}, {_count(servers, 'server')})")
    return 0


def _dump(argv: list[str], environ: Environ) -> int:
    """``l7 dump``: print the effective configuration."""
    from l7.config.rendering.dump import render_dump

    sys.stdout.write(render_dump(_load(argv, environ)))
    return 0


def _explain(argv: list[str], environ: Environ) -> int:
    """``l7 explain URL``: print where a request would go; 1 when nowhere."""
    from l7.commands import explain

    return explain.command(argv, environ, lambda: _load(argv, environ, skip=2))


def _reload(argv: list[str], environ: Environ) -> int:
    """``l7 reload``: have the l7 that runs reload, and print the verdict; 1 when it is not a good one."""
    from l7.commands.reload import reload

    return reload(argv, environ)


def _status(argv: list[str], environ: Environ) -> int:
    """``l7 status``: print what the l7 that runs says of itself."""
    from l7.commands.status import status

    return status(argv, environ)


def _logs(argv: list[str], environ: Environ) -> int:
    """``l7 logs reopen``: have the l7 that runs open its access log anew, and print what became of it."""
    from l7.commands.logs import logs

    return logs(argv, environ)


def _server(argv: list[str], environ: Environ) -> int:
    """``l7 server``: change what a server of the l7 that runs gets, or print them all."""
    from l7.commands.server import server

    return server(argv, environ)


def _why(argv: list[str], environ: Environ) -> int:
    """``l7 why ID``: tell what happened to a request; 1 where none is found."""
    from l7.commands.recorder.why import why

    return why(argv, environ)


def _tail(argv: list[str], environ: Environ) -> int:
    """``l7 tail``: follow the requests of the l7 that runs."""
    from l7.commands.recorder.tail import tail

    return tail(argv, environ)


def _top(argv: list[str], environ: Environ) -> int:
    """``l7 top``: a live screen of what the l7 that runs is doing."""
    from l7.commands.top.command import top

    return top(argv, environ)


def _demo(argv: list[str], environ: Environ) -> int:
    """``l7 demo``: three small servers and l7 in front of them."""
    from l7.commands import demo

    restore_signals()
    rest = list(argv)
    rest.remove("demo")
    return demo.main(rest, environ)


def _rehearse(argv: list[str], environ: Environ) -> int:
    """``l7 rehearse``: reload a private l7 under load, with the configuration that is given or a small one."""
    from l7.commands.rehearsal.command import RELOADS, rehearse

    restore_signals()
    given = flags.parse_flags(argv)
    named = given.config or len(given.words) > 1 or environ.get("L7_CONFIG") or environ.get(flags.SERVERS)
    # The servers are the rehearsal's own, whatever is written: without any, one route is enough.
    loaded = _load(argv if named else [*argv, "*=127.0.0.1"], environ)
    return rehearse(loaded, given.requests, RELOADS if given.reloads is None else given.reloads)


def _schema(argv: list[str], _: Environ) -> int:
    """``l7 schema``: print the JSON Schema of the file."""
    from l7.config.rendering.jsonschema import json_schema

    _words_of("schema", argv)
    print(json.dumps(json_schema(), indent=2))
    return 0


def _completion(argv: list[str], _: Environ) -> int:
    """``l7 completion SHELL``: print the script that completes l7's words there."""
    from l7.commands import completion

    (shells,) = WORDS["completion"]
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


def _load(argv: list[str], environ: Environ, skip: int = 1, *, files: bool = False) -> Loaded:
    loaded = load(argv, environ, skip=skip)
    if files:
        from l7.rules.answers.named_files import read_named_files
        from l7.rules.answers.page_files import read_error_page

        found, _, warnings = read_named_files(loaded, read_file, read_error_page)
        loaded = replace(loaded, warnings=(*loaded.warnings, *found.warnings, *warnings))
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
    "reload": _reload,
    "status": _status,
    "logs": _logs,
    "server": _server,
    "why": _why,
    "tail": _tail,
    "top": _top,
    "rehearse": _rehearse,
    "demo": _demo,
    "schema": _schema,
    "completion": _completion,
}
"""What a first word without ``=`` may be."""
