"""The metrics of ``/metrics`` (`l7.telemetry.catalogue`), read from the shared memory and the scoreboard alone."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from l7 import __version__
from l7.balancing.dns_records import ResolvedEndpoint
from l7.balancing.server_state import ServerState, StateRules, evaluate
from l7.balancing.server_state import read_record as standing
from l7.compiled import is_compiled
from l7.config.schema import Backend, Config
from l7.config.sections.rules import INHERITED
from l7.config.values.addresses import Address
from l7.sharedmem import layout, master_gauges
from l7.sharedmem import scoreboard as slots
from l7.sharedmem.counters import CounterWriter
from l7.sharedmem.master_gauges import MasterGauges
from l7.sharedmem.memory import OF_MASTER, UNROUTED
from l7.sharedmem.scoreboard import Scoreboard
from l7.telemetry.catalogue import (
    ADDRESSES,
    BACKEND,
    BUFFERED,
    BUILD,
    BUSY,
    CLASSES,
    DURATION,
    ERRORS,
    FIRST_BYTE,
    HEALTH_CHANGES,
    IN_FLIGHT,
    NOT_AFTER,
    OF_CLIENTS,
    OPEN,
    OUT,
    PLACES,
    PLAIN,
    PROXY_REFUSED,
    REASONS,
    REFUSALS,
    RELOADS,
    REQUESTS,
    SERVER,
    SPAN_RESULTS,
    SPANS,
    SUCCESS,
    TLS_FAILURES,
    TLS_HANDSHAKES,
    UP,
    WORKERS,
    MetricFamily,
)
from l7.tls.certificates import CertificateInfo
from l7.tls.counters import VERSIONS, done_place, failed_place
from l7.tls.failures import ALL_LABELS

UNROUTED_HOST = "-"
"""The label ``host`` of requests without a backend: one for all, whatever clients ask for."""


class MetricSample(NamedTuple):
    """One series: ``suffix`` is added to the family's name, ``labels`` are as they are written."""

    suffix: str
    labels: str
    value: float


class FamilySamples(NamedTuple):
    """A metric family and its series now."""

    figure: MetricFamily
    samples: Iterator[MetricSample]


TELLING: Final = (layout.HEALTH, layout.EJECTED_UNTIL, layout.ADMIN)
"""A server for which all of these cells are zero is up."""
OUT_OF: Final = {
    ServerState.DOWN: "check", ServerState.EJECTED: "ejected", ServerState.DRAIN: "drain", ServerState.MAINT: "maint",
}  # fmt: skip

ROWS = 100
"""Rows that are read at a time."""

_ZEROS = (0,) * layout.ROW

T = TypeVar("T")


class Metrics:
    """Reads all metrics.

    :param rows: the shared memory's rows by key; also those of addresses that a name no longer has, so that no sum
    shrinks.
    :param resolved: the addresses that the names of servers resolve to now.
    :param written: finds the rows that hold more than zeros.
    """

    def __init__(
        self, writer: CounterWriter, scoreboard: Scoreboard, config: Config, rows: Mapping[layout.RowKey, int],
        resolved: Mapping[tuple[str, str], Sequence[ResolvedEndpoint]], written: Callable[[], Container[int]],
    ) -> None:  # fmt: skip
        self._find_written, self._written = written, written()
        self._writer, self._scoreboard, self._config, self._rows = writer, scoreboard, config, rows
        self._resolved = resolved
        self.certificates: Sequence[CertificateInfo] = ()
        """What is shown to clients."""
        self._gauges = MasterGauges(writer)
        self._general_rules = _rules_in(config)
        own = {_label("host", route): _rules_in(backend) for route, backend in config.backends.items()}
        self._rules = {host: self._general_rules | rules for host, rules in own.items() if rules}

    def families(self, pause: Callable[[], None]) -> Iterator[FamilySamples]:
        """Every metric family with its series; ``pause`` is called every few milliseconds."""
        self._written = self._find_written()
        backends = _at_ease(self._backends(), pause)
        servers = _at_ease(self._servers(), pause)
        yield FamilySamples(REQUESTS, (
            MetricSample("", f'{host},code="{code}"', row[layout.STATUS + place])
            for host, row in backends for place, code in enumerate(CLASSES)
        ))  # fmt: skip
        yield FamilySamples(DURATION, (
            sample for host, row in backends
            for sample in _histogram(host, row, layout.DURATION, layout.DURATION_SUM)
        ))  # fmt: skip
        yield FamilySamples(BUSY, (MetricSample("", host, count) for host, count in _busy(backends, servers).items()))
        for figure, cell in BACKEND:
            yield FamilySamples(figure, _each(backends, cell))
        yield FamilySamples(REFUSALS, self._refusals(backends))
        yield from self._of_servers(servers)
        yield FamilySamples(OPEN, iter([MetricSample("", "", sum(self._scoreboard.column(slots.CONNECTIONS)))]))
        yield FamilySamples(PLACES, iter([MetricSample("", "", sum(self._scoreboard.column(slots.PLACES)))]))
        yield FamilySamples(BUFFERED, iter([MetricSample("", "", sum(self._scoreboard.column(slots.BUFFERED)))]))
        for figure, cell in OF_CLIENTS:
            yield FamilySamples(figure, iter([MetricSample("", "", self._gauge(cell))]))
        yield from self._of_tls()
        yield FamilySamples(PROXY_REFUSED, (
            MetricSample("", f'reason="{reason}"', self._gauge(master_gauges.PROXY_REFUSED + number))
            for number, reason in enumerate(master_gauges.PROXY_REFUSALS)
        ))  # fmt: skip
        yield FamilySamples(SPANS, (
            MetricSample("", f'result="{result}"', self._gauge(cell))
            for result, cell in SPAN_RESULTS.items() if self._config.tracing is not None
        ))  # fmt: skip
        yield from self._of_master()

    def _refusals(self, backends: Sequence[tuple[str, list[int]]]) -> Iterator[MetricSample]:
        """Those of rules that the configuration has, and those that are not zero."""
        for host, row in backends:
            rules = self._rules.get(host, self._general_rules)
            for number, rule in enumerate(layout.RULES):
                count = row[layout.REFUSED + number]
                if count or rule in rules:
                    yield MetricSample("", f'{host},rule="{rule}"', count)

    def _of_tls(self) -> Iterator[FamilySamples]:
        """Of TLS, where l7 speaks it."""
        speaks = bool(self.certificates)
        yield FamilySamples(TLS_HANDSHAKES, (
            MetricSample(
                "", f'version="{version}",resumed="{str(resumed).lower()}"',
                self._writer.total(done_place(version, resumed=resumed)),
            )
            for version in VERSIONS for resumed in (False, True) if speaks
        ))  # fmt: skip
        yield FamilySamples(TLS_FAILURES, (
            MetricSample("", f'reason="{label}"', self._writer.total(failed_place(label)))
            for label in ALL_LABELS if speaks
        ))  # fmt: skip
        yield FamilySamples(NOT_AFTER, (
            MetricSample("", _label("names", names), moment) for names, moment in _ends(self.certificates).items()
        ))  # fmt: skip

    def _of_servers(self, servers: Sequence[_ServerSeries]) -> Iterator[FamilySamples]:
        yield FamilySamples(UP, (MetricSample("", one.labels, int(not one.out)) for one in servers))
        yield FamilySamples(OUT, (
            MetricSample("", f'{one.labels},reason="{reason}"', int(reason in one.out))
            for one in servers for reason in OUT_OF.values()
        ))  # fmt: skip
        yield FamilySamples(IN_FLIGHT, (MetricSample("", one.labels, one.sums[layout.IN_FLIGHT]) for one in servers))
        for figure, cell in SERVER:
            yield FamilySamples(figure, _counted(servers, cell))
        yield FamilySamples(FIRST_BYTE, (
            sample for one in servers
            for sample in _histogram(one.labels, one.sums, layout.FIRST_BYTE, layout.FIRST_BYTE_SUM)
        ))  # fmt: skip
        yield FamilySamples(ERRORS, (
            MetricSample("", f'{one.labels},reason="{reason}"', one.sums[cell])
            for one in servers for reason, cell in REASONS.items()
        ))  # fmt: skip
        yield FamilySamples(HEALTH_CHANGES, (
            MetricSample("", f'{one.labels},to="{to}"', one.sums[cell])
            for one in servers for to, cell in (("up", layout.RISES), ("down", layout.FALLS))
        ))  # fmt: skip
        yield FamilySamples(ADDRESSES, (MetricSample("", one.labels, one.addresses) for one in servers))

    def _of_master(self) -> Iterator[FamilySamples]:
        known = self._gauges
        yield FamilySamples(
            WORKERS, (MetricSample("", f'state="{state}"', count) for state, count in known.workers().items())
        )
        results = (("done", master_gauges.RELOADS_DONE), ("failed", master_gauges.RELOADS_FAILED))
        yield FamilySamples(
            RELOADS, (MetricSample("", f'result="{result}"', self._gauge(cell)) for result, cell in results)
        )
        yield FamilySamples(SUCCESS, iter([MetricSample("", "", 1 - known[master_gauges.LAST_RELOAD_FAILED])]))
        for figure, cell, unit in PLAIN:
            yield FamilySamples(figure, iter([MetricSample("", "", self._gauge(cell) * unit)]))
        build = f"{_label('version', __version__)},{_label('compiled', str(is_compiled()).lower())}"
        yield FamilySamples(BUILD, iter([MetricSample("", build, 1)]))

    # --- reading ----------------------------------------------------------------------------------------------------

    def _sums(self, row: int) -> list[int]:
        """A row, summed over all lanes."""
        if row not in self._written:
            return list(_ZEROS)
        return self._writer.row(layout.place(row))

    def _gauge(self, cell: int) -> int:
        return self._writer.total(layout.place(OF_MASTER, cell))

    def _backends(self) -> Iterator[tuple[str, list[int]]]:
        for route in self._config.backends:
            if (route,) in self._rows:
                yield _label("host", route), self._sums(self._rows[route,])
        yield _label("host", UNROUTED_HOST), self._sums(UNROUTED)

    def _servers(self) -> Iterator[_ServerSeries]:
        now = time.monotonic_ns()
        addresses: dict[layout.RowKey, list[int]] = {}
        for key, row in list(self._rows.items()):
            if len(key) == 3:
                addresses.setdefault(key[:2], []).append(row)
        for route, backend in self._config.backends.items():
            for address in dict.fromkeys(server.address for server in backend.servers):
                key = (route, str(address))
                if key in self._rows:
                    yield self._server(key, address, addresses.get(key, []), StateRules.of(backend), now)

    def _server(
        self, key: tuple[str, str], address: Address, others: list[int], rules: StateRules, now: int
    ) -> _ServerSeries:
        """The counters summed over all addresses that a server has had, and the states of those that it has now."""
        own = self._rows[key]
        found = self._resolved.get(key, ())
        present = {one.row for one in found} or {own}
        sums = [0] * layout.ROW
        for row in {own, *others, *present}:
            sums = list(map(operator.add, sums, self._sums(row)))
        outs: list[str | None]
        if rules.starts_up and not any(sums[cell] for cell in TELLING):
            outs = [None]  # never checked, ejected or overridden: it is up
        else:
            verdicts = (evaluate(standing(self._writer, row, own), 1, rules, now) for row in present)
            outs = [OUT_OF.get(verdict.state) for verdict in verdicts]
        # A server with several addresses is out when all of them are.
        out = {reason for reason in outs if reason} if all(outs) else set()
        host = _label("host", key[0])
        labels = f"{host},{_label('server', key[1])}"
        return _ServerSeries(host, labels, sums, out, len(found) if address.named else 1)


def _rules_in(section: Config | Backend) -> set[str]:
    """The rules that stand in a part of the configuration and refuse requests."""
    body = section.limits.body
    found = {
        "deny": section.deny,
        "allow": section.allow,
        "rate-limit": section.rate_limit if isinstance(section, Backend) else None,
        "users": section.users,
        "limits.body": body is not None and body != INHERITED,
    }
    return {rule for rule, value in found.items() if value}


class _ServerSeries(NamedTuple):
    """One server of the configuration."""

    host: str
    labels: str
    sums: list[int]
    out: set[str]
    addresses: int


def _label(name: str, value: str) -> str:
    """A label as it is written, its value escaped."""
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'


def _ends(certificates: Sequence[CertificateInfo]) -> dict[str, float]:
    """When certificates end, by their names; of several with the same names the first that does."""
    found: dict[str, float] = {}
    for one in certificates:
        names = ",".join(one.names)
        found[names] = min(one.not_after, found.get(names, one.not_after))
    return found


def _at_ease(found: Iterator[T], pause: Callable[[], None]) -> list[T]:
    """The list of all items, calling ``pause`` in between."""
    taken = []
    for one in found:
        taken.append(one)
        if len(taken) % ROWS == 0:
            pause()
    return taken


def _each(backends: Sequence[tuple[str, list[int]]], cell: int) -> Iterator[MetricSample]:
    return (MetricSample("", host, row[cell]) for host, row in backends)


def _busy(backends: Sequence[tuple[str, list[int]]], servers: Sequence[_ServerSeries]) -> dict[str, int]:
    """Requests in flight of each backend, summed over its servers: its own cell counts them only under a limit."""
    found = dict.fromkeys((host for host, _ in backends), 0)
    for one in servers:
        if one.host in found:
            found[one.host] += one.sums[layout.IN_FLIGHT]
    return found


def _counted(servers: Sequence[_ServerSeries], cell: int) -> Iterator[MetricSample]:
    return (MetricSample("", one.labels, one.sums[cell]) for one in servers)


def _histogram(labels: str, row: Sequence[int], first: int, total: int) -> Iterator[MetricSample]:
    """The series of a histogram: ``first`` is the cell of its first bucket, ``total`` that of its sum."""
    count = 0
    for place, bound in enumerate([*map(str, layout.BOUNDS), "+Inf"]):
        count += row[first + place]
        yield MetricSample("_bucket", f'{labels},le="{bound}"', count)
    yield MetricSample("_sum", labels, row[total] / 1e6)
    yield MetricSample("_count", labels, count)
