"""The commands, the words that follow them, and the options that only some of them take."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any

from l7.networks import UNIX, canonical
from l7.units import parse_duration, parse_statuses

_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*")
COMMANDS = {
    "check": "validate the configuration and exit",
    "dump": "print the effective configuration, each value with its source",
    "explain": "where would a request for URL go, and why; asks the l7 that runs, if one does (--offline: none)",
    "reload": "reload the l7 that runs, wait, and print the verdict (--dry-run: only what would change)",
    "status": "show the workers and the configuration of the l7 that runs",
    "logs": "reopen: open the access log anew, after a rotation, without waiting for l7 to notice",
    "server": "HOST ADDRESS: how a server is and was; with drain|ready|maint|weight N: take it out of service and back",
    "why": "tell what happened to a request, by its id or the end of it",
    "tail": "follow the requests as they end, with filters (l7 tail --help)",
    "top": "show routes, servers, workers and failures on a screen that changes with them (l7 top --help)",
    "rehearse": "reload, break, kill and upgrade a private l7 under load (l7 rehearse --help)",
    "demo": "start three small servers and proxy to them",
    "schema": "print the JSON Schema of the file, for editors",
    "completion": "print what completes l7's words in bash, zsh or fish",
}
WORDS: dict[str, tuple[str | tuple[str, ...], ...]] = {
    "explain": ("URL",),
    "logs": (("reopen",),),
    "server": ("HOST", "ADDRESS", ("drain", "ready", "maint", "weight")),
    "why": ("ID",),
    "completion": (("bash", "zsh", "fish"),),
}
"""What follows a command: a placeholder, or the words that may stand there."""
ONLY_FOR = {
    "--header": ("explain",),
    "--method": ("explain",),
    "--client": ("explain", "tail"),
    "--offline": ("explain",),
    "--json": ("explain", "status", "server", "why", "tail", "top"),
    "--dry-run": ("reload",),
    "--force": ("reload",),
    "--requests": ("rehearse",),
    "--reloads": ("rehearse",),
    "--lines": ("tail",),
    "--once": ("tail", "top"),
    "--status": ("tail",),
    "--host": ("tail",),
    "--server": ("tail",),
    "--route": ("tail",),
    "--slower": ("tail",),
    "--target": ("tail",),
    "--by": ("tail",),
    "--interval": ("top",),
}
"""Options that only some commands take."""
FILTERS = ("lines", "once", "status", "host", "server", "route", "slower", "target", "by", "interval")
"""The options of ``l7 tail`` and ``l7 top``."""
GROUPS = (
    "server", "route", "host", "client", "path", "method", "status", "failure", "generation", "worker", "attempts",
)  # fmt: skip
"""What ``l7 tail --by`` puts requests together by."""
OF_OWN_HELP = {"--requests", "--reloads", *(f"--{name}" for name in FILTERS)}
"""Those of them that stand in the help of their command alone."""


class Collect(argparse.Action):
    """Append to a list. Not argparse's own ``append``, whose variables ConfigArgParse takes apart at brackets."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Append the value."""
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), values])


def add_options_of_commands(own: Any, others: Any, command: str | None) -> None:
    """Add to two groups of a parser what only some commands take: ``command``, whose help is shown, and others."""

    def add(*names: str, help: str, **options: Any) -> None:
        hidden = names[-1] in OF_OWN_HELP and command not in ONLY_FOR[names[-1]]
        text = argparse.SUPPRESS if hidden else f"{', '.join(ONLY_FOR[names[-1]])}: {help}"
        group = own if command in ONLY_FOR[names[-1]] else others
        group.add_argument(*names, help=text, **options)

    add("-H", "--header", action=Collect, type=_field, metavar="'NAME: VALUE'", help="a request header.")
    add("--method", type=_method, metavar="METHOD", help="the method of the request, which is GET else.")
    add("--client", type=_client, metavar="ADDRESS", help="who asks: an IP address, or `unix:`.")
    add("--json", action="store_true", help="print JSON.")
    add("--offline", action="store_true", help="go by the configuration, ask no running l7.")
    add("--dry-run", action="store_true", help="print what would change, and change nothing.")
    add("--force", action="store_true", help="go on, though servers cannot be reached and requests fail.")
    add("--requests", type=_positive, metavar="N", help="how many requests are sent at least.")
    add("--reloads", type=_count, metavar="N", help="how often l7 is reloaded meanwhile.")
    _add_filters(add)


def _add_filters(add: Callable[..., None]) -> None:
    add("-n", "--lines", type=_count, metavar="N", help="show so many of the requests that have ended already (10).")
    add("--once", action="store_true", help="show what is there already, and end; without -n all of it.")
    add("--status", type=_statuses, metavar="STATUS", help="only with this status: 502, 5xx, 400-499, or several.")
    add("--host", metavar="HOST", help="only for this host.")
    add("--server", metavar="ADDRESS", help="only those for which this server was tried.")
    add("--route", metavar="ROUTE", help="only of this route.")
    add("--interval", type=_interval, metavar="TIME", help="how often the screen is drawn anew, as 500ms or 5s (2s).")
    add("--slower", type=_duration, metavar="TIME", help="only those that took this long, as 500ms or 1s, or longer.")
    add("--target", metavar="PREFIX", help="only those whose target begins so, as /api/.")
    add("--by", choices=GROUPS, metavar="FIELD", help=f"a table of what is there, by {', '.join(GROUPS)}.")


def _field(text: str) -> str:
    if _FIELD.fullmatch(text) is None:  # the value may be a secret: it is not repeated
        raise argparse.ArgumentTypeError("must be a header field, as 'Accept: text/html'")
    return text


def _statuses(text: str) -> tuple[tuple[int, int], ...]:
    try:
        return parse_statuses(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _interval(text: str) -> float:
    seconds = _duration(text)
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("must be 100ms at least, and 1h at most")
    return seconds


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
        raise argparse.ArgumentTypeError("must be a whole number")
    return int(text)


def _method(text: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+\-.^_|~0-9A-Za-z]{1,32}", text):
        raise argparse.ArgumentTypeError("must be a method, as GET")
    return text


def _client(text: str) -> str:
    try:
        return text if text == UNIX else canonical(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an IP address, or `{UNIX}`") from None


def _positive(text: str) -> int:
    count = _count(text)
    if not count:
        raise argparse.ArgumentTypeError("must be 1 at least")
    return count
