"""The figures: what is read where, and what must never happen to a counter."""

from __future__ import annotations

import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from l7.balancing.dns_records import ResolvedEndpoint
from l7.config.schema import Config
from l7.sharedmem import layout, master_gauges
from l7.sharedmem import scoreboard as slots
from l7.sharedmem.master_gauges import MasterGauges
from l7.sharedmem.memory import FIRST_WORKER, MASTER, MONITOR, SharedMemory
from l7.sharedmem.scoreboard import Scoreboard
from l7.telemetry.catalogue import FIGURES
from l7.telemetry.exposition import expose
from l7.telemetry.metrics import Metrics
from l7.tls.certificates import CertificateInfo
from l7.tls.counters import HandshakeCounters

SITE, SERVER, NAMED = "site.test", "127.0.0.1:81", "app.test:80"
ODD = 'unix:/run/a"b\\c.sock'
CONFIG = {
    "backends": {SITE: {"servers": [SERVER, NAMED], "health": {}}, "odd.test": {"servers": [ODD]}},
    "tracing": {"otlp": "http://127.0.0.1:4318"},
}
ROWS = {(SITE,): 3, (SITE, SERVER): 4, (SITE, NAMED): 5, ("odd.test", ODD): 6}


class House:
    """A shared memory, a scoreboard, and what is told of them."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.shared_memory = SharedMemory()
        self.shared_memory.open(FIRST_WORKER + 1)
        self.scoreboard = Scoreboard(4)
        self.rows = dict(ROWS)
        self.resolved: dict[tuple[str, str], list[ResolvedEndpoint]] = {}
        self.certificates: list[CertificateInfo] = []
        self._config = Config.model_validate(CONFIG if config is None else config)

    def count(self, row: int, cell: int, value: int, writer: int = FIRST_WORKER) -> None:
        self.shared_memory.writer(writer).put(layout.place(row, cell), value)

    def text(self) -> str:
        figures = Metrics(
            self.shared_memory.writer(MASTER), self.scoreboard, self._config, self.rows, self.resolved,
            self.shared_memory.written,
        )  # fmt: skip
        figures.certificates = self.certificates
        return expose(figures.families(lambda: None), lambda: None).decode()

    def series(self) -> dict[tuple[str, ...], float]:
        """Every series by its name and the values of its labels, as Prometheus reads them."""
        found: dict[tuple[str, ...], float] = {}
        for family in text_string_to_metric_families(self.text()):
            for sample in family.samples:
                key = (sample.name, *sample.labels.values())
                assert key not in found, f"twice: {key}"
                found[key] = sample.value
        return found


@pytest.fixture
def house() -> House:
    return House()


def test_prometheus_reads_every_figure_as_it_is_listed(house: House) -> None:
    house.certificates = [CertificateInfo(("a.test", "b.test"), "CN=x", 0.0, 1e9)]
    house.count(3, layout.REFUSED, 1)
    read = {family.name: family for family in text_string_to_metric_families(house.text())}
    assert len(read) == len(FIGURES)
    for figure in FIGURES:
        family = read[figure.name.removesuffix("_total") if figure.kind == "counter" else figure.name]
        assert (family.type, family.documentation) == (figure.kind, figure.help)
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        assert labels == set(figure.labels)


def test_handshakes_are_counted_where_tls_is_spoken(house: House) -> None:
    for worker in (FIRST_WORKER, FIRST_WORKER + 1):
        counters = HandshakeCounters(house.shared_memory.writer(worker))
        counters.done("1.3", resumed=True)
        counters.failed("timeout")
        counters.failed("whatever else")
    assert not [name for name, *_ in house.series() if name.startswith("l7_tls")]
    house.certificates = [CertificateInfo(("a.test", "*.b.test"), "CN=x", 0.0, 1e9)]
    series = house.series()
    assert series["l7_tls_handshakes_total", "1.3", "true"] == 2
    assert series["l7_tls_handshakes_total", "1.3", "false"] == 0
    assert series["l7_tls_handshake_failures_total", "timeout"] == 2
    assert series["l7_tls_handshake_failures_total", "other"] == 2
    assert series["l7_tls_certificate_not_after_seconds", "a.test,*.b.test"] == 1e9


def test_lanes_are_summed(house: House) -> None:
    house.count(3, layout.STATUS + 2, 5)
    house.count(3, layout.STATUS + 2, 7, FIRST_WORKER + 1)
    house.count(4, layout.FAILED_CONNECT, 2)
    house.count(4, layout.IN_FLIGHT, 1, FIRST_WORKER + 1)
    series = house.series()
    assert series["l7_requests_total", SITE, "2xx"] == 12
    assert series["l7_requests_total", SITE, "5xx"] == 0
    assert series["l7_upstream_errors_total", SITE, SERVER, "connect"] == 2
    assert series["l7_server_in_flight", SITE, SERVER] == 1


def test_a_backend_has_in_flight_what_its_servers_have(house: House) -> None:
    house.count(4, layout.IN_FLIGHT, 2)
    house.count(4, layout.IN_FLIGHT, 1, FIRST_WORKER + 1)
    house.count(5, layout.IN_FLIGHT, 4)
    series = house.series()
    assert series["l7_requests_in_flight", SITE] == 7
    assert series["l7_requests_in_flight", "-"] == 0


def test_a_name_stands_for_no_address_before_its_first_answer(house: House) -> None:
    series = house.series()
    assert series["l7_server_addresses", SITE, NAMED] == 0
    assert series["l7_server_addresses", SITE, SERVER] == 1
    assert series["l7_server_addresses", "odd.test", ODD] == 1


def test_requests_without_a_backend_share_one_series(house: House) -> None:
    house.count(1, layout.STATUS + 4, 9)
    assert house.series()["l7_requests_total", "-", "4xx"] == 9


def test_a_histogram_is_cumulative(house: House) -> None:
    house.count(3, layout.DURATION, 3)
    house.count(3, layout.DURATION + 1, 2)
    house.count(3, layout.DURATION + len(layout.BOUNDS), 1)
    house.count(3, layout.DURATION_SUM, 2_500_000)
    series = house.series()
    assert series["l7_request_duration_seconds_bucket", SITE, "0.0005"] == 3
    assert series["l7_request_duration_seconds_bucket", SITE, "0.001"] == 5
    assert series["l7_request_duration_seconds_bucket", SITE, "0.0025"] == 5
    assert series["l7_request_duration_seconds_bucket", SITE, "60.0"] == 5
    assert series["l7_request_duration_seconds_bucket", SITE, "+Inf"] == 6
    assert series["l7_request_duration_seconds_count", SITE] == 6
    assert series["l7_request_duration_seconds_sum", SITE] == 2.5
    house.count(4, layout.FIRST_BYTE + 2, 3)
    house.count(4, layout.FIRST_BYTE_SUM, 4_500, FIRST_WORKER + 1)
    series = house.series()
    assert series["l7_server_first_byte_seconds_bucket", SITE, SERVER, "0.001"] == 0
    assert series["l7_server_first_byte_seconds_bucket", SITE, SERVER, "0.0025"] == 3
    assert series["l7_server_first_byte_seconds_count", SITE, SERVER] == 3
    assert series["l7_server_first_byte_seconds_sum", SITE, SERVER] == 0.0045


@pytest.mark.parametrize(
    ("writer", "cell", "value", "reason"),
    [
        (MONITOR, layout.HEALTH, layout.DOWN, "check"),
        (FIRST_WORKER, layout.EJECTED_UNTIL, 1 << 62, "ejected"),
        (MASTER, layout.EJECTED_UNTIL, 1 << 62, "ejected"),
        (MASTER, layout.ADMIN, layout.DRAIN, "drain"),
        (MASTER, layout.ADMIN, layout.MAINT, "maint"),
    ],
)
def test_a_server_that_is_out_says_why(house: House, writer: int, cell: int, value: int, reason: str) -> None:
    assert house.series()["l7_server_up", SITE, SERVER] == 1
    house.count(4, cell, value, writer)
    series = house.series()
    assert series["l7_server_up", SITE, SERVER] == 0
    out = {key[3] for key, value in series.items() if key[0] == "l7_server_out" and key[2] == SERVER and value}
    assert out == {reason}
    assert series["l7_server_up", SITE, NAMED] == 1


def test_an_ejection_ends(house: House) -> None:
    house.count(4, layout.EJECTED_UNTIL, time.monotonic_ns() - 1)
    assert house.series()["l7_server_up", SITE, SERVER] == 1


def test_a_name_is_one_server_whatever_it_stands_for(house: House) -> None:
    house.rows.update({(SITE, NAMED, "10.0.0.1:80"): 10, (SITE, NAMED, "10.0.0.2:80"): 11})
    house.resolved[SITE, NAMED] = [ResolvedEndpoint("10.0.0.1", 80, 10), ResolvedEndpoint("10.0.0.2", 80, 11)]
    house.count(5, layout.REQUESTS, 1)
    house.count(10, layout.REQUESTS, 20)
    house.count(11, layout.REQUESTS, 300)
    house.count(10, layout.HEALTH, layout.DOWN, MONITOR)
    series = house.series()
    assert series["l7_server_requests_total", SITE, NAMED] == 321
    assert series["l7_server_addresses", SITE, NAMED] == 2
    assert series["l7_server_up", SITE, NAMED] == 1
    house.count(11, layout.HEALTH, layout.DOWN, MONITOR)
    assert house.series()["l7_server_up", SITE, NAMED] == 0


def test_what_was_counted_for_an_address_that_has_left_stays(house: House) -> None:
    house.rows.update({(SITE, NAMED, "10.0.0.1:80"): 10, (SITE, NAMED, "10.0.0.2:80"): 11})
    house.resolved[SITE, NAMED] = [ResolvedEndpoint("10.0.0.2", 80, 11)]
    house.count(10, layout.REQUESTS, 20)
    house.count(10, layout.HEALTH, layout.DOWN, MONITOR)
    series = house.series()
    assert series["l7_server_requests_total", SITE, NAMED] == 20
    assert series["l7_server_up", SITE, NAMED] == 1
    assert series["l7_server_addresses", SITE, NAMED] == 1


def test_rules_are_counted_where_they_are_and_where_they_have_refused() -> None:
    limits = {"rate-limit": {"requests": 5}, "limits": {"body": 10}}
    config = {
        "deny": ["10.0.0.0/8"],
        "backends": {SITE: {"servers": [SERVER], **limits}, "odd.test": {"servers": [ODD]}},
    }
    house = House(config)
    house.count(3, layout.REFUSED + layout.RULES.index("rate-limit"), 7)
    house.count(6, layout.REFUSED + layout.RULES.index("users"), 2)
    house.rows["odd.test",] = 6
    found = {key[1:]: value for key, value in house.series().items() if key[0] == "l7_rule_refusals_total"}
    assert found == {
        (SITE, "deny"): 0, (SITE, "rate-limit"): 7, (SITE, "limits.body"): 0,
        ("odd.test", "deny"): 0, ("odd.test", "users"): 2, ("-", "deny"): 0,
    }  # fmt: skip


def test_labels_are_escaped(house: House) -> None:
    house.count(6, layout.REQUESTS, 1)
    assert house.series()["l7_server_requests_total", "odd.test", ODD] == 1


def test_a_server_named_twice_is_shown_once() -> None:
    house = House({"backends": {SITE: {"servers": [SERVER, SERVER]}}})
    assert ("l7_server_up", SITE, SERVER) in house.series()


def test_what_has_no_row_yet_is_left_out(house: House) -> None:
    del house.rows[SITE, NAMED]
    assert ("l7_server_up", SITE, NAMED) not in house.series()


def test_the_masters_facts(house: House) -> None:
    known = MasterGauges(house.shared_memory.writer(MASTER))
    known[master_gauges.GENERATION], known[master_gauges.RELOADS_DONE], known[master_gauges.LAST_RELOAD_AT] = (
        3,
        2,
        1_700_000_000_500,
    )
    known[master_gauges.WORKERS + 1] = 4
    house.scoreboard.slot(0)[slots.CONNECTIONS] = 5
    house.scoreboard.slot(3)[slots.CONNECTIONS] = 6
    series = house.series()
    assert series["l7_config_generation",] == 3
    assert series["l7_reloads_total", "done"] == 2
    assert series["l7_config_last_reload_timestamp_seconds",] == 1_700_000_000.5
    assert series["l7_config_last_reload_success",] == 1
    assert series["l7_workers", "ready"] == 4
    assert series["l7_open_connections",] == 11
    known[master_gauges.LAST_RELOAD_FAILED] = 1
    assert house.series()["l7_config_last_reload_success",] == 0


def test_a_thousand_backends_are_told_with_pauses() -> None:
    config = Config.model_validate({"backends": {f"{n}.test": {"servers": ["10.0.0.1:80"]} for n in range(1000)}})
    shared_memory, rows = SharedMemory(), {}
    shared_memory.reserve(2100)
    for route in config.backends:
        rows[route,] = 2 * len(rows) % 2000 + 3
        rows[route, "10.0.0.1:80"] = rows[route,] + 1
    pauses: list[float] = []
    began = time.process_time()
    figures = Metrics(shared_memory.writer(MASTER), Scoreboard(4), config, rows, {}, shared_memory.written)
    text = expose(figures.families(lambda: pauses.append(1)), lambda: pauses.append(1))
    assert time.process_time() - began < 1
    assert len(pauses) > 50
    assert text.count(b"\n") > 40_000
