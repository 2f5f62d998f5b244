"""Dialling a server: the address it has, a socket, a deadline, and the row of the failure table when it fails."""

from __future__ import annotations

import errno
import ipaddress
import socket
from _socket import socket as Socket
from collections.abc import Callable
from typing import Any

import gevent

from l7.balancing.names import Answer
from l7.clock import monotonic
from l7.config.addresses import Address
from l7.errors import CONNECT_REFUSED, CONNECT_TIMEOUT, NO_RESOURCES, ProxyError
from l7.workers.stream import Stream, StreamClosed, StreamTimeout, Sweeper

_KIND = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_OUT = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_FRESH = 5.0
"""Seconds for which a name's addresses are used again."""
_AGAIN = 1.0
"""Seconds after which a name that could not be looked up is tried again."""

Endpoint = tuple[int, Any]
"""Address family and what ``connect`` takes."""
LookUp = Callable[[Address], Answer]
"""Finds out what a name stands for; never raises."""


def nobody(_address: Address) -> Answer:
    """Look nothing up: for those who dial literal addresses only."""
    return Answer((), why="there is no resolver")


class Connector:
    """Opens connections to one server.

    One that is given by name is looked up here only until the control worker has told its addresses: then each of them
    is a server of its own. Requests that come meanwhile share one look-up, and try its addresses in order.
    """

    __slots__ = ("_address", "_endpoints", "_literal", "_look_up", "_searching", "_sweeper", "_until", "_why")

    def __init__(self, address: Address, sweeper: Sweeper, look_up: LookUp = nobody) -> None:
        self._address = address
        self._sweeper = sweeper
        self._endpoints = _literal(address)
        self._literal = bool(self._endpoints)
        self._look_up = look_up
        self._searching: gevent.Greenlet[..., None] | None = None
        self._until = 0.0
        self._why = ""

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
        raise failure or ProxyError(CONNECT_REFUSED, f"the name cannot be resolved: {self._why}")

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
        if self._searching is None:
            self._searching = gevent.spawn(self._search)
        searching = self._searching
        searching.join(seconds)
        if not searching.ready():
            raise ProxyError(CONNECT_TIMEOUT, "the name was not resolved in time")
        return self._endpoints

    def _search(self) -> None:
        """Look the name up, for all who wait for it; those that are to be used only without the others come last."""
        try:
            answer = self._look_up(self._address)
            found = sorted(answer.found, key=lambda one: one.reserve)
            self._endpoints = [(_family(one.host), (one.host, one.port)) for one in found]
            self._why = answer.why or "it has no address"
            self._until = monotonic() + (_FRESH if found else _AGAIN)
        finally:
            self._searching = None


def _family(host: str) -> int:
    return socket.AF_INET if ipaddress.ip_address(host).version == 4 else socket.AF_INET6


def _literal(address: Address) -> list[Endpoint]:
    if address.path is not None:
        return [(socket.AF_UNIX, address.path)]
    try:
        return [(_family(address.host), (address.host, address.port))]
    except ValueError:
        return []


def _failed(error: Exception) -> ProxyError:
    number = error.errno if isinstance(error, OSError) else None
    if number in _OUT:
        return ProxyError(NO_RESOURCES, "out of file descriptors or memory for sockets")
    if number == errno.ETIMEDOUT:
        return ProxyError(CONNECT_TIMEOUT, "no answer")
    return ProxyError(CONNECT_REFUSED, errno.errorcode.get(number, str(error)) if number else str(error))
