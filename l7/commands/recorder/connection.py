"""The recorder of the l7 that runs: its memory comes over the control socket, and is read here."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from l7.commands.control_client import ask_for_recorder, lines
from l7.config.reading import flags
from l7.errors import StartError
from l7.telemetry.recorder.memory import OtherLayoutError, RecorderView
from l7.telemetry.recorder.reader import News, RecorderReader

ASKED_AFTER = 2.0
"""Seconds without any news after which it is looked whether another l7 has taken over, or none runs any more."""
ASKED_EVERY = 10.0
"""Seconds after which that is looked in any case: one that drains may have news for as long as it does."""


def running_recorder(given: flags.Given, environ: Mapping[str, str]) -> RecorderReader:
    """The recorder of the l7 that runs with these settings; raises `StartError` when there is none."""
    return RecorderReader(recorder_view(given, environ))


def recorder_view(given: flags.Given, environ: Mapping[str, str]) -> RecorderView:
    """Its memory, to be closed by who has it; raises `StartError` when there is none."""
    return _view(_ask(given, environ)[1])


class RecorderFollower:
    """The requests of the l7 that runs as they end, also over upgrades in place.

    An l7 that was upgraded has another memory; that of the one before is read until its last worker has ended.

    :raises StartError: none runs, or it has no recorder; so does `news`.
    """

    def __init__(self, given: flags.Given, environ: Mapping[str, str]) -> None:
        self._given = given
        self._environ = environ
        self._pid, descriptor = _ask(given, environ)
        self.reader = _read(descriptor)
        """The recorder that is written now; what was there when this began is none of the news."""
        self.reader.skip()
        self._before: list[RecorderReader] = []
        self._quiet_since = self._looked = time.monotonic()

    def news(self) -> News:
        """What has ended since the last look."""
        found = [one.news() for one in (*self._before, self.reader)]
        now = time.monotonic()
        if any(one.records for one in found):
            self._quiet_since = now
        if now - self._quiet_since > ASKED_AFTER or now - self._looked > ASKED_EVERY:
            self._quiet_since = self._looked = now
            self._look()
        records = [record for one in found for record in one.records]
        return News(sorted(records, key=lambda one: one.ended), sum(one.missed for one in found))

    def _look(self) -> None:
        """Go on with the memory of the l7 that has taken over, from its first request on."""
        self._before = [one for one in self._before if one.is_written()]
        try:
            pid, descriptor = _ask(self._given, self._environ)
        except StartError:
            if self._before or self.reader.is_written():  # it has no time just now, or ends
                return
            raise
        if pid == self._pid:
            os.close(descriptor)
            return
        self._before.append(self.reader)
        self._pid, self.reader = pid, _read(descriptor)


def _ask(given: flags.Given, environ: Mapping[str, str]) -> tuple[int, int]:
    """The pid of the l7 that runs, and a descriptor of its recorder."""
    answer, descriptor = ask_for_recorder(given, environ)
    if not answer.get("ok") or descriptor is None:
        raise StartError("; ".join(lines(answer, "reasons")) or "the l7 that runs has no recorder")
    return int(answer.get("pid", 0)), descriptor


def _read(descriptor: int) -> RecorderReader:
    return RecorderReader(_view(descriptor))


def _view(descriptor: int) -> RecorderView:
    """Map a memory; the descriptor is closed."""
    try:
        return RecorderView(descriptor)
    except OtherLayoutError:
        what = "its recorder is of another version of l7 than this command: begin anew where l7 was upgraded meanwhile"
        raise StartError(f"{what}; else upgrade it in place (USR2), or restart it") from None
    except OSError as error:
        raise StartError(f"the memory of the recorder cannot be mapped: {error.strerror}") from error
    finally:
        os.close(descriptor)
