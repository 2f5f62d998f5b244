"""The pools of one backend's members, with the TLS that their servers speak, and what is said of TLS that fails."""

from __future__ import annotations

from functools import partial

from l7.clock import monotonic
from l7.config.schema import Backend
from l7.config.values.addresses import Address
from l7.errors import TLS_FAILED, TLS_REFUSED, TLS_TIMEOUT, ProxyError
from l7.telemetry.events import named
from l7.tls.servers.failure_numbers import is_of_name
from l7.tls.servers.names import is_by_host, name_without_request, server_name
from l7.workers.transport.stream import DeadlineSweeper
from l7.workers.transport.tls_client import TlsClient
from l7.workers.upstream.context import BackendContext
from l7.workers.upstream.pool import ConnectionPool
from l7.workers.upstream.pooling.host_pools import HostPools

TLS_KINDS = frozenset((TLS_FAILED, TLS_REFUSED, TLS_TIMEOUT))
"""The failures of TLS with a server."""
SILENT_FOR = 60.0
"""Seconds between two warnings of one worker about the TLS of one server."""


class MemberPools:
    """Makes the pools of one backend."""

    __slots__ = ("_backend", "_context", "_route", "_sweeper", "_warned", "by_host")

    def __init__(self, route: str, backend: Backend, sweeper: DeadlineSweeper, context: BackendContext) -> None:
        self._route = route
        self._backend = backend
        self._sweeper = sweeper
        self._context = context
        self._warned: dict[str, float] = {}
        self.by_host = is_by_host(backend)
        """Whether connections are kept apart by the host of requests."""

    def make(self, server: Address, address: Address) -> ConnectionPool | HostPools:
        """The pool of a member at ``address``, which is ``server`` or what that name was resolved to."""
        if not server.tls:
            return self._pool(address, None)
        if self.by_host:
            return HostPools(partial(self._pool, address), name_without_request(self._route, self._backend, server))
        return self._pool(address, server_name(self._backend, server))

    def _pool(self, address: Address, name: str | None) -> ConnectionPool:
        """A pool of connections; ``name`` is that of the server where TLS is spoken with it."""
        timeouts = self._backend.timeouts
        tls = None if name is None else TlsClient(self._context.tls[self._route], name.strip("[]"))
        kept = timeouts.pool or timeouts.idle
        return ConnectionPool(address, kept, self._sweeper, self._context.look_up, tls)

    def blames_server(self, label: str, failure: ProxyError) -> bool:
        """Warn of TLS that failed with a server; returns whether it is the server's fault.

        It is not where its certificate is not for a host that a client has made up.
        """
        now = monotonic()
        if now - self._warned.get(label, -SILENT_FOR) >= SILENT_FOR:
            self._warned[label] = now
            words = f"{self._route}: server {label}: {failure.reason}"
            self._context.report(named("server.tls", words, backend=self._route, server=label))
        return not (self.by_host and failure.kind is TLS_FAILED and is_of_name(failure.errno))
