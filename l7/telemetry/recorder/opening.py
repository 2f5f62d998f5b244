"""The recorder of a worker, by its configuration."""

from __future__ import annotations

from l7.config.generation import Generation
from l7.telemetry.recorder.memory import RecorderMemory
from l7.telemetry.recorder.writer import NullRecorder, Recorder


def recorder_of(
    memory: RecorderMemory | None, lane: int, generation: Generation, index: int, workers: int
) -> NullRecorder:
    """The recorder of the worker at place ``index`` of so many, which writes ``lane``; it may be off.

    :raises OSError: the lane cannot be mapped.
    """
    settings = generation.config.recorder
    if memory is None or settings is None:
        return NullRecorder()
    backends = generation.config.backends
    return Recorder(memory.lane(lane), settings, backends, generation.number, index + 1, workers)
