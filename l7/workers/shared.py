"""What a worker's proxy shares with the other processes: its lane of the ledger and what the master knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from l7.balancing.cells import ROW
from l7.balancing.lane import Lane
from l7.balancing.names import Endpoint
from l7.telemetry.ledger import Ledger
from l7.workers.connector import LookUp, nobody


@dataclass(frozen=True)
class Shared:
    """One worker's part of what all have in common.

    ``rows`` has the rows of backends by ``(route,)`` and of servers by ``(route, address)``; ``resolved`` the
    addresses of servers given by name by ``(route, address)``.
    """

    lane: Lane
    rows: Mapping[tuple[str, ...], int]
    resolved: Mapping[tuple[str, str], Sequence[Endpoint]] = field(default_factory=dict)
    cookie_key: bytes = b""
    report: Callable[[str], None] = field(default=lambda text: None)
    """Takes what an operator should know."""
    debug: Callable[[str], None] = field(default=lambda text: None)
    """Takes what only those want to know who look for a fault."""
    look_up: LookUp = nobody
    """Looks up servers given by name, until the control worker has."""


def lane_of(ledger: Ledger, number: int) -> Lane:
    """A process's view of a ledger whose lane ``number`` it writes."""
    return Lane(ledger.cells, ledger.rows * ROW, number)
