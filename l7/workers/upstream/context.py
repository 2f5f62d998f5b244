"""What the backends of a worker need from outside: its lane of the shared memory, addresses, keys, the log."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from l7.balancing.dns_records import ResolvedEndpoint
from l7.rules.answers.error_pages import Pages
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.rate_limits import RateLimitTable
from l7.workers.upstream.connector import LookUp, nobody


@dataclass(frozen=True)
class BackendContext:
    """The environment of a worker's backends.

    ``rows`` has the rows of backends by ``(route,)`` and of servers by ``(route, address)``; ``resolved`` the
    addresses of servers given by name by ``(route, address)``, which `BackendTable.set_members` keeps up to date.
    """

    writer: CounterWriter
    rows: Mapping[tuple[str, ...], int]
    resolved: MutableMapping[tuple[str, str], Sequence[ResolvedEndpoint]] = field(default_factory=dict)
    cookie_key: bytes = b""
    report: Callable[[str], None] = field(default=lambda text: None)
    """Writes an event for operators."""
    debug: Callable[[str], None] = field(default=lambda text: None)
    """Writes an event for debugging."""
    look_up: LookUp = nobody
    """Resolves servers given by name, until the monitor process has."""
    tls: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    """What TLS with servers is spoken by, by the routes of their backends."""
    pages: Pages = field(default_factory=dict)
    """The error pages by the name of their file."""
    rate_limits: RateLimitTable | None = None
    """What clients of all workers have used of rate limits; None: nobody is limited."""
