"""The recorder of the l7 that runs: its memory comes over the control socket, and is read here."""

from __future__ import annotations

import os
from collections.abc import Mapping

from l7.commands.control_client import ask_for_recorder, lines
from l7.config.reading import flags
from l7.errors import StartError
from l7.telemetry.recorder.memory import OtherLayoutError, RecorderView
from l7.telemetry.recorder.reader import RecorderReader


def recorder_of(given: flags.Given, environ: Mapping[str, str]) -> RecorderReader:
    """The recorder of the l7 that runs with these settings; raises `StartError` when there is none."""
    answer, descriptor = ask_for_recorder(given, environ)
    if not answer.get("ok") or descriptor is None:
        raise StartError("; ".join(lines(answer, "reasons")) or "the l7 that runs has no recorder")
    try:
        return RecorderReader(RecorderView(descriptor))
    except OtherLayoutError:
        what = "its recorder is of another version of l7 than this command; upgrade it in place (USR2), or restart it"
        raise StartError(what) from None
    except OSError as error:
        raise StartError(f"the memory of the recorder cannot be mapped: {error.strerror}") from error
    finally:
        os.close(descriptor)
