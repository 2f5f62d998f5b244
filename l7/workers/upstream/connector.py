"""Connections for requests to one server: its addresses, and the row of the failure table when none takes one."""

from __future__ import annotations

import errno
from collections.abc import Callable

import gevent

from l7.balancing.dns_records import NameAnswer
from l7.clock import monotonic
from l7.config.values.addresses import Address
from l7.errors import CONNECT_REFUSED, CONNECT_TIMEOUT, NO_RESOURCES, TLS_FAILED, TLS_TIMEOUT, ProxyError
from l7.oserrors import UNRESOLVED, describe, describe_connect
from l7.tls.servers.failure_numbers import LATE
from l7.tls.servers.failures import ServerTlsFailure
from l7.workers.transport.dial import (
    BacklogFull,
    Endpoint,
    HandshakeTimeout,
    OutOfResources,
    dial,
    endpoint,
    endpoint_of,
)
from l7.workers.transport.stream import DeadlineSweeper, Stream, StreamLost, StreamTimeout
from l7.workers.transport.tls_client import TlsClient

_FRESH = 5.0
"""Seconds for which a name's addresses are used again."""
_AGAIN = 1.0
"""Seconds after which a name that could not be looked up is tried again."""

LookUp = Callable[[Address], NameAnswer]
"""Resolves a name; never raises."""


def nobody(_address: Address) -> NameAnswer:
    """Resolve nothing: for callers with literal addresses only."""
    return NameAnswer((), why="there is no resolver")


class Connector:
    """Opens connections to one server; with ``tls`` they are ready for a request when the handshake is complete.

    A name is resolved here only until the monitor process has reported its addresses: then each of them is a member of
    its own. Requests that come meanwhile share one look-up, and try its addresses in order.
    """

    __slots__ = ("_address", "_endpoints", "_literal", "_look_up", "_searching", "_sweeper", "_tls", "_until", "_why")

    def __init__(
        self, address: Address, sweeper: DeadlineSweeper, look_up: LookUp = nobody, tls: TlsClient | None = None
    ) -> None:
        self._address = address
        self._sweeper = sweeper
        self._tls = tls
        literal = endpoint_of(address)
        self._endpoints: list[Endpoint] = [] if literal is None else [literal]
        self._literal = literal is not None
        self._look_up = look_up
        self._searching: gevent.Greenlet[..., None] | None = None
        self._until = 0.0
        self._why = ""

    def dial(self, seconds: float) -> Stream:
        """A new connection; raises `ProxyError` when none could be made within ``seconds``."""
        until = monotonic() + seconds
        failure: ProxyError | None = None
        for where in self._resolve(seconds):
            try:
                return self._connect(where, max(until - monotonic(), 0.001))
            except ProxyError as error:
                failure = error
                if monotonic() >= until:
                    break
        raise failure or ProxyError(CONNECT_REFUSED, f"{describe(UNRESOLVED)}: {self._why}", UNRESOLVED)

    def _connect(self, where: Endpoint, seconds: float) -> Stream:
        try:
            return dial(where, self._sweeper, seconds, self._tls)
        except OutOfResources as lack:
            raise ProxyError(NO_RESOURCES, str(lack), lack.errno) from None
        except BacklogFull:
            raise ProxyError(CONNECT_TIMEOUT, f"its queue was full for {seconds:.3g} s", errno.EAGAIN) from None
        except HandshakeTimeout:
            raise ProxyError(TLS_TIMEOUT, f"not complete within {seconds:.3g} s", LATE) from None
        except StreamTimeout:
            raise ProxyError(CONNECT_TIMEOUT, f"no answer within {seconds:.3g} s") from None
        except StreamLost as lost:
            raise ProxyError(CONNECT_REFUSED, f"connect: {lost}") from None
        except ServerTlsFailure as failure:
            raise ProxyError(TLS_FAILED, str(failure), failure.number) from None
        except OSError as failure:
            number = failure.errno or 0
            kind = CONNECT_TIMEOUT if number == errno.ETIMEDOUT else CONNECT_REFUSED
            raise ProxyError(kind, describe_connect(number), number) from None

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
        """Resolve the name, for all waiting requests; reserve addresses come last."""
        try:
            answer = self._look_up(self._address)
            found = sorted(answer.found, key=lambda one: one.reserve)
            self._endpoints = [endpoint(one.host, one.port) for one in found]
            self._why = answer.why or "it has no address"
            self._until = monotonic() + (_FRESH if found else _AGAIN)
        finally:
            self._searching = None
