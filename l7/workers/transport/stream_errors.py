"""How a stream is lost, in our words: what the rest of l7 sees instead of `OSError`."""

from __future__ import annotations

from select import poll  # by name: patching replaces it in the module by one that lets others run

from l7.errors import L7Error
from l7.oserrors import describe
from l7.tls.failures import TlsFailure
from l7.tls.servers.failures import REJECTED_LABEL


class StreamLost(L7Error):
    """The peer is gone: reset, or closed while we were sending.

    ``unsent`` says that not one byte of what was to be sent has left; ``errno`` is what the system said, 0 for nothing.
    ``rejected`` says that the peer has ended TLS because it does not take our certificate, or wants one.
    """

    def __init__(self, reason: str, errno: int = 0, *, unsent: bool = False, rejected: bool = False) -> None:
        super().__init__(reason)
        self.errno = errno
        self.unsent = unsent
        self.rejected = rejected


class StreamTimeout(L7Error):
    """A deadline passed while waiting."""


def gone(failure: OSError) -> StreamLost:
    """What an error of the system means here: whatever it is, the connection cannot be used any more."""
    number = failure.errno or 0
    words = describe(number) if number else str(failure) or "connection lost"
    rejected = isinstance(failure, TlsFailure) and failure.label == REJECTED_LABEL
    return StreamLost(words, number, unsent=True, rejected=rejected)


def is_hung_up(descriptor: int) -> bool:
    """Whether both directions of a socket are over: it was reset, or, of a unix socket, closed at its other end.

    That a TCP peer has closed, and not only ended what it sends, shows when it is sent something and not before.
    """
    ends = poll()
    ends.register(descriptor, 0)
    return bool(ends.poll(0))
