"""``l7 server``: shows one server and how it has changed, or tells the l7 that runs what is wanted of it.

Exit codes: 0 well, 1 not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence

from l7.commands.control_client import ask, lines, printable_line
from l7.config.reading import flags
from l7.errors import ConfigError, Problem
from l7.ipc.requests import Answer, HistoryRequest, ServerRequest


def server(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Show a server, ``HOST ADDRESS``, or order something: ``HOST ADDRESS drain|ready|maint|weight N``."""
    given = flags.parse_flags(argv)
    if given.problems:
        raise ConfigError(list(given.problems))
    words = given.words[1:]
    shows = len(words) == 2
    if not shows and len(words) != (4 if words[2:3] == ("weight",) else 3):
        usage = (
            "write HOST ADDRESS to see one, or HOST ADDRESS drain, ready, maint or weight N, "
            "as in `l7 server example.com 127.0.0.1:8081 drain`"
        )
        raise ConfigError([Problem("server", "", usage)])
    answer = ask(HistoryRequest(*words) if shows else ServerRequest(*words), given, environ)
    if given.json:
        print(json.dumps(answer, indent=2))
    elif answer.get("ok"):
        for one in answer["servers"]:
            print("\n".join(map(printable_line, story(one) if shows else [_about(one)])))
    else:
        print("\n".join(lines(answer, "reasons")), file=sys.stderr)
    return 0 if answer.get("ok") else 1


def _about(order: Answer) -> str:
    weight = "" if order["weight"] is None else f", weight {order['weight']}"
    state = f"{order['state']}{weight}, requests in flight {order['in-flight']}"
    return f"{order['backend']}: server {order['server']}: {state}"


def story(entry: Answer) -> Iterator[str]:
    """A server as it is, then its changes, the oldest first."""
    name = entry["server"] + (f" at {entry['address']}" if entry["address"] else "")
    yield _about({**entry, "server": name}) + (f"; {entry['why']}" if entry["why"] else "")
    error = entry["last-error"]
    if error is not None:
        yield f"  last error: {error['what']}, {error['ago']:g} s ago"
    if not entry["changes"]:
        yield "  no change since l7 was started"
    for change in entry["changes"]:
        after = f" (after {change['after']:g} s)" if change["after"] else ""
        yield f"  {change['at']}  {change['state']:<11}  {change['cause']}: {change['why']}{after}"
