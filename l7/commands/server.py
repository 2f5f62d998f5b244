"""``l7 server``: tells the l7 that runs what is wanted of one server. Exit codes: 0 well, 1 not."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from l7.commands.control_client import ask, lines, printable_line
from l7.config.reading import flags
from l7.errors import ConfigError, Problem
from l7.ipc.requests import Answer, ServerRequest


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
            print(printable_line(_about(one)))
    else:
        print("\n".join(lines(answer, "reasons")), file=sys.stderr)
    return 0 if answer.get("ok") else 1


def _about(order: Answer) -> str:
    weight = "" if order["weight"] is None else f", weight {order['weight']}"
    state = f"{order['state']}{weight}, requests in flight {order['in-flight']}"
    return f"{order['backend']}: server {order['server']}: {state}"
