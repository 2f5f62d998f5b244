"""Pools of one server apart by host: where TLS asks for the host of each request, no connection is for another one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from l7.workers.upstream.connector import Connector
from l7.workers.upstream.pool import ConnectionPool

MOST_HOSTS = 256
"""The most hosts of which connections to one server are kept by one worker; the one used longest ago makes place."""


class HostPools:
    """The pools of one server by host, made by ``make`` when they are first asked for.

    :param usual: the host by which the server is asked where there is no request.
    """

    __slots__ = ("_make", "_pools", "_usual")

    def __init__(self, make: Callable[[str], ConnectionPool], usual: str) -> None:
        self._make = make
        self._usual = usual
        self._pools: OrderedDict[str, ConnectionPool] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pools)

    def of(self, host: str) -> ConnectionPool:
        """The pool for requests of a host."""
        pool = self._pools.get(host)
        if pool is not None:
            self._pools.move_to_end(host)
            return pool
        if len(self._pools) >= MOST_HOSTS:
            self._pools.popitem(last=False)[1].retire()
        pool = self._pools[host] = self._make(host)
        return pool

    @property
    def connector(self) -> Connector:
        """What connects where there is no request."""
        return self.of(self._usual).connector

    def idle_since(self) -> float:
        """As `ConnectionPool.idle_since`, over all of them."""
        return min((pool.idle_since() for pool in self._pools.values()), default=float("inf"))

    def close_oldest(self) -> None:
        """Close the longest idle connection of all, because its descriptor is needed."""
        min(self._pools.values(), key=lambda pool: pool.idle_since()).close_oldest()

    def retire(self) -> None:
        """Close idle connections, and from now on each one that is checked in."""
        for pool in self._pools.values():
            pool.retire()

    def close(self) -> None:
        """Close all idle connections."""
        for pool in self._pools.values():
            pool.close()
