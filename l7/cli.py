"""The command line: argv becomes one of the commands, and what goes wrong becomes a message and an exit code.

`l7 --version` needs nothing of l7 but this, and `l7.commands.dispatch` imports no more than what a command needs.

Exit codes: 0 done or stopped as asked, 1 could not start or run (`explain` found nothing, a reload failed), 2 usage or
an invalid configuration, 3 workers cannot boot.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import TextIO

from l7 import validation
from l7.config.reading.version import version
from l7.errors import ConfigError, StartError
from l7.master.resources.process_attributes import open_standard_descriptors
from l7.telemetry.events import complain

_UNWRITABLE = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Standard output takes no more: nobody reads on (`l7 dump | head`), the disk is full."""


_NOT_TO_SERVE = frozenset((
    "check", "dump", "explain", "reload", "status", "logs", "server", "why", "tail", "top", "rehearse", "demo",
    "schema", "completion", "-h", "--help", "--help-all",
))  # fmt: skip
"""Without one of these words l7 serves; with one `l7.commands.dispatch` finds out what is meant."""


def main(run: Callable[[], int]) -> int:
    """Run a `command_line` and return the exit code."""
    _mend_standard_streams()
    try:
        code = _exit_code(run)
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


def command_line(argv: list[str]) -> Callable[[], int]:
    """Import what runs the command line ``argv``, and return it; it may raise SystemExit."""
    if argv in (["--version"], ["-V"]):
        return _print_version
    if _NOT_TO_SERVE.isdisjoint(argv):
        validation.leave_to_others()
        from l7.commands.serve import run

        return lambda: run(argv, os.environ)
    from l7.commands.dispatch import dispatch

    return lambda: dispatch(argv, os.environ)


def _print_version() -> int:
    print(version())
    return 0


def _exit_code(run: Callable[[], int]) -> int:
    try:
        return run()
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
