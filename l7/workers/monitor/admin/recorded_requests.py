"""``/requests`` and ``/requests/ID``: what the recorder has, read while it is written, a few milliseconds at a time.

There is one reading at a time, however many ask: what they ask for is a thing to look at, and checks of servers have
the same loop.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from gevent.lock import BoundedSemaphore

from l7.config.values.names import printable
from l7.http.messages import LocalResponse, RequestHead
from l7.telemetry.recorder.memory import OtherLayoutError
from l7.telemetry.recorder.reader import RecorderReader
from l7.telemetry.recorder.records import RequestRecord
from l7.telemetry.recorder.request_filter import LEAST_OF_ID, RequestFilter, wanted_id
from l7.telemetry.servers.past_states import PastStates
from l7.telemetry.stories.request_story import story, told
from l7.telemetry.stories.situations import Situation, moments_of, situations
from l7.units import parse_duration, parse_statuses, quoted
from l7.workers.monitor.admin.answers import json_page, json_text, refusal
from l7.workers.monitor.admin.shared_answers import SharedAnswers
from l7.workers.monitor.recorder_source import RecorderSource
from l7.workers.runtime.pause import pause

PATH = b"/requests"
LISTED = 100
"""Requests where no limit is asked for."""
MOST_LISTED = 500
MOST_TOLD = 50
"""Requests that end alike, and are told of at once."""
_AT_A_TIME = 8
"""Requests that are written between two pauses."""
_LONGEST_LINE = 2000


class RequestedRecords(NamedTuple):
    """Which recorded requests somebody wants to have listed."""

    wanted: RequestFilter
    limit: int
    failed: bool
    """Whether only those that failed."""


class RecordedRequests:
    """Answers questions about recorded requests, also that nothing is recorded.

    :param states: how the servers were when one was picked for a request.
    """

    def __init__(self, recorded: RecorderSource, states: PastStates) -> None:
        self._recorded = recorded
        self._states = states
        self._answers = SharedAnswers()
        self._reading = BoundedSemaphore(1)

    def answer(self, head: RequestHead) -> LocalResponse:
        """The answer to ``/requests?...`` or ``/requests/ID``."""
        path, _, query = head.path.partition(b"?")
        try:
            if path == PATH:
                question = _filter_of(query.decode("ascii"))
                return self._answers.get(question, lambda: self._read(lambda reader: _listed(reader, question)))
            wanted = _id_of(path)
        except ValueError as failure:
            return refusal(400, str(failure))
        return self._answers.get(wanted, lambda: self._read(lambda reader: self._told(reader, wanted)))

    def _read(self, ask: Callable[[RecorderReader], LocalResponse]) -> LocalResponse:
        with self._reading:
            try:
                reader = self._recorded.reader()
                if reader is None:
                    return refusal(404, "the recorder is off; write `recorder: {}` to have it")
                return ask(reader)
            except (OSError, OtherLayoutError):
                sys.excepthook(*sys.exc_info())
                return refusal(503, "the memory of the recorder cannot be read")

    def _told(self, reader: RecorderReader, wanted: str) -> LocalResponse:
        found, now = reader.find(wanted)[-MOST_TOLD:], time.time()
        return _as_page(200 if found else 404, (self._with_story(one, reader, now) for one in found))

    def _with_story(self, one: RequestRecord, reader: RecorderReader, now: float) -> dict[str, Any]:
        then: list[Situation] = []
        moments = moments_of(one, now)
        if moments:
            answer = self._states.answer(one.route, moments)
            then = situations(one, answer, reader.during(min(moments), max(moments)), now)
        lines = [printable(line, _LONGEST_LINE) for line in story(one, now, then)]
        return {**told(one, now, then), "story": lines}


def _listed(reader: RecorderReader, asked: RequestedRecords) -> LocalResponse:
    found = reader.newest(asked.wanted, asked.limit, failed=asked.failed)
    return _as_page(200, (one.plain() for one in found))


def _as_page(status: int, requests: Iterable[dict[str, Any]]) -> LocalResponse:
    texts = []
    for number, one in enumerate(requests, 1):
        texts.append(json_text(one))
        if not number % _AT_A_TIME:
            pause()
    return json_page(status, '{"requests": [' + ", ".join(texts) + "]}")


def _id_of(path: bytes) -> str:
    """The id that a path ends with; raises ValueError."""
    usage = f"write the id of a request, or the last {LEAST_OF_ID} characters of it or more, as in /requests/1f6bd9"
    try:
        return wanted_id(unquote(path[len(PATH) + 1 :].decode("ascii"), errors="replace"))
    except ValueError as failure:
        raise ValueError(f"{failure}; {usage}") from None


def _filter_of(query: str) -> RequestedRecords:
    """What a query asks for; raises ValueError, which names what is wrong.

    Of a parameter that is given twice the last one counts; what is empty or unknown means nothing.
    """
    given: dict[str, Any] = dict(parse_qsl(query))
    for name, parse in _PARSED.items():
        try:
            given.update({name: parse(given[name])} if name in given else {})
        except ValueError as failure:
            raise ValueError(f"{name}: {failure}") from None
    names = [one.name for one in fields(RequestFilter)]
    wanted = RequestFilter(**{name: given[name] for name in names if name in given})
    return RequestedRecords(wanted, given.get("limit", LISTED), given.get("failed", False))


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise ValueError(f"{quoted(text)} is not a number of requests; write 1 to {MOST_LISTED}")
    return min(int(text), MOST_LISTED)


def _yes(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"{quoted(text)} is neither 1 nor 0")
    return text == "1"


_PARSED: dict[str, Callable[[str], Any]] = {
    "status": parse_statuses,
    "slower": parse_duration,
    "limit": _limit,
    "failed": _yes,
}
"""How parameters are read that are no plain texts."""
