"""How a stream is lost, in our words: what the rest of l7 sees instead of `OSError`."""

from __future__ import annotations

from l7.errors import L7Error
from l7.oserrors import describe


class StreamClosed(L7Error):
    """The peer is gone: reset, or closed while we were sending.

    ``unsent`` says that not one byte of what was to be sent has left; ``errno`` is what the system said, 0 for nothing.
    """

    def __init__(self, reason: str, errno: int = 0, *, unsent: bool = False) -> None:
        super().__init__(reason)
        self.errno = errno
        self.unsent = unsent


class StreamTimeout(L7Error):
    """A deadline passed while waiting."""


def gone(failure: OSError) -> StreamClosed:
    """What an error of the system means here: whatever it is, the connection cannot be used any more."""
    number = failure.errno or 0
    return StreamClosed(describe(number) if number else "connection lost", number, unsent=True)
