"""``l7 why ID``: tells what happened to a request. Exit codes: 0 found, 1 not found or nothing runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from l7.commands.control_client import printable_line
from l7.commands.recorder.connection import recorder_of
from l7.config.reading import flags
from l7.config.values.names import printable
from l7.errors import ConfigError, Problem
from l7.http.grammar import REQUEST_ID
from l7.telemetry.recorder.advice import ended_by, next_look
from l7.telemetry.recorder.reader import RecorderReader
from l7.telemetry.recorder.records import RequestRecord
from l7.telemetry.recorder.story import story, time_line
from l7.telemetry.recorder.times import moment

LEAST = 4
"""Characters of the end of an id that are enough."""


def why(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Tell of each request that has this id, or whose id ends so."""
    given = flags.parse_flags(argv)
    wanted = _wanted(given)
    recorder = recorder_of(given, environ)
    found = recorder.find(wanted)
    now = time.time()
    if given.json:
        print(json.dumps({"requests": [_plain(one, now) for one in found]}, indent=2))
    elif found:
        for number, one in enumerate(found):
            if number:
                print("\n" + "-" * 79 + "\n")
            print("\n".join(printable_line(line) for line in story(one, now)))
    else:
        print(_not_found(wanted, recorder), file=sys.stderr)
    return 0 if found else 1


def _wanted(given: flags.Given) -> str:
    """The id that is given; raises `ConfigError` where it can be none."""
    words = [word for word in given.words[1:] if "=" not in word]
    if given.problems:
        raise ConfigError(list(given.problems))
    usage = f"write the id of a request, or the last {LEAST} characters of it or more, as in `l7 why 1f6bd9`"
    if len(words) != 1:
        raise ConfigError([Problem("why", "", usage)])
    wanted = words[0].strip("\"'[](),;")  # as people copy it
    if len(wanted) < LEAST or not REQUEST_ID.fullmatch(wanted.encode("utf-8", "surrogateescape")):
        raise ConfigError([Problem("why", "", f"{printable(words[0], 40)!r} is no id; {usage}")])
    return wanted


def _plain(one: RequestRecord, now: float) -> dict[str, Any]:
    told = {"ended-by": list(ended_by(one)), "look-next": list(next_look(one)), "time-line": time_line(one, now)}
    return {**one.plain(), **told}


def _not_found(wanted: str, recorder: RecorderReader) -> str:
    known = recorder.finished()
    if not known:
        return "no request is recorded yet"
    what = f"no request with this id, or this end of one: {printable(wanted, 130)}"
    return f"{what}; {len(known)} are recorded, since {moment(known[0].started)}: older ones are in the access log"
