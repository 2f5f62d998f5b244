"""Connections that those who serve lend to those who are on trial, so that these hear something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from l7.ipc.messages import Rebalance
from l7.master.children.table import ChildTable
from l7.master.supervision.state import WorkerRecord
from l7.sharedmem.scoreboard import CONNECTIONS, Scoreboard


def portions(held: Mapping[int, int], borrowers: int = 1, theirs: int = 0, *, trial: bool = True) -> dict[int, int]:
    """What each of the workers that hold connections gives, so that every one of all of them holds the same.

    On trial the borrowers' part is rounded up: where there is a connection at all they get one, or they would hear
    nothing. Else it is rounded down: nothing is gained by moving the last one.

    :param held: connections by slot.
    :param borrowers: how many workers are on trial.
    :param theirs: connections that these have already.
    """
    total = sum(held.values())
    part, rest = divmod((total + theirs) * borrowers, len(held) + borrowers)
    wanted = part + bool(rest and trial) - theirs
    given: dict[int, int] = {}
    left = total
    # Each gives in proportion to what it holds; what rounding leaves over falls to the next one. On trial each gives
    # one at least: the only connection that anybody asks on may be the only one that its worker holds.
    for slot, count in sorted(held.items(), key=lambda item: item[1]):
        least = 1 if trial and count else 0
        part = max(wanted * count // left, least) if left and wanted > 0 else 0
        wanted, left = wanted - part, left - count
        if part:
            given[slot] = part
    return given


def lend(
    scoreboard: Scoreboard,
    children: ChildTable,
    lenders: Iterable[WorkerRecord],
    borrower: int | None,
    workers: int = 1,
    *,
    trial: bool = True,
) -> None:
    """Tell workers that serve to lend connections: to one of them, by its slot, or to so many of another l7."""
    held = {one.slot: scoreboard.slot(one.slot)[CONNECTIONS] for one in lenders if one.ready}
    theirs = 0 if borrower is None else held.pop(borrower, 0)
    for slot, count in portions(held, workers, theirs, trial=trial).items():
        children.tell(slot, Rebalance(count))
