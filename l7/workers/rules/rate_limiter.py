"""What a worker has for rate limits: the table, its figures, and a word about clients that may be proxies."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable

from l7.networks import UNIX
from l7.rules.context import RuleContext
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.layout import RATE_OVERFLOWED, place
from l7.sharedmem.master_gauges import RATE_TOLD_AT
from l7.sharedmem.memory import OF_MASTER, UNROUTED
from l7.sharedmem.rate_limits import RateLimitTable
from l7.telemetry.events import named

TELL_EVERY = 3600 * 1_000_000_000
"""Nanoseconds between two events."""


class RateLimiter:
    """The table, and this worker's part of the figures.

    :param report: writes an event.
    """

    def __init__(self, table: RateLimitTable, writer: CounterWriter, report: Callable[[str], None]) -> None:
        self.table = table
        self._writer = writer
        self._report = report

    def overflowed(self, context: RuleContext) -> None:
        """Count a request for whose client there was no room."""
        self._writer.add(place(context.exchange.row or UNROUTED, RATE_OVERFLOWED), 1)

    def refused(self, route: str, context: RuleContext) -> None:
        """Report a refused client that may be a proxy which nobody has named: all behind it are one client then."""
        client = context.exchange.client
        if context.believed is not None or context.hop.told_port or not _may_be_a_proxy(client):
            return
        now, told = time.monotonic_ns(), place(OF_MASTER, RATE_TOLD_AT)
        last = self._writer.read(self._writer.latest(told), told)
        if last and now - last <= TELL_EVERY:
            return
        self._writer.put(told, now)
        who = "a client on a unix socket" if client == UNIX else f"{client}, a private address"
        words = f"{route}: rate-limit has refused {who}: if that is a proxy, name it in trusted-proxies, else all its "
        self._report(named("rate-limit.proxy", f"{words}clients share one limit", route=route, client=client))


def _may_be_a_proxy(client: str) -> bool:
    """Whether an address is not one of the Internet."""
    return client == UNIX or ipaddress.ip_address(client).is_private
