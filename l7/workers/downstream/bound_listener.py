"""What a worker accepts on: a listening socket that the master has bound, with what is configured for it."""

from __future__ import annotations

import ipaddress
import socket
from _socket import socket as Socket
from dataclasses import dataclass
from typing import Any, Protocol

from l7.config.sections.listeners import HANDED_DOWN, ListenerConfig
from l7.http.forwarding import Hop
from l7.networks import host_port
from l7.tls.contexts import ListenerContexts
from l7.workers.downstream.connection import ClientConnection


@dataclass(frozen=True)
class BoundListener:
    """One listener as it comes from the master to a worker, which sets it to non-blocking before it accepts."""

    socket: socket.socket
    config: ListenerConfig = HANDED_DOWN
    contexts: ListenerContexts | None = None
    """With what TLS is spoken there; None where it is not."""

    def name(self) -> tuple[int, bytes]:
        """The port, and what stands in for a Host that an HTTP/1.0 client does not send (RFC 9112, 3.3)."""
        if self.socket.family == socket.AF_UNIX:
            return 0, b"localhost"
        host, port = self.socket.getsockname()[:2]
        address = ipaddress.ip_address(host.partition("%")[0])
        name = host_port("localhost" if address.is_unspecified else str(address), port)
        return port, name.removesuffix(":80").encode("ascii")

    @property
    def begins_otherwise(self) -> bool:
        """Whether something comes before the first request of a connection."""
        return self.contexts is not None or bool(self.config.proxy_protocol)

    def has_accepted(self, sock: Socket) -> bool:
        """Whether a connection came to this address."""
        if sock.family != self.socket.family:
            return False
        ours, theirs = self.socket.getsockname(), sock.getsockname()
        if sock.family == socket.AF_UNIX:
            return bool(ours == theirs)
        return ours[1] == theirs[1] and (ours[0] == theirs[0] or ours[0] in ("::", "0.0.0.0"))

    def is_of_another_kind(self, hop: Hop) -> bool:
        """Whether a connection that was accepted here before would begin otherwise now: with TLS, or a PROXY header."""
        return self.config.scheme != hop.scheme or bool(self.config.proxy_protocol) != bool(hop.told_port)


class Handshakes(Protocol):
    """The handshakes of connections that begin with one."""

    def begin(self, sock: Socket, contexts: ListenerContexts, hop: Hop) -> None:
        """Shake hands on a new connection, and have it served by `ConnectionHandler.begin`."""

    def go_on(self, connection: ClientConnection, contexts: ListenerContexts) -> None:
        """Shake hands on a connection whose PROXY header has come."""

    def close(self) -> None:
        """Close what is under way."""


class ProxyHeaderReader(Protocol):
    """The PROXY headers of connections that begin with one."""

    def begin(self, connection: ClientConnection, listener: Any) -> None:
        """Read the header, and have the connection served by `ConnectionHandler.introduced`."""

    def close(self) -> None:
        """Close what has said nothing yet."""
