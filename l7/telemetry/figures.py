"""The figures of ``/metrics`` (`l7.telemetry.catalogue`) as they are read from the ledger and the board.

Nothing here is written, and nobody is asked.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from l7 import __version__
from l7.balancing import cells
from l7.balancing.lane import Lane
from l7.balancing.names import Endpoint
from l7.balancing.standing import Rules, Standing, judge
from l7.balancing.standing import facts as standing
from l7.compiled import is_compiled
from l7.config.addresses import Address
from l7.config.schema import Config
from l7.telemetry import board as slots
from l7.telemetry import facts
from l7.telemetry.board import Board
from l7.telemetry.catalogue import (
    ADDRESSES,
    BACKEND,
    BUILD,
    BUSY,
    CLASSES,
    DURATION,
    ERRORS,
    HEALTH_CHANGES,
    IN_FLIGHT,
    OF_CLIENTS,
    OPEN,
    OUT,
    PLACES,
    PLAIN,
    REASONS,
    RELOADS,
    REQUESTS,
    SERVER,
    SUCCESS,
    UP,
    WORKERS,
    Figure,
)
from l7.telemetry.facts import Facts
from l7.telemetry.former import COUNTED, Former
from l7.telemetry.ledger import MASTER, OF_MASTER, UNROUTED, Ledger

UNROUTED_HOST = "-"
"""The ``host`` of requests that no backend is for: one for all, whatever clients ask for."""


class Sample(NamedTuple):
    """One series: ``suffix`` is what its name has beyond that of its family, ``labels`` are as they are written."""

    suffix: str
    labels: str
    value: float


class Family(NamedTuple):
    """A figure and its series now."""

    figure: Figure
    samples: Iterator[Sample]


TELLING: Final = (cells.HEALTH, cells.EJECTED_UNTIL, cells.ADMIN)
"""Without any of these a server is up."""
OUT_OF: Final = {
    Standing.DOWN: "check", Standing.EJECTED: "ejected", Standing.DRAIN: "drain", Standing.MAINT: "maint",
}  # fmt: skip

ROWS = 100
"""Rows that are read at a time."""

T = TypeVar("T")
Key = tuple[str, ...]


class Figures:
    """Reads them all.

    :param rows: the ledger's rows by key; those of addresses that a name no longer has, too, so that no sum shrinks.
    :param resolved: what the names of servers stand for now.
    :param formers: what those before this l7 have counted.
    """

    def __init__(
        self, ledger: Ledger, board: Board, config: Config, rows: Mapping[Key, int],
        resolved: Mapping[tuple[str, str], Sequence[Endpoint]], formers: Sequence[Former] = (),
    ) -> None:  # fmt: skip
        self._formers = formers
        self._ledger, self._board, self._config, self._rows, self._resolved = ledger, board, config, rows, resolved
        self._facts = Facts(ledger)
        self._lane = Lane(ledger.cells, ledger.rows * cells.ROW, MASTER)

    def families(self, pause: Callable[[], None]) -> Iterator[Family]:
        """Every figure with its series, as they are now; ``pause`` is called every few milliseconds."""
        backends = _at_ease(self._backends(), pause)
        servers = _at_ease(self._servers(), pause)
        yield Family(REQUESTS, (
            Sample("", f'{host},code="{code}"', row[cells.STATUS + place])
            for host, row in backends for place, code in enumerate(CLASSES)
        ))  # fmt: skip
        yield Family(DURATION, (sample for host, row in backends for sample in _histogram(host, row)))
        yield Family(BUSY, (Sample("", host, count) for host, count in _busy(backends, servers).items()))
        for figure, cell in BACKEND:
            yield Family(figure, _each(backends, cell))
        yield from self._of_servers(servers)
        yield Family(OPEN, iter([Sample("", "", sum(self._board.column(slots.CONNECTIONS)))]))
        yield Family(PLACES, iter([Sample("", "", sum(self._board.column(slots.PLACES)))]))
        for figure, cell in OF_CLIENTS:
            yield Family(figure, iter([Sample("", "", self._fact(cell))]))
        yield from self._of_master()

    def _of_servers(self, servers: Sequence[_Server]) -> Iterator[Family]:
        yield Family(UP, (Sample("", one.labels, int(not one.out)) for one in servers))
        yield Family(OUT, (
            Sample("", f'{one.labels},reason="{reason}"', int(reason in one.out))
            for one in servers for reason in OUT_OF.values()
        ))  # fmt: skip
        yield Family(IN_FLIGHT, (Sample("", one.labels, one.sums[cells.IN_FLIGHT]) for one in servers))
        for figure, cell in SERVER:
            yield Family(figure, _counted(servers, cell))
        yield Family(ERRORS, (
            Sample("", f'{one.labels},reason="{reason}"', one.sums[cell])
            for one in servers for reason, cell in REASONS.items()
        ))  # fmt: skip
        yield Family(HEALTH_CHANGES, (
            Sample("", f'{one.labels},to="{to}"', one.sums[cell])
            for one in servers for to, cell in (("up", cells.RISES), ("down", cells.FALLS))
        ))  # fmt: skip
        yield Family(ADDRESSES, (Sample("", one.labels, one.addresses) for one in servers))

    def _of_master(self) -> Iterator[Family]:
        known = self._facts
        yield Family(WORKERS, (Sample("", f'state="{state}"', count) for state, count in known.workers().items()))
        results = (("done", facts.RELOADS_DONE), ("failed", facts.RELOADS_FAILED))
        yield Family(RELOADS, (Sample("", f'result="{result}"', self._fact(cell)) for result, cell in results))
        yield Family(SUCCESS, iter([Sample("", "", 1 - known[facts.LAST_RELOAD_FAILED])]))
        for figure, cell, unit in PLAIN:
            yield Family(figure, iter([Sample("", "", self._fact(cell) * unit)]))
        build = f"{_label('version', __version__)},{_label('compiled', str(is_compiled()).lower())}"
        yield Family(BUILD, iter([Sample("", build, 1)]))

    # --- reading ----------------------------------------------------------------------------------------------------

    def _sums(self, row: int) -> list[int]:
        """A row, summed over all lanes."""
        ledger = self._ledger
        starts = (ledger.base(lane, row) for lane in range(ledger.used))
        lanes = (ledger.cells[at : at + cells.ROW].tolist() for at in starts)
        return list(map(sum, zip(*lanes, strict=True)))

    def _with_formers(self, key: Key, sums: list[int]) -> list[int]:
        for former in self._formers:
            sums = list(map(operator.add, sums, former.sums(key)))
        return sums

    def _fact(self, cell: int) -> int:
        formers = self._formers if cell in COUNTED else ()
        return self._ledger.total(OF_MASTER, cell) + sum(former.fact(cell) for former in formers)

    def _backends(self) -> Iterator[tuple[str, list[int]]]:
        for route in self._config.backends:
            if (route,) in self._rows:
                yield _label("host", route), self._with_formers((route,), self._sums(self._rows[route,]))
        yield _label("host", UNROUTED_HOST), self._with_formers((), self._sums(UNROUTED))

    def _servers(self) -> Iterator[_Server]:
        now = time.monotonic_ns()
        former: dict[Key, list[int]] = {}
        for key, row in list(self._rows.items()):
            if len(key) == 3:
                former.setdefault(key[:2], []).append(row)
        for route, backend in self._config.backends.items():
            for address in dict.fromkeys(server.address for server in backend.servers):
                key = (route, str(address))
                if key in self._rows:
                    yield self._server(key, address, former.get(key, []), Rules.of(backend), now)

    def _server(self, key: tuple[str, str], address: Address, others: list[int], rules: Rules, now: int) -> _Server:
        """Everything counted for all addresses that a server has had, and how those that it has now are."""
        own = self._rows[key]
        found = self._resolved.get(key, ())
        present = {one.row for one in found} or {own}
        sums = [0] * cells.ROW
        for row in {own, *others, *present}:
            sums = list(map(operator.add, sums, self._sums(row)))
        outs: list[str | None]
        if rules.starts_up and not any(sums[cell] for cell in TELLING):
            outs = [None]  # nothing has ever been said against it
        else:
            verdicts = (judge(standing(self._lane, row, own), 1, rules, now) for row in present)
            outs = [OUT_OF.get(verdict.standing) for verdict in verdicts]
        # A server with several addresses is out when all of them are.
        out = {reason for reason in outs if reason} if all(outs) else set()
        host = _label("host", key[0])
        labels = f"{host},{_label('server', key[1])}"
        return _Server(host, labels, self._with_formers(key, sums), out, len(found) if address.named else 1)


class _Server(NamedTuple):
    """One server of the configuration."""

    host: str
    labels: str
    sums: list[int]
    out: set[str]
    addresses: int


def _label(name: str, value: str) -> str:
    """A label as it is written; what configurations may hold besides is escaped."""
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'


def _at_ease(found: Iterator[T], pause: Callable[[], None]) -> list[T]:
    """All of them, with pauses in between."""
    taken = []
    for one in found:
        taken.append(one)
        if len(taken) % ROWS == 0:
            pause()
    return taken


def _each(backends: Sequence[tuple[str, list[int]]], cell: int) -> Iterator[Sample]:
    return (Sample("", host, row[cell]) for host, row in backends)


def _busy(backends: Sequence[tuple[str, list[int]]], servers: Sequence[_Server]) -> dict[str, int]:
    """For each backend what its servers have: backends count that themselves only where they have a limit."""
    found = dict.fromkeys((host for host, _ in backends), 0)
    for one in servers:
        if one.host in found:
            found[one.host] += one.sums[cells.IN_FLIGHT]
    return found


def _counted(servers: Sequence[_Server], cell: int) -> Iterator[Sample]:
    return (Sample("", one.labels, one.sums[cell]) for one in servers)


def _histogram(host: str, row: Sequence[int]) -> Iterator[Sample]:
    count = 0
    for place, bound in enumerate([*map(str, cells.BOUNDS), "+Inf"]):
        count += row[cells.DURATION + place]
        yield Sample("_bucket", f'{host},le="{bound}"', count)
    yield Sample("_sum", host, row[cells.DURATION_SUM] / 1e6)
    yield Sample("_count", host, count)
