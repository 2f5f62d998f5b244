"""Every message between the processes of l7: what each means, who sends it, what comes back.

A message is one frozen dataclass; a client connection or another descriptor travels beside those in `WITH_DESCRIPTOR`.
The only answers among them are `Drained` to `Drain`, `BeginAccepting` or `Stop` to `PreflightDone`, and `LogInUse` to
`UseLog`. The names in `KINDS` are what is on the wire: between two versions of l7 during an upgrade they have to stay
what they are (`l7.ipc.codec` says what may be added without a new `PROTOCOL`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from l7.ipc.codec import Codec

PROTOCOL = 2
"""The version of what two l7 say to each other during an upgrade: an l7 is not replaced by one with another number."""

LONGEST_TEXT = 8000
"""Characters of what is said for people in a message; each may take six bytes on the wire."""

MemberAddress = tuple[str, int, int, int, bool]
"""One address of a server: host, port, row of the shared memory, weight (-1: the server's own), whether it is a
reserve.
"""
NameAddress = tuple[str, int, int, bool]
"""One address that a name was resolved to: as `MemberAddress`, without a row."""


@dataclass(frozen=True)
class Message:
    """Something that one process tells another."""


def shortened(text: str) -> str:
    """Words for people, cut so that they fit into any message."""
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


# --- master to worker -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drain(Message):
    """Accept no more, serve what was accepted, exit within ``within`` seconds. Answered by `Drained`.

    ``idle`` says what becomes of connections that wait for a request: they go to another worker, or are closed.
    """

    within: float
    idle: Literal["handover", "close"]
    entrances: tuple[str, ...] = ()
    """The listeners in TLS whose connections others go on with: those of which `Adopt` may say ``entrance``."""


@dataclass(frozen=True)
class Stop(Message):
    """Exit: at once, or, where not ``quick``, when the requests in flight are done.

    The new l7 of an upgrade sends it to the old one, too.
    """

    quick: bool = True


@dataclass(frozen=True)
class BeginAccepting(Message):
    """Accept connections: the answer to `PreflightDone` where what it found does not keep the worker from serving."""


@dataclass(frozen=True)
class UseLog(Message):
    """Write the access log at ``path`` to the descriptor beside the message. Answered by `LogInUse`."""

    path: str


@dataclass(frozen=True)
class SetMembers(Message):
    """The addresses that a server given by name has from now on; to workers and to the monitor process."""

    backend: str
    server: str
    members: tuple[MemberAddress, ...]


@dataclass(frozen=True)
class UseCertificate(Message):
    """Show this certificate in place of the one of the same names; to workers and to the monitor process."""

    names: tuple[str, ...]
    issuer: str
    not_before: float
    not_after: float
    serial: int
    key_type: str
    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class EndRelayed(Message):
    """Let the next answer be the last of each connection whose TLS the process ``relay`` has."""

    relay: int


@dataclass(frozen=True)
class Adopt(Message):
    """Go on serving a client connection, whose descriptor is beside the message.

    A worker sends it to the master, the master passes it on to another worker or to the other l7 of an upgrade; with
    ``returned`` it comes back to the worker that sent it, because nobody takes it.
    """

    peer: str
    """The client's address."""
    port: int
    """The port of the listener that accepted it."""
    data: bytes = b""
    """What has been read of the next request."""
    idle_left: float | None = None
    """Seconds for which it may stay idle; None: as a new one."""
    returned: bool = False
    scheme: str = "http"
    """What the client speaks with that listener."""
    told_port: str = ""
    """The port that the client connected to, where a PROXY header has said it."""
    tls: str = ""
    """What was agreed on in TLS (`l7.tls.details.TlsDetails`), which another process speaks; empty where none is."""
    entrance: str = ""
    """The listener in TLS, and by which rules the client came in there."""
    relay: int = 0
    """The process that speaks TLS with the client: the descriptor is one end of a socket pair with that."""
    last: bool = False
    """Whether the next answer is the last, because ``relay`` ends."""


# --- worker to master -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ready(Message):
    """The worker serves; the monitor process can be told to begin."""


@dataclass(frozen=True)
class Unreachable(Message):
    """The look ahead has reached none of a backend's servers; ``why`` says why not, by server."""

    backend: str
    why: str


@dataclass(frozen=True)
class PreflightDone(Message):
    """The look ahead is over, and `Unreachable` was sent for each backend that it is true of.

    The worker accepts nothing until `BeginAccepting` comes.
    """


@dataclass(frozen=True)
class BootFailed(Message):
    """The process cannot start, and exits. Of the next l7 in an upgrade, too."""

    why: str


@dataclass(frozen=True)
class Drained(Message):
    """The worker accepts no more connections: the answer to `Drain`, and to nothing else."""


@dataclass(frozen=True)
class Relaying(Message):
    """The worker, which drains, has the TLS of connections that others serve, and does not exit before they end."""


@dataclass(frozen=True)
class LogMoved(Message):
    """The file of the access log at ``path`` was renamed, removed or replaced: it has to be opened anew."""

    path: str


@dataclass(frozen=True)
class LogInUse(Message):
    """Lines go to the descriptor of the last `UseLog`."""


# --- monitor process and master --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BeginChecks(Message):
    """Check servers and look names up from now on: no other monitor process does any more."""


@dataclass(frozen=True)
class OpenAdmin(Message):
    """Accept connections to the admin endpoint."""


@dataclass(frozen=True)
class OverviewClient(Message):
    """Answer `l7.ipc.requests.OverviewRequest` on the connection whose descriptor is beside the message."""


@dataclass(frozen=True)
class Resolved(Message):
    """What a server's name was resolved to; ``why`` says why the last look-up failed, and is empty when it did not."""

    backend: str
    server: str
    addresses: tuple[NameAddress, ...]
    why: str = ""


@dataclass(frozen=True)
class ControlClient(Message):
    """Serve the connection whose descriptor is beside the message as one to the control socket."""


# --- the storage of ACME: the monitor process asks, and the master, who may open it, answers --------------------------


@dataclass(frozen=True)
class LoadStorage(Message):
    """Read what is stored anew, and let workers show certificates that another l7 has put there.

    Answered by `StoredFile` for each file, then by `StorageLoaded`. ``host`` is whose files; empty: those of all.
    """

    host: str = ""


@dataclass(frozen=True)
class StoredFile(Message):
    """A file of the storage; empty where there is none yet. Of a certificate it is the first one, without its key.

    ``self_signed`` says of a host that such a certificate is shown for it.
    """

    name: str
    content: str = field(repr=False)
    self_signed: bool = False


@dataclass(frozen=True)
class StorageLoaded(Message):
    """That was all; ``why`` it could not be read, empty where it could."""

    why: str = ""


@dataclass(frozen=True)
class StoreFile(Message):
    """Write a file of the storage; a certificate is shown from then on. Answered by `FileStored`."""

    name: str
    content: str = field(repr=False)


@dataclass(frozen=True)
class FileStored(Message):
    """It is on the disk; or ``why`` it is not."""

    name: str
    why: str = ""


# --- upgrade in place: from the old l7 to the new one ----------------------------------------------------------------


@dataclass(frozen=True)
class TakeOver(Message):
    """Take the pid file and the control socket: the old l7 has let go of them. Answered by `TookOver`."""


@dataclass(frozen=True)
class Reload(Message):
    """Reload: it was asked of the old l7, and the new one has taken over. ``forced`` is as in `ReloadRequest`."""

    forced: bool = False


# --- upgrade in place: from the new l7 to the old one ----------------------------------------------------------------


@dataclass(frozen=True)
class Hello(Message):
    """The first message of the new l7."""

    protocol: int
    version: str
    """The version of l7, for people."""


@dataclass(frozen=True)
class Serving(Message):
    """All workers of the new l7 are ready: it can take over. Answered by `TakeOver`."""


@dataclass(frozen=True)
class Unfit(Message):
    """The new l7 will not take over, and stops."""

    why: str


@dataclass(frozen=True)
class TookOver(Message):
    """The new l7 is the master now."""


KINDS: dict[str, type[Message]] = {
    "drain": Drain,
    "stop": Stop,
    "begin-accepting": BeginAccepting,
    "use-log": UseLog,
    "set-members": SetMembers,
    "use-certificate": UseCertificate,
    "end-relayed": EndRelayed,
    "adopt": Adopt,
    "ready": Ready,
    "unreachable": Unreachable,
    "preflight-done": PreflightDone,
    "boot-failed": BootFailed,
    "drained": Drained,
    "relaying": Relaying,
    "log-moved": LogMoved,
    "log-in-use": LogInUse,
    "begin-checks": BeginChecks,
    "open-admin": OpenAdmin,
    "resolved": Resolved,
    "control-client": ControlClient,
    "overview-client": OverviewClient,
    "load-storage": LoadStorage,
    "stored-file": StoredFile,
    "storage-loaded": StorageLoaded,
    "store-file": StoreFile,
    "file-stored": FileStored,
    "take-over": TakeOver,
    "reload": Reload,
    "hello": Hello,
    "serving": Serving,
    "unfit": Unfit,
    "took-over": TookOver,
}

WITH_DESCRIPTOR = (Adopt, ControlClient, OverviewClient, UseLog)

CODEC: Codec[Message] = Codec("kind", KINDS)
