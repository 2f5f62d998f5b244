"""What a row opens: the story of a request, the time line of a server, the last requests of a route.

All of this is asked in a thread (`l7.commands.top.asking`), and of the l7 that runs at that moment.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from l7.commands.control_client import ask, lines, printable_line
from l7.commands.recorder.connection import recorder_view
from l7.commands.recorder.why import situations_of
from l7.commands.server import story as server_story
from l7.config.reading import flags
from l7.errors import StartError
from l7.ipc.requests import Answer, HistoryRequest, OverviewRequest
from l7.telemetry.recorder.reader import RecorderReader
from l7.telemetry.stories.request_story import WIDTH, story

MOST = 500
"""Requests of a route that are shown."""
UNROUTED = "-"
"""The route of requests that have none."""
RULE = "-" * 79
MOST_TOLD = 20
"""Requests that are told, where clients have sent the same id for several."""
BESIDE_BAR, LEAST_BAR = 60, 12
"""Columns of a line of the time line that are not of its bar, and the fewest that are."""


@dataclass(frozen=True)
class Source:
    """How the l7 that is looked at is found."""

    given: flags.Given
    environ: Mapping[str, str]

    def overview(self) -> Answer:
        """The overview document; raises `StartError` when there is none."""
        answer = ask(OverviewRequest(), self.given, self.environ)
        if not answer.get("ok"):
            raise StartError("; ".join(lines(answer, "reasons")) or "what answers has no overview")
        return answer

    def history(self, route: str, server: str) -> list[str]:
        """The time line of a server, as ``l7 server`` prints it."""
        answer = ask(HistoryRequest(route, server), self.given, self.environ)
        if not answer.get("ok"):
            return lines(answer, "reasons")
        found: list[str] = []
        for one in answer["servers"]:
            found += [*([""] if found else []), *map(printable_line, server_story(one))]
        return found

    def story(self, request_id: str, width: int) -> list[str]:
        """What happened to a request, as ``l7 why`` tells it, with a time line for a screen so wide."""
        told: list[str] = []
        with self._recorder() as recorder:
            now = time.time()
            for one in recorder.find(request_id)[:MOST_TOLD]:
                then = situations_of(one, recorder, now, self.given, self.environ)
                lines = story(one, now, then, max(min(width - BESIDE_BAR, WIDTH), LEAST_BAR))
                told += [*(["", RULE, ""] if told else []), *map(printable_line, lines)]
        return told or ["it is not recorded any more: the access log may have it"]

    def requests(self, route: str) -> list[Answer]:
        """The last requests of a route, those that are under way first, as `RequestRecord.plain`.

        The ``total`` of one that is under way is what it has taken until now.
        """
        wanted = "" if route == UNROUTED else route
        with self._recorder() as recorder:
            ended = [one for one in recorder.finished() if one.route == wanted][-MOST:]
            running = [one for one in recorder.under_way() if one.route == wanted][:MOST]
        now = time.time()
        until_now = [{**one.plain(), "total": max(now - one.started, 0.0)} for one in running]
        return [*until_now, *[one.plain() for one in reversed(ended)]]

    @contextlib.contextmanager
    def _recorder(self) -> Iterator[RecorderReader]:
        view = recorder_view(self.given, self.environ)
        try:
            yield RecorderReader(view)
        finally:
            view.close()
