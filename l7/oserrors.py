"""Error numbers of the operating system, in one place: which of them are our own lack, and all of them in words.

A number fits into a cell of shared memory and is put into words where it is shown. What the system has no number for,
but stands in the way of a connection all the same, has one here, above all of the system's.
"""

from __future__ import annotations

import errno
import os
from typing import Final

DESCRIPTORS: Final = frozenset((errno.EMFILE, errno.ENFILE))
"""No file descriptor is left: to this process, or to the whole system."""
SCARCE: Final = DESCRIPTORS | {errno.ENOBUFS, errno.ENOMEM}
"""The system has no descriptor or no memory left, whatever it was wanted for."""

UNRESOLVED: Final = 0x10000
"""The name could not be looked up."""
NO_PORT: Final = 0x10001
"""No local port is left for a connection to this address (``EADDRNOTAVAIL`` where there is a way to it)."""

_OURS: Final = {
    UNRESOLVED: "the name cannot be resolved",
    NO_PORT: "no local port left",
    errno.EAGAIN: "its queue is full",
}


def describe(number: int) -> str:
    """An error number for people, as in ``permission denied``."""
    return _OURS.get(number) or os.strerror(number).lower()


def describe_connect(number: int) -> str:
    """Why a connection could not be opened: ``connect refused``, ``connect: permission denied``."""
    if number in (0, errno.ECONNREFUSED):
        return "connect refused"
    return describe(number) if number == UNRESOLVED else f"connect: {describe(number)}"
