"""What is asked over the control socket: one request a connection, one line of JSON each way.

The answer is a JSON object with ``ok``, and with ``reasons`` where that is false; what else is in it is documented with
the command that prints it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from l7 import __version__
from l7.ipc.codec import Codec

Answer = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """Something that a client of the control socket asks."""


@dataclass(frozen=True)
class StatusRequest(Request):
    """What is running: the processes, the configuration, the servers; these only where they are wanted."""

    servers: bool = True


@dataclass(frozen=True)
class OverviewRequest(Request):
    """What is running, and how it has gone in the last minutes: answered by the monitor process."""


@dataclass(frozen=True)
class ReloadRequest(Request):
    """Reload; the answer comes when it is done, or has failed.

    ``force``: whatever the look ahead finds, and without comparing the new workers' errors with the old ones'.
    """

    force: bool = False


@dataclass(frozen=True)
class DryRunRequest(Request):
    """What a reload would change, and why it would be refused."""


@dataclass(frozen=True)
class ExplainRequest(Request):
    """Where a request for ``url`` would go, and why.

    ``headers`` are ``Name: value``, ``client`` the address that connects, empty for one that is not known.
    """

    url: str
    headers: tuple[str, ...] = ()
    method: str = "GET"
    client: str = ""


@dataclass(frozen=True)
class ReopenLogsRequest(Request):
    """Open the access log anew; answered when all workers write to the file that is at its path."""


@dataclass(frozen=True)
class RecorderRequest(Request):
    """The memory of the recorder: a descriptor that can only be read comes with the answer."""


@dataclass(frozen=True)
class ServerRequest(Request):
    """Change what is wanted of one server: ``drain``, ``ready``, ``maint``, or a ``weight``."""

    host: str
    address: str
    want: str
    weight: str | int | None = None


@dataclass(frozen=True)
class HistoryRequest(Request):
    """How one server is, and how that has changed."""

    host: str
    address: str


@dataclass(frozen=True)
class ServersRequest(Request):
    """How the servers of a route were at some moments, which are seconds since 1970.

    ``generation`` is that of the configuration whose servers are meant; where it is served no more, those of the
    present one are told.
    """

    route: str
    generation: int
    moments: tuple[float, ...]


REQUESTS: Codec[Request] = Codec(
    "do",
    {
        "status": StatusRequest,
        "overview": OverviewRequest,
        "reload": ReloadRequest,
        "dry-run": DryRunRequest,
        "explain": ExplainRequest,
        "reopen-logs": ReopenLogsRequest,
        "server": ServerRequest,
        "history": HistoryRequest,
        "recorder": RecorderRequest,
        "servers": ServersRequest,
    },
)


UNKNOWN = "unknown request: "
"""How the reason begins where what is asked is not known: the command and the l7 that runs may be of two versions."""


def refusal(*reasons: str) -> Answer:
    """The answer to a request that is not granted."""
    return {"ok": False, "reasons": list(reasons)}


def unknown(what: object) -> Answer:
    """The answer to a request that this version of l7 does not know."""
    return refusal(f"{UNKNOWN}{what}; this is l7 {__version__}")
