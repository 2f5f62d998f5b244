"""All metrics: name, kind, labels, help, and the cells of the shared memory that they are read from.

`FIGURES` is the whole list; the reference in the documentation is generated from it. Label values come only from the
configuration or from `l7.telemetry.metrics`, so no client can create a series.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from l7.sharedmem import layout, master_gauges
from l7.tls.failures import ALL_LABELS


class MetricFamily(NamedTuple):
    """One family of series. ``kind`` is ``counter``, ``gauge`` or ``histogram``, ``help`` its description."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


_HOST, _SERVER = ("host",), ("host", "server")

REQUESTS = MetricFamily(
    "l7_requests_total",
    "counter",
    ("host", "code"),
    "Requests by the class of their status; `none`: the client left without an answer.",
)
DURATION = MetricFamily(
    "l7_request_duration_seconds", "histogram", _HOST, "From the head of a request to the end of its answer."
)
RETRIES = MetricFamily("l7_retries_total", "counter", _HOST, "Tries beyond the first one of each request.")
ERRORS = MetricFamily(
    "l7_upstream_errors_total",
    "counter",
    ("host", "server", "reason"),
    "Failures of a server: `connect`, `timeout`, `response` (lost or invalid), `5xx` (answered so).",
)
REFUSALS = MetricFamily(
    "l7_rule_refusals_total",
    "counter",
    ("host", "rule"),
    f"Requests that a rule has refused: {', '.join(f'`{rule}`' for rule in layout.RULES)}. There is a series for what "
    "stands in the configuration of the host or at its top, and for what has refused one.",
)
UP = MetricFamily("l7_server_up", "gauge", _SERVER, "1 while new requests may go to the server.")
OUT = MetricFamily(
    "l7_server_out",
    "gauge",
    ("host", "server", "reason"),
    "1 while the server is out for this reason: `check`, `ejected`, `drain` or `maint`.",
)
HEALTH_CHANGES = MetricFamily(
    "l7_server_health_changes_total",
    "counter",
    ("host", "server", "to"),
    "How often active checks have called the server `up` and `down`.",
)
ADDRESSES = MetricFamily(
    "l7_server_addresses",
    "gauge",
    _SERVER,
    "Addresses that the server's name stands for now, 0 before its first answer; 1 for an address.",
)

BUSY = MetricFamily("l7_requests_in_flight", "gauge", _HOST, "Requests that servers have now.")

BACKEND: Final = (
    (MetricFamily("l7_requests_queued", "gauge", _HOST, "Requests that wait for a server now."), layout.QUEUED),
    (
        MetricFamily(
            "l7_queue_overflows_total",
            "counter",
            _HOST,
            "Requests that found the queue full or waited in it for too long.",
        ),
        layout.OVERFLOWED,
    ),
    (
        MetricFamily(
            "l7_requests_retrying", "gauge", _HOST, "Requests that wait now for a server that takes connections."
        ),
        layout.RETRYING,
    ),
    (
        MetricFamily(
            "l7_retry_waits_total", "counter", _HOST, "Requests that had to wait for a server that takes connections."
        ),
        layout.RETRY_WAITS,
    ),
    (
        MetricFamily(
            "l7_requests_cut_total",
            "counter",
            _HOST,
            "Requests that l7 ended itself: `graceful-timeout` or `drain-timeout` was over, or it was stopped at once.",
        ),
        layout.CUT,
    ),
    (
        MetricFamily(
            "l7_rate_limit_overflows_total",
            "counter",
            _HOST,
            "Requests that passed `rate-limit` uncounted, because the table of its clients was full.",
        ),
        layout.RATE_OVERFLOWED,
    ),
    (RETRIES, layout.RETRIED),
    (
        MetricFamily(
            "l7_retries_denied_total", "counter", _HOST, "Requests that the retry budget allowed no other try."
        ),
        layout.NOT_RETRIED,
    ),
    (MetricFamily("l7_request_body_bytes_total", "counter", _HOST, "Bytes of request bodies."), layout.RECEIVED),
    (MetricFamily("l7_response_body_bytes_total", "counter", _HOST, "Bytes of response bodies."), layout.SENT),
    (
        MetricFamily(
            "l7_compression_input_bytes_total", "counter", _HOST, "Bytes of response bodies that l7 has compressed."
        ),
        layout.UNCOMPRESSED,
    ),
    (
        MetricFamily("l7_compression_output_bytes_total", "counter", _HOST, "Bytes that these became."),
        layout.COMPRESSED,
    ),
)
"""The metrics that are one cell of a backend's row."""

SERVER: Final = (
    (
        MetricFamily(
            "l7_server_requests_total", "counter", _SERVER, "Requests that the server was given, each try counted."
        ),
        layout.REQUESTS,
    ),
    (
        MetricFamily("l7_server_connects_total", "counter", _SERVER, "Connections opened to the server."),
        layout.CONNECTS,
    ),
    (
        MetricFamily(
            "l7_server_retries_total", "counter", _SERVER, "Requests that were tried again after the server had failed."
        ),
        layout.RETRIES,
    ),
    (
        MetricFamily(
            "l7_ejections_total", "counter", _SERVER, "How often the server was left alone because it failed."
        ),
        layout.EJECTIONS,
    ),
)
"""The counters that are one cell of a server's row."""

FIRST_BYTE = MetricFamily(
    "l7_server_first_byte_seconds",
    "histogram",
    _SERVER,
    "From the request sent to the first byte of the server's answer; each try that was answered is counted.",
)
IN_FLIGHT = MetricFamily("l7_server_in_flight", "gauge", _SERVER, "Requests that the server has now.")

REASONS: Final = {
    "connect": layout.FAILED_CONNECT,
    "timeout": layout.FAILED_TIMEOUT,
    "response": layout.FAILED_RESPONSE,
    "5xx": layout.ANSWERED_5XX,
}
CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")

OPEN = MetricFamily("l7_open_connections", "gauge", (), "Connections of clients that are open now.")
PLACES = MetricFamily(
    "l7_connections_limit",
    "gauge",
    (),
    "Connections that clients may have: `limits.connections`, or what descriptors allow.",
)
BUFFERED = MetricFamily(
    "l7_buffered_bytes",
    "gauge",
    (),
    "Bytes that buffers hold now (`buffer` of backends): `limits.buffers` is for each worker.",
)
OF_CLIENTS: Final = (
    (
        MetricFamily(
            "l7_idle_connections_closed_total",
            "counter",
            (),
            "Idle connections of clients that were closed because others needed their places.",
        ),
        master_gauges.IDLE_CLOSED,
    ),
    (
        MetricFamily(
            "l7_connections_waited_total",
            "counter",
            (),
            "Connections of clients that had to wait for a place, because nobody was idle.",
        ),
        master_gauges.WAITED,
    ),
)
"""The counters of client connections, written by workers."""
TLS_HANDSHAKES = MetricFamily(
    "l7_tls_handshakes_total",
    "counter",
    ("version", "resumed"),
    "TLS handshakes of clients that were completed; `resumed` is `true` or `false`.",
)
TLS_FAILURES = MetricFamily(
    "l7_tls_handshake_failures_total",
    "counter",
    ("reason",),
    f"TLS handshakes of clients that failed: {', '.join(f'`{label}`' for label in ALL_LABELS)}. "
    "`certificate_rejected`: the client does not trust ours.",
)
NOT_AFTER = MetricFamily(
    "l7_tls_certificate_not_after_seconds", "gauge", ("names",), "When a certificate ends, as seconds since 1970."
)
PROXY_REFUSED = MetricFamily(
    "l7_proxy_protocol_refused_total",
    "counter",
    ("reason",),
    "Connections that were closed for want of a right PROXY header: `not_listed` (the peer may send none), "
    "`no_header`, `malformed`, `timeout`, `closed` (it left within its header).",
)
SPANS = MetricFamily(
    "l7_trace_spans_total",
    "counter",
    ("result",),
    "Spans by what has become of them: `exported`, `lost` (on the way to the monitor process), `overflowed` (the queue "
    "for the collector was full), `refused` (by the collector, or not taken in time).",
)
SPAN_RESULTS: Final = {
    "exported": master_gauges.SPANS_EXPORTED,
    "lost": master_gauges.SPANS_LOST,
    "overflowed": master_gauges.SPANS_OVERFLOWED,
    "refused": master_gauges.SPANS_REFUSED,
}
WORKERS = MetricFamily(
    "l7_workers",
    "gauge",
    ("state",),
    f"Worker processes by state: {', '.join(f'`{one}`' for one in master_gauges.STATES)}.",
)
BUILD = MetricFamily(
    "l7_build_info", "gauge", ("version", "compiled"), "1, and which l7 this is; `compiled` is `true` or `false`."
)
RELOADS = MetricFamily("l7_reloads_total", "counter", ("result",), "Reloads that were `done` and that `failed`.")
SUCCESS = MetricFamily("l7_config_last_reload_success", "gauge", (), "0 when the last reload has failed, else 1.")

PLAIN: Final = (
    (MetricFamily("l7_workers_wanted", "gauge", (), "How many workers there are to be."), master_gauges.WANTED, 1.0),
    (
        MetricFamily(
            "l7_worker_starts_total", "counter", (), "Workers that were started: after reloads, and after deaths."
        ),
        master_gauges.WORKER_STARTS,
        1.0,
    ),
    (
        MetricFamily("l7_config_generation", "gauge", (), "The number of the configuration that is served."),
        master_gauges.GENERATION,
        1.0,
    ),
    (
        MetricFamily(
            "l7_config_last_reload_timestamp_seconds", "gauge", (), "When the last reload ended, or l7 was started."
        ),
        master_gauges.LAST_RELOAD_AT,
        1e-3,
    ),
    (MetricFamily("l7_start_time_seconds", "gauge", (), "When l7 was started."), master_gauges.STARTED, 1e-3),
)
"""The metrics that are one of the master's gauges."""

FIGURES: Final = (
    REQUESTS, DURATION, BUSY, *(one for one, _ in BACKEND), REFUSALS,
    UP, OUT, IN_FLIGHT, *(one for one, _ in SERVER), FIRST_BYTE, ERRORS, HEALTH_CHANGES, ADDRESSES,
    OPEN, PLACES, BUFFERED, *(one for one, _ in OF_CLIENTS), TLS_HANDSHAKES, TLS_FAILURES, NOT_AFTER, PROXY_REFUSED,
    SPANS, WORKERS, RELOADS, SUCCESS, *(one for one, _, _ in PLAIN), BUILD,
)  # fmt: skip
