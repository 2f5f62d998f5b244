"""Opening a connection to a server, in the same way for requests, health checks and connect probes.

A failure is the server's (``OSError``, with the system's number), a timeout (`StreamTimeout`), or a lack of resources
of l7's own (`OutOfResources`), which is not counted against the server.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from _socket import socket as Socket
from typing import Any

import gevent

from l7.clock import monotonic
from l7.config.values.addresses import Address
from l7.errors import L7Error
from l7.oserrors import DESCRIPTORS, NO_PORT, SCARCE, describe
from l7.workers.transport.stream import DeadlineSweeper, Stream, StreamTimeout
from l7.workers.transport.tls_client import TlsClient

FIRST_PAUSE = 0.001
"""Seconds until a unix socket whose queue was full is tried again; it doubles."""
LONGEST_PAUSE = 0.1

Endpoint = tuple[int, Any]
"""Address family and what ``connect`` takes."""

_FLAGS = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class OutOfResources(L7Error):
    """l7 has no descriptor, memory or local port for a connection; ``errno`` is one of `l7.oserrors`."""

    def __init__(self, number: int) -> None:
        super().__init__(describe(number))
        self.errno = number


class BacklogFull(StreamTimeout):
    """The backlog of a unix socket was full until the timeout."""


class HandshakeTimeout(StreamTimeout):
    """The connection was open, and its TLS handshake not complete, at the timeout."""


def endpoint_of(address: Address) -> Endpoint | None:
    """Where a server is; None for one that is given by name."""
    if address.path is not None:
        return socket.AF_UNIX, address.path
    return None if address.named else endpoint(address.host, address.port)


def endpoint(host: str, port: int) -> Endpoint:
    """Where an IP address and a port are."""
    family = socket.AF_INET if ipaddress.ip_address(host).version == 4 else socket.AF_INET6
    return family, (host, port)


def dial(where: Endpoint, sweeper: DeadlineSweeper, seconds: float, tls: TlsClient | None = None) -> Stream:
    """Open a connection within ``seconds``; with ``tls`` its handshake is complete by then.

    Raises `OutOfResources`, `StreamTimeout` (`BacklogFull` and `HandshakeTimeout` among them), ``StreamLost`` when it
    was closed here meanwhile, ``ServerTlsFailure``, and ``OSError`` as the system tells it.
    """
    until = monotonic() + seconds
    family, address = where
    try:
        sock = _socket(family, sweeper)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = Stream(sock, sweeper, connecting=True)
        try:
            _connect(stream, family, address, seconds)
            if tls is not None:
                _shake(stream, tls, max(until - monotonic(), 0.001))
        except BaseException:
            stream.close()
            raise
    except OSError as failure:
        lack = _lack(failure.errno, where)
        if lack:
            raise OutOfResources(lack) from None
        raise
    return stream


def _socket(family: int, sweeper: DeadlineSweeper) -> Socket:
    """A new socket; when no descriptor is left for it, something idle makes place."""
    try:
        return Socket(family, socket.SOCK_STREAM | _FLAGS)
    except OSError as failure:
        if failure.errno not in DESCRIPTORS or not sweeper.free_descriptor():
            raise
    return Socket(family, socket.SOCK_STREAM | _FLAGS)


def _shake(stream: Stream, tls: TlsClient, seconds: float) -> None:
    try:
        tls.open(stream, seconds)
    except StreamTimeout:
        raise HandshakeTimeout from None


def _connect(stream: Stream, family: int, address: Any, seconds: float) -> None:
    """Connect; where the queue of a unix socket is full the system does not let us wait, so we come back."""
    until = monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        try:
            connect(stream, address, max(until - monotonic(), 0.001))
            return
        except BlockingIOError:
            if family != socket.AF_UNIX:
                raise
        left = until - monotonic()
        if left <= 0:
            raise BacklogFull
        gevent.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)


def connect(stream: Stream, address: Any, seconds: float) -> None:
    """Open a connection to ``address``; raises ``OSError`` as the kernel tells it, or `StreamTimeout`."""
    status = stream.socket.connect_ex(address)
    if status == errno.EINPROGRESS:
        stream.wait_writable(seconds)
        status = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if status:
        raise OSError(status, errno.errorcode.get(status, str(status)))
    stream.watch()


def _lack(number: int | None, where: Endpoint) -> int:
    """What we lack where that is why a connection could not be opened; 0 where it is not."""
    if number in SCARCE or (number == errno.EAGAIN and where[0] != socket.AF_UNIX):
        return number or 0
    return NO_PORT if number == errno.EADDRNOTAVAIL and _is_reachable(where) else 0


def _is_reachable(where: Endpoint) -> bool:
    """Whether there is a local address from which this one can be reached; nothing is sent to find out.

    Without one, as for ``::1`` where IPv6 is off, the system says the same as when no local port is left.
    """
    family, address = where
    try:
        sock = Socket(family, socket.SOCK_DGRAM | _FLAGS)
    except OSError:
        return True
    try:
        sock.connect(address)
    except OSError as failure:
        return failure.errno != errno.EADDRNOTAVAIL
    finally:
        sock.close()
    return True
