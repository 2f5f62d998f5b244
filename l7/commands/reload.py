"""``l7 reload``: has the l7 that runs reload, waits, and prints the verdict. Exit codes: 0 well, 1 not."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from l7.commands.control_client import ask, lines, without_words
from l7.errors import ConfigError, Problem
from l7.ipc.requests import Answer, DryRunRequest, ReloadRequest


def reload(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Reload the l7 that runs, wait, and print the verdict; with ``--dry-run``, only what a reload would change."""
    given = without_words("reload", argv)
    if given.dry_run and given.force:
        raise ConfigError([Problem("--force", "", "not with --dry-run, which connects to no server")])
    if given.dry_run:
        return _show_dry_run(ask(DryRunRequest(), given, environ))
    answer = ask(ReloadRequest(given.force), given, environ, None)
    changes, reasons = lines(answer, "changes"), lines(answer, "reasons")
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


def _show_dry_run(answer: Answer) -> int:
    for line in lines(answer, "changes"):
        print(line)
    for line in lines(answer, "reasons"):
        print(f"refused: {line}", file=sys.stderr)
    if answer.get("ok") and not answer.get("changes"):
        print("nothing changed")
    return 0 if answer.get("ok") else 1
