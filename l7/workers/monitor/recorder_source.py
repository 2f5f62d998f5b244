"""What workers have recorded, as the monitor process reads it: mapped once, when somebody asks for the first time."""

from __future__ import annotations

from l7.telemetry.recorder.memory import RecorderMemory, RecorderView
from l7.telemetry.recorder.reader import RecorderReader
from l7.workers.runtime.pause import pause


class RecorderSource:
    """The recorder's reader, for all who ask; it pauses, so that it never has the loop for long.

    :param memory: None where requests are not recorded.
    """

    def __init__(self, memory: RecorderMemory | None) -> None:
        self._memory = memory
        self._reader: RecorderReader | None = None

    def reader(self) -> RecorderReader | None:
        """What reads it; None where requests are not recorded.

        :raises OSError: it cannot be mapped; who asks again tries again.
        :raises OtherLayoutError: it is of another version of l7.
        """
        if self._reader is None and self._memory is not None:
            self._reader = RecorderReader(RecorderView(self._memory.descriptor), pause)
        return self._reader
