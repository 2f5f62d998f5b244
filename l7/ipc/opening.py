"""What the master asks the privileged opener, and what that answers.

One packet a request on a socket that the processes of l7 inherit; the request brings a socket of its own, on which the
answer comes, so that the two l7 of an upgrade can ask at the same time. What was opened is beside `Opened`.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from l7.ipc.codec import Codec
from l7.ipc.rights import rights, room

LONGEST = 64 * 1024
"""Bytes of the longest packet: a path of the greatest length, and more."""
ROOM = room(1) + socket.CMSG_SPACE(12)
"""Bytes beside a packet: one descriptor, and the credentials of who sent it."""


@dataclass(frozen=True)
class OpeningMessage:
    """A request to the opener, or its answer."""


@dataclass(frozen=True)
class OpenConfiguration(OpeningMessage):
    """Open the configuration file that was named at the start, for reading."""


@dataclass(frozen=True)
class OpenLog(OpeningMessage):
    """Open the access log ``path`` to append to it, or make it; it becomes the run-as account's, as at a start.

    With ``trial`` nothing is made and nothing changes; what is missing and could be made is answered without a
    descriptor.
    """

    path: str
    trial: bool = False


@dataclass(frozen=True)
class OpenCertificate(OpeningMessage):
    """Open for reading the file ``path``, which the configuration names as that of a certificate or of a key."""

    path: str


@dataclass(frozen=True)
class OpenErrorPage(OpeningMessage):
    """Open for reading the file ``path``, which the configuration names as an error page."""

    path: str


@dataclass(frozen=True)
class OpenStored(OpeningMessage):
    """Open for reading a file of the storage of ACME."""

    path: str


@dataclass(frozen=True)
class WriteStored(OpeningMessage):
    """Replace a file of the storage of ACME; it is root's, and its directories are made."""

    path: str
    content: str = field(repr=False)


@dataclass(frozen=True)
class OpenStorageLock(OpeningMessage):
    """Open the file of the storage of ACME that is locked, or make it."""

    path: str


@dataclass(frozen=True)
class BindPort(OpeningMessage):
    """Bind a TCP socket to ``host`` (``*``: all addresses) and ``port``; ``dual``: ``::`` takes IPv4, too."""

    host: str
    port: int
    dual: bool


@dataclass(frozen=True)
class ExpectSuccessor(OpeningMessage):
    """A process that this master is about to start may ask, too: the next l7 of an upgrade."""


@dataclass(frozen=True)
class StartReader(OpeningMessage):
    """Start a process that imports what reads the configuration, becomes the run-as account, and reads.

    The answer brings its socket (`l7.master.children.reader`).
    """


@dataclass(frozen=True)
class Opened(OpeningMessage):
    """It is done; a descriptor is beside the message where something was opened."""


@dataclass(frozen=True)
class NotOpened(OpeningMessage):
    """It is not opened: ``why`` in words; ``error`` is the ``errno`` of the system, 0 where the opener refuses."""

    why: str
    error: int = 0


CODEC: Codec[OpeningMessage] = Codec(
    "kind",
    {
        "open-configuration": OpenConfiguration,
        "open-log": OpenLog,
        "open-certificate": OpenCertificate,
        "open-error-page": OpenErrorPage,
        "open-stored": OpenStored,
        "write-stored": WriteStored,
        "open-storage-lock": OpenStorageLock,
        "bind-port": BindPort,
        "expect-successor": ExpectSuccessor,
        "start-reader": StartReader,
        "opened": Opened,
        "not-opened": NotOpened,
    },
)


def send(sock: socket.socket, message: OpeningMessage, descriptor: int | None = None) -> None:
    """Send one packet, with a copy of a descriptor; never waits. Raises ``OSError``."""
    beside = [] if descriptor is None else [descriptor]
    sock.sendmsg([CODEC.encode(message)], rights(beside), socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
