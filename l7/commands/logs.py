"""``l7 logs reopen``: has the l7 that runs open its access log anew. Exit codes: 0 well, 1 not."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from l7.commands.control_client import ask, lines, printable_line
from l7.config.reading import flags
from l7.errors import ConfigError, Problem
from l7.ipc.requests import ReopenLogsRequest


def logs(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Open the access log anew, wait until all workers write to it, and print what became of it."""
    given = flags.parse_flags(argv)
    # The servers of a command line may stand here, so that it can be repeated as it was.
    words = [word for word in given.words[1:] if "=" not in word]
    if words != ["reopen"] and not given.problems:
        raise ConfigError([Problem("logs", "", "write `l7 logs reopen`")])
    answer = ask(ReopenLogsRequest(), given, environ)
    if not answer.get("ok"):
        print("\n".join(lines(answer, "reasons")), file=sys.stderr)
        return 1
    log = answer.get("log")
    if "workers" not in answer:
        what = f"access-log: {log}" if log else "access-log"  # off, or standard output
        print(printable_line(f"{what}: no file that could be rotated; nothing to do"))
    elif answer["reopened"]:
        print(printable_line(f"access-log: {log}: opened anew; workers: {answer['workers']}"))
    else:
        print(printable_line(f"access-log: {log}: not rotated; all workers write to it: {answer['workers']}"))
    return 0
