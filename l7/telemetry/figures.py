"""The figures of ``/metrics``: which there are, and how they are read from the ledger and the board.

`FIGURES` is the whole list; the reference in the documentation is made of it. Labels have no values but those that the
configuration or this module names, so no client can make a series. Nothing here is written, and nobody is asked.
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
from l7.config.addresses import Address
from l7.config.schema import Config
from l7.telemetry import board as slots
from l7.telemetry import facts
from l7.telemetry.board import Board
from l7.telemetry.facts import Facts
from l7.telemetry.former import COUNTED, Former
from l7.telemetry.ledger import MASTER, OF_MASTER, UNROUTED, Ledger

UNROUTED_HOST = "-"
"""The ``host`` of requests that no backend is for: one for all, whatever clients ask for."""


class Figure(NamedTuple):
    """One family of series. ``kind`` is ``counter``, ``gauge`` or ``histogram``, ``help`` what it says."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


class Sample(NamedTuple):
    """One series: ``suffix`` is what its name has beyond that of its family, ``labels`` are as they are written."""

    suffix: str
    labels: str
    value: float


class Family(NamedTuple):
    """A figure and its series now."""

    figure: Figure
    samples: Iterator[Sample]


_HOST, _SERVER = ("host",), ("host", "server")

REQUESTS = Figure(
    "l7_requests_total",
    "counter",
    ("host", "code"),
    "Requests by the class of their status; `none`: the client left without an answer.",
)
DURATION = Figure(
    "l7_request_duration_seconds", "histogram", _HOST, "From the head of a request to the end of its answer."
)
RETRIES = Figure("l7_retries_total", "counter", _HOST, "Tries beyond the first one of each request.")
ERRORS = Figure(
    "l7_upstream_errors_total",
    "counter",
    ("host", "server", "reason"),
    "Failures of a server: `connect`, `timeout`, `response` (lost or invalid), `5xx` (answered so).",
)
UP = Figure("l7_server_up", "gauge", _SERVER, "1 while new requests may go to the server.")
OUT = Figure(
    "l7_server_out",
    "gauge",
    ("host", "server", "reason"),
    "1 while the server is out for this reason: `check`, `ejected`, `drain` or `maint`.",
)
HEALTH_CHANGES = Figure(
    "l7_server_health_changes_total",
    "counter",
    ("host", "server", "to"),
    "How often active checks have called the server `up` and `down`.",
)
ADDRESSES = Figure(
    "l7_server_addresses",
    "gauge",
    _SERVER,
    "Addresses that the server's name stands for now, 0 before its first answer; 1 for an address.",
)

BUSY = Figure("l7_requests_in_flight", "gauge", _HOST, "Requests that servers have now.")

BACKEND: Final = (
    (Figure("l7_requests_queued", "gauge", _HOST, "Requests that wait for a server now."), cells.QUEUED),
    (
        Figure(
            "l7_queue_overflows_total",
            "counter",
            _HOST,
            "Requests that found the queue full or waited in it for too long.",
        ),
        cells.OVERFLOWED,
    ),
    (
        Figure("l7_requests_retrying", "gauge", _HOST, "Requests that wait now for a server that takes connections."),
        cells.RETRYING,
    ),
    (
        Figure(
            "l7_retry_waits_total", "counter", _HOST, "Requests that had to wait for a server that takes connections."
        ),
        cells.RETRY_WAITS,
    ),
    (
        Figure(
            "l7_requests_cut_total",
            "counter",
            _HOST,
            "Requests that l7 ended itself: `graceful-timeout` or `drain-timeout` was over, or it was stopped at once.",
        ),
        cells.CUT,
    ),
    (RETRIES, cells.RETRIED),
    (
        Figure("l7_retries_denied_total", "counter", _HOST, "Requests that the retry budget allowed no other try."),
        cells.NOT_RETRIED,
    ),
    (Figure("l7_request_body_bytes_total", "counter", _HOST, "Bytes of request bodies."), cells.RECEIVED),
    (Figure("l7_response_body_bytes_total", "counter", _HOST, "Bytes of response bodies."), cells.SENT),
)
"""What is one cell of a backend's row."""

SERVER: Final = (
    (
        Figure("l7_server_requests_total", "counter", _SERVER, "Requests that the server was given, each try counted."),
        cells.REQUESTS,
    ),
    (Figure("l7_server_connects_total", "counter", _SERVER, "Connections opened to the server."), cells.CONNECTS),
    (
        Figure(
            "l7_server_retries_total", "counter", _SERVER, "Requests that were tried again after the server had failed."
        ),
        cells.RETRIES,
    ),
    (
        Figure("l7_ejections_total", "counter", _SERVER, "How often the server was left alone because it failed."),
        cells.EJECTIONS,
    ),
)
"""What is one cell of a server's row, and only ever grows."""

IN_FLIGHT = Figure("l7_server_in_flight", "gauge", _SERVER, "Requests that the server has now.")

REASONS: Final = {
    "connect": cells.FAILED_CONNECT,
    "timeout": cells.FAILED_TIMEOUT,
    "response": cells.FAILED_RESPONSE,
    "5xx": cells.ANSWERED_5XX,
}
CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
TELLING: Final = (cells.HEALTH, cells.EJECTED_UNTIL, cells.ADMIN)
"""Without any of these a server is up."""
OUT_OF: Final = {
    Standing.DOWN: "check", Standing.EJECTED: "ejected", Standing.DRAIN: "drain", Standing.MAINT: "maint",
}  # fmt: skip

OPEN = Figure("l7_open_connections", "gauge", (), "Connections of clients that are open now.")
PLACES = Figure(
    "l7_connections_limit",
    "gauge",
    (),
    "Connections that clients may have: `limits.connections`, or what descriptors allow.",
)
OF_CLIENTS: Final = (
    (
        Figure(
            "l7_idle_connections_closed_total",
            "counter",
            (),
            "Idle connections of clients that were closed because others needed their places.",
        ),
        facts.IDLE_CLOSED,
    ),
    (
        Figure(
            "l7_connections_waited_total",
            "counter",
            (),
            "Connections of clients that had to wait for a place, because nobody was idle.",
        ),
        facts.WAITED,
    ),
)
"""What workers count of clients' connections."""
WORKERS = Figure(
    "l7_workers", "gauge", ("state",), f"Worker processes by state: {', '.join(f'`{one}`' for one in facts.STATES)}."
)
BUILD = Figure("l7_build_info", "gauge", ("version",), "1, and which l7 this is.")
RELOADS = Figure("l7_reloads_total", "counter", ("result",), "Reloads that were `done` and that `failed`.")
SUCCESS = Figure("l7_config_last_reload_success", "gauge", (), "0 when the last reload has failed, else 1.")

PLAIN: Final = (
    (Figure("l7_workers_wanted", "gauge", (), "How many workers there are to be."), facts.WANTED, 1.0),
    (
        Figure("l7_worker_starts_total", "counter", (), "Workers that were started: after reloads, and after deaths."),
        facts.WORKER_STARTS,
        1.0,
    ),
    (
        Figure("l7_config_generation", "gauge", (), "The number of the configuration that is served."),
        facts.GENERATION,
        1.0,
    ),
    (
        Figure(
            "l7_config_last_reload_timestamp_seconds", "gauge", (), "When the last reload ended, or l7 was started."
        ),
        facts.LAST_RELOAD_AT,
        1e-3,
    ),
    (Figure("l7_start_time_seconds", "gauge", (), "When l7 was started."), facts.STARTED, 1e-3),
)
"""What is one of the master's facts."""

FIGURES: Final = (
    REQUESTS, DURATION, BUSY, *(one for one, _ in BACKEND),
    UP, OUT, IN_FLIGHT, *(one for one, _ in SERVER), ERRORS, HEALTH_CHANGES, ADDRESSES,
    OPEN, PLACES, *(one for one, _ in OF_CLIENTS), WORKERS, RELOADS, SUCCESS, *(one for one, _, _ in PLAIN), BUILD,
)  # fmt: skip

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
        yield Family(BUILD, iter([Sample("", _label("version", __version__), 1)]))

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
