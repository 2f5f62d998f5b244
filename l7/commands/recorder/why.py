"""``l7 why ID``: tells what happened to a request. Exit codes: 0 found, 1 not found or nothing runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence

from l7.commands.control_client import ask, printable_line
from l7.commands.recorder.connection import running_recorder
from l7.config.reading import flags
from l7.config.values.names import printable
from l7.errors import ConfigError, Problem, StartError
from l7.ipc.requests import ServersRequest
from l7.telemetry.recorder.reader import RecorderReader
from l7.telemetry.recorder.records import RequestRecord
from l7.telemetry.recorder.request_filter import LEAST_OF_ID, wanted_id
from l7.telemetry.stories.request_story import story, told
from l7.telemetry.stories.situations import Situation, moments_of, situations
from l7.telemetry.stories.times import moment

MOST_ASKED = 20
"""Requests of which it is asked how servers were; more are found only where clients send their own ids."""


def why(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Tell of each request that has this id, or whose id ends so."""
    given = flags.parse_flags(argv)
    wanted = _wanted(given)
    recorder = running_recorder(given, environ)
    found = recorder.find(wanted)
    now = time.time()
    around = [situations_of(one, recorder, now, given, environ) for one in found[:MOST_ASKED]]
    around += [[] for _ in found[MOST_ASKED:]]
    if given.json:
        print(
            json.dumps({"requests": [told(one, now, then) for one, then in zip(found, around, strict=True)]}, indent=2)
        )
    elif found:
        for number, (one, then) in enumerate(zip(found, around, strict=True)):
            if number:
                print("\n" + "-" * 79 + "\n")
            print("\n".join(printable_line(line) for line in story(one, now, then)))
    else:
        print(_not_found(wanted, recorder), file=sys.stderr)
    return 0 if found else 1


def _wanted(given: flags.Given) -> str:
    """The id that is given; raises `ConfigError` where it can be none."""
    words = [word for word in given.words[1:] if "=" not in word]
    if given.problems:
        raise ConfigError(list(given.problems))
    usage = f"write the id of a request, or the last {LEAST_OF_ID} characters of it or more, as in `l7 why 1f6bd9`"
    if len(words) != 1:
        raise ConfigError([Problem("why", "", usage)])
    try:
        return wanted_id(words[0])
    except ValueError as error:
        raise ConfigError([Problem("why", "", f"{error}; {usage}")]) from None


def situations_of(
    one: RequestRecord, recorder: RecorderReader, now: float, given: flags.Given, environ: Mapping[str, str]
) -> list[Situation]:
    """How the servers of its route were when they were picked: the l7 that runs is asked, and other records are."""
    moments = moments_of(one, now)
    if not moments:
        return []
    try:
        answer = ask(ServersRequest(one.route, one.generation, moments), given, environ)
    except StartError:  # it has just ended: what is recorded is told all the same
        return []
    return situations(one, answer, recorder.during(min(moments), max(moments)), now)


def _not_found(wanted: str, recorder: RecorderReader) -> str:
    known = recorder.finished()
    if not known:
        return "no request is recorded yet"
    what = f"no request with this id, or this end of one: {printable(wanted, 130)}"
    return f"{what}; {len(known)} are recorded, since {moment(known[0].started)}: older ones are in the access log"
