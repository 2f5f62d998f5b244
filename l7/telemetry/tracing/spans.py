"""The spans of one request: one of the server's kind, and one of the client's kind for each attempt, as OTLP has them.

The attributes are those of OpenTelemetry's conventions for HTTP; what has no name there begins with ``l7.``. No value
of a header, no query and no login is among them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from l7 import clock
from l7.errors import ProxyError
from l7.exchange import Exchange
from l7.telemetry.tracing.trace_context import TraceParent, written

SERVER_KIND, CLIENT_KIND = 2, 3
ERROR = 2
"""The status of a span that failed."""
LONGEST = 512
"""Bytes of a path, or of another text that a client has sent."""
NANO = 1_000_000_000

_METHODS: Final = frozenset(
    (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"QUERY")
)


@dataclass
class AttemptSpan:
    """One attempt at a server; times are of the monotonic clock, in seconds."""

    span_id: str
    server: str
    started: float
    ended: float = 0.0
    status: int = 0
    error: str = ""


@dataclass
class RequestTrace:
    """What is known of a request that is traced, until it ends."""

    trace_id: str
    span_id: str
    flags: int
    method: bytes
    path: bytes
    scheme: bytes
    minor: int
    parent_id: str = ""
    state: str = ""
    link: TraceParent | None = None
    """What the client has said, where nothing is believed of it."""
    route: str = ""
    next_id: str = ""
    """The span that servers are told of: that of the next attempt, or of the one under way."""
    attempts: list[AttemptSpan] = field(default_factory=list)

    new_id: Callable[[], str] = str
    """Makes the id of a span."""

    def begin_attempt(self, server: str, route: str, opening: bytes, started: float) -> bytes:
        """Note an attempt; returns what is sent in it: ``opening``, a head and perhaps some body, with its own span."""
        self.route = route
        if self.attempts:
            before, self.next_id = self.parent_line(), self.new_id()
            opening = opening.replace(before, self.parent_line(), 1)
        self.attempts.append(AttemptSpan(self.next_id, server, started))
        return opening

    def end_attempt(self, status: int, failure: ProxyError | None = None) -> None:
        """Note how the last attempt has ended: with which status, 0 for none, and why it has failed."""
        attempt = self.attempts[-1]
        attempt.ended = clock.monotonic()
        attempt.status = status
        attempt.error = "" if failure is None else _kind(failure)

    def parent_line(self) -> bytes:
        """The value of traceparent for the server that is asked next."""
        return written(self.trace_id, self.next_id, self.flags)


def spans_of(trace: RequestTrace, exchange: Exchange, wall: int) -> bytes:
    """The spans of a finished request as JSON objects with commas between; ``wall`` is now, nanoseconds since 1970."""
    offset = wall - int(clock.monotonic() * NANO)
    spans = [_server_span(trace, exchange, offset)]
    spans += [_client_span(trace, exchange, number, offset) for number in range(len(trace.attempts))]
    return ",".join([json.dumps(span, separators=(",", ":")) for span in spans]).encode("ascii")


def _server_span(trace: RequestTrace, exchange: Exchange, offset: int) -> dict[str, Any]:
    method, original = _method(trace.method)
    status, failed = exchange.status, exchange.status >= 500
    attributes = {
        "http.request.method": method,
        "http.request.method_original": original,
        "http.route": trace.route,
        "url.scheme": trace.scheme.decode("ascii"),
        "url.path": _text(trace.path.partition(b"?")[0]),
        "server.address": exchange.host,
        "client.address": exchange.client,
        "network.protocol.version": f"1.{trace.minor}",
        "http.response.status_code": status or None,
        "http.request.body.size": exchange.received or None,
        "http.response.body.size": exchange.sent,
        "error.type": _error(exchange.failure, status) if failed else "",
        "l7.request_id": exchange.request_id,
        "l7.termination_code": exchange.code,
        "l7.queue_time": max(exchange.queue_time, 0.0) if trace.attempts else None,
    }
    started = exchange.started
    span = _span(trace, trace.span_id, trace.parent_id, SERVER_KIND, offset)
    span["name"] = _name(method, trace.route)
    span["startTimeUnixNano"], span["endTimeUnixNano"] = _times(started, started + exchange.total_time, offset)
    span["attributes"] = list(_attributes(attributes))
    if trace.link is not None:
        span["links"] = [{"traceId": trace.link.trace_id, "spanId": trace.link.span_id}]
    if failed:
        span["status"] = {"code": ERROR, **({"message": exchange.failure.reason} if exchange.failure else {})}
    return span


def _client_span(trace: RequestTrace, exchange: Exchange, number: int, offset: int) -> dict[str, Any]:
    attempt = trace.attempts[number]
    method, original = _method(trace.method)
    address, port = _address(attempt.server)
    attributes = {
        "http.request.method": method,
        "http.request.method_original": original,
        "url.path": _text(trace.path.partition(b"?")[0]),
        "server.address": address,
        "server.port": port,
        "http.request.resend_count": number or None,
        "http.response.status_code": attempt.status or None,
        "error.type": attempt.error or (str(attempt.status) if attempt.status >= 400 else ""),
    }
    span = _span(trace, attempt.span_id, trace.span_id, CLIENT_KIND, offset)
    span["name"] = _name(method, "")
    ended = attempt.ended or exchange.started + exchange.total_time
    span["startTimeUnixNano"], span["endTimeUnixNano"] = _times(attempt.started, ended, offset)
    span["attributes"] = list(_attributes(attributes))
    if attempt.error or attempt.status >= 400:
        span["status"] = {"code": ERROR}
    return span


def _span(trace: RequestTrace, span_id: str, parent_id: str, kind: int, offset: int) -> dict[str, Any]:
    span: dict[str, Any] = {"traceId": trace.trace_id, "spanId": span_id}
    if parent_id:
        span["parentSpanId"] = parent_id
    if trace.state:
        span["traceState"] = trace.state
    return {**span, "flags": trace.flags, "kind": kind}


def _times(started: float, ended: float, offset: int) -> tuple[str, str]:
    """Nanoseconds since 1970, in decimal: JSON has no integers of 64 bits."""
    first = int(started * NANO) + offset
    return str(first), str(max(first, int(ended * NANO) + offset))


def _attributes(values: Mapping[str, str | int | float | None]) -> Iterator[dict[str, Any]]:
    for key, value in values.items():
        if value is None or value == "":
            continue
        if isinstance(value, str):
            yield {"key": key, "value": {"stringValue": value}}
        elif isinstance(value, int):
            yield {"key": key, "value": {"intValue": str(value)}}
        else:
            yield {"key": key, "value": {"doubleValue": value}}


def _method(method: bytes) -> tuple[str, str]:
    """A method that is known, or else ``_OTHER`` and what it was: clients cannot make names of spans."""
    return (method.decode("ascii"), "") if method in _METHODS else ("_OTHER", _text(method))


def _name(method: str, route: str) -> str:
    known = "HTTP" if method == "_OTHER" else method
    return f"{known} {route}" if route else known


def _error(failure: ProxyError | None, status: int) -> str:
    return _kind(failure) if failure is not None else str(status)


def _kind(failure: ProxyError) -> str:
    """The row of the failure table as one word: ``connection_refused``."""
    return failure.kind.name.lower().replace(" ", "_")


def _address(server: str) -> tuple[str, int | None]:
    """A server's address and port; of a unix socket the path."""
    host, _, port = server.rpartition(":")
    if server.startswith("unix:") or not port.isdecimal():
        return server.removeprefix("unix:"), None
    return host.rpartition("//")[2].strip("[]"), int(port)


def _text(value: bytes) -> str:
    return value[:LONGEST].decode("utf-8", "replace")
