"""A listening socket as the master gives it to a worker."""

from __future__ import annotations

import socket
from _socket import socket as Socket
from dataclasses import dataclass
from typing import Protocol

from l7.config.listeners import HANDED_DOWN, ListenerConfig
from l7.http.forwarding import Hop
from l7.tls.contexts import ListenerContexts


@dataclass(frozen=True)
class BoundListener:
    """A socket that listens, and what the configuration says of it: so a connection knows how it came."""

    socket: socket.socket
    config: ListenerConfig = HANDED_DOWN
    contexts: ListenerContexts | None = None
    """With what TLS is spoken there; None where it is not."""


class Handshakes(Protocol):
    """The handshakes of connections that begin with one."""

    def begin(self, sock: Socket, contexts: ListenerContexts, hop: Hop) -> None:
        """Shake hands on a new connection, and have it served by `ConnectionHandler.begin`."""

    def close(self) -> None:
        """Close what is under way."""
