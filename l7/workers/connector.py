"""Dialling a server: the address it has, a socket, a deadline, and the row of the failure table when it fails."""

from __future__ import annotations

import errno
import ipaddress
import socket
from _socket import socket as Socket
from typing import Any

from gevent import Timeout
from gevent import socket as green

from l7.clock import monotonic
from l7.config.addresses import Address
from l7.errors import CONNECT_REFUSED, CONNECT_TIMEOUT, NO_RESOURCES, ProxyError
from l7.workers.stream import Stream, StreamClosed, StreamTimeout, Sweeper

_KIND = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_OUT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_FRESH = 5.0
"""Seconds for which a name's addresses are used again."""

Endpoint = tuple[int, Any]
"""Address family and what ``connect`` takes."""


class Connector:
    """Opens connections to one server; a name's addresses are tried in the order the resolver gives them."""

    __slots__ = ("_address", "_endpoints", "_literal", "_sweeper", "_until")

    def __init__(self, address: Address, sweeper: Sweeper) -> None:
        self._address = address
        self._sweeper = sweeper
        self._endpoints = _literal(address)
        self._literal = bool(self._endpoints)
        self._until = 0.0

    def dial(self, seconds: float) -> Stream:
        """A new connection; raises `ProxyError` when none could be made within ``seconds``."""
        until = monotonic() + seconds
        failure: ProxyError | None = None
        for family, endpoint in self._resolve(seconds):
            try:
                return self._connect(family, endpoint, max(until - monotonic(), 0.001))
            except ProxyError as error:
                failure = error
                if monotonic() >= until:
                    break
        raise failure or ProxyError(CONNECT_REFUSED, "the name has no address")

    def _connect(self, family: int, endpoint: Any, seconds: float) -> Stream:
        try:
            sock = Socket(family, _KIND)
        except OSError as error:
            raise _failed(error) from None
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = Stream(sock, self._sweeper, connecting=True)
        try:
            stream.connect(endpoint, seconds)
        except StreamTimeout:
            stream.close()
            raise ProxyError(CONNECT_TIMEOUT, f"no answer within {seconds:.3g} s") from None
        except (OSError, StreamClosed) as error:
            stream.close()
            raise _failed(error) from None
        return stream

    def _resolve(self, seconds: float) -> list[Endpoint]:
        if self._literal or monotonic() < self._until:
            return self._endpoints
        try:
            with Timeout(seconds, ProxyError(CONNECT_TIMEOUT, "the name was not resolved in time")):
                found = green.getaddrinfo(self._address.host, self._address.port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ProxyError(CONNECT_REFUSED, f"the name cannot be resolved: {error}") from None
        self._endpoints = [(family, endpoint) for family, _, _, _, endpoint in found]
        self._until = monotonic() + _FRESH
        return self._endpoints


def _literal(address: Address) -> list[Endpoint]:
    if address.path is not None:
        return [(socket.AF_UNIX, address.path)]
    try:
        version = ipaddress.ip_address(address.host).version
    except ValueError:
        return []
    return [(socket.AF_INET if version == 4 else socket.AF_INET6, (address.host, address.port))]


def _failed(error: Exception) -> ProxyError:
    number = error.errno if isinstance(error, OSError) else None
    if number in _OUT:
        return ProxyError(NO_RESOURCES, "out of file descriptors or memory for sockets")
    if number == errno.ETIMEDOUT:
        return ProxyError(CONNECT_TIMEOUT, "no answer")
    return ProxyError(CONNECT_REFUSED, errno.errorcode.get(number, str(error)) if number else str(error))
