"""A listening socket as the master gives it to a worker."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from l7.config.listeners import HANDED_DOWN, ListenerConfig


@dataclass(frozen=True)
class BoundListener:
    """A socket that listens, and what the configuration says of it: so a connection knows how it came."""

    socket: socket.socket
    config: ListenerConfig = HANDED_DOWN
