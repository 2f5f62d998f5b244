"""What the master knows, asked for as over its control socket: for ``/status``, and for the overview."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from gevent import Timeout
from gevent import socket as green

from l7.errors import L7Error
from l7.ipc.requests import REQUESTS, StatusRequest

WITHIN = 5.0
"""Seconds that the master may take."""
WITHIN_WITH_SERVERS = 20.0
"""The same where it tells of all servers, of which there may be very many: it does other things meanwhile."""


class MasterStateError(L7Error):
    """The master does not answer."""


def ask_status(visit: Callable[[], green.socket], *, servers: bool = True) -> dict[str, Any]:
    """The master's answer to a `StatusRequest`; raises `MasterStateError`.

    :param visit: connects to the master's control socket; raises ``OSError``.
    """
    try:
        with Timeout(WITHIN_WITH_SERVERS if servers else WITHIN), visit() as control_server:
            control_server.sendall(REQUESTS.encode(StatusRequest(servers=servers)) + b"\n")
            answer: dict[str, Any] = json.loads(b"".join(iter(lambda: control_server.recv(65536), b"")))
    except (OSError, ValueError, Timeout):
        raise MasterStateError("the master does not answer") from None
    return answer
