"""The memory of the recorder, as the master makes it, workers write it and anybody reads it who may."""

from __future__ import annotations

import mmap
import os
import weakref

from l7.sharedmem.mapping import SharedFile
from l7.telemetry.recorder.layout import HEAD, LANE, LANES_USED, VERSION


class OtherLayoutError(Exception):
    """The memory is not of a recorder, or of that of another version of l7."""


class RecorderMemory:
    """The file of all lanes, shared with each process forked after it was made.

    :raises OSError: there is no memory for it.
    """

    def __init__(self) -> None:
        self._file = SharedFile("l7-recorder")
        self._head = self._file.map(0, HEAD)
        self._head[0] = VERSION
        # Whoever runs l7 is to read it, also when it became another account by then.
        self._read_only = self._file.open_to_read()
        weakref.finalize(self, os.close, self._read_only)

    def open(self, lane: int) -> None:
        """Prepare a lane for a new writer; only the master does. Raises ``OSError`` when there is no room for it."""
        self._file.map(HEAD + lane * LANE, LANE)
        self._head[LANES_USED] = max(self._head[LANES_USED], lane + 1)

    def lane(self, number: int) -> memoryview:
        """The words of a lane that was opened, to be written; raises ``OSError``."""
        return self._file.map(HEAD + number * LANE, LANE)

    @property
    def descriptor(self) -> int:
        """What can only read it; it belongs to this object."""
        return self._read_only


class RecorderView:
    """All lanes of a recorder, to be read through a descriptor, which it does not keep.

    :raises OtherLayoutError: what is there cannot be read by this l7.
    :raises OSError: it cannot be mapped.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = os.dup(descriptor)
        self._lanes: list[memoryview] = []
        try:
            self._head = self._map(0, HEAD)
        except ValueError:  # it is shorter
            raise OtherLayoutError from None
        if self._head[0] != VERSION:
            raise OtherLayoutError

    def close(self) -> None:
        """Let go of the memory."""
        os.close(self._descriptor)
        self._lanes.clear()

    def lanes(self) -> list[memoryview]:
        """The words of each lane that was opened until now."""
        used = self._head[LANES_USED]
        while len(self._lanes) < used:
            self._lanes.append(self._map(HEAD + len(self._lanes) * LANE, LANE))
        return self._lanes

    def _map(self, first: int, count: int) -> memoryview:
        mapped = mmap.mmap(self._descriptor, count * 8, prot=mmap.PROT_READ, offset=first * 8)
        return memoryview(mapped).cast("q")
