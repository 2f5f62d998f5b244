"""The recorder of a worker, by its configuration."""

from __future__ import annotations

from collections.abc import Callable

from l7.config.generation import Generation
from l7.telemetry.recorder.memory import RecorderMemory
from l7.telemetry.recorder.writer import NullRecorder, Recorder

__all__ = ["RecorderMemory", "recorder_of"]


def recorder_of(
    memory: RecorderMemory | None,
    lane: int,
    generation: Generation,
    place: tuple[int, int],
    report: Callable[[str], None],
) -> NullRecorder:
    """The recorder of a worker that writes ``lane``; it may be off, as it is, with a warning, where there is no memory.

    :param place: the worker's place, and how many workers there are.
    """
    settings = generation.config.recorder
    if memory is None or settings is None:
        return NullRecorder()
    index, workers = place
    try:
        words = memory.lane(lane)
    except OSError as error:
        report(f"recorder: no memory for this worker's requests, which are not recorded: {error.strerror}")
        return NullRecorder()
    return Recorder(words, settings, generation.config.backends, generation.number, index + 1, workers)
