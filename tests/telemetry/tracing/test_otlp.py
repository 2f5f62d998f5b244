"""What a collector is told, read by the official package, and what its answers mean."""

from __future__ import annotations

import json
from email.utils import formatdate
from time import time
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from l7.errors import CONNECT_REFUSED, ProxyError
from l7.exchange import Exchange
from l7.telemetry.tracing.otlp import LONGEST_PAUSE, ExportOutcome, answer_of, body_of
from l7.telemetry.tracing.spans import AttemptSpan, RequestTrace, spans_of
from l7.telemetry.tracing.trace_context import TraceParent
from tests.harness.collector import decoded

TRACE, SPAN, PARENT, NEXT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7", "1" * 16


def finished(**changes: Any) -> bytes:
    exchange = Exchange("192.0.2.1", 100.0)
    exchange.host, exchange.status, exchange.total_time, exchange.sent = "a.example", 200, 0.25, 17
    exchange.queue_time, exchange.request_id = 0.0, "id-1"
    trace = RequestTrace(TRACE, SPAN, 3, b"GET", b"/p%C3%A4th?secret=1", b"https", 1, PARENT, "a=1", None, "a.example")
    trace.attempts = [
        AttemptSpan(NEXT, "10.0.0.1:80", 100.01, 100.02, 0, "connect_refused"),
        AttemptSpan("2" * 16, "unix:/run/app.sock", 100.03, 100.2, 200),
    ]
    for name, value in changes.items():
        setattr(trace if hasattr(trace, name) else exchange, name, value)
    return spans_of(trace, exchange, 1_700_000_000_000_000_000)


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_the_spans_of_a_request_as_the_official_package_reads_them() -> None:
    request = decoded(body_of([finished()], {"service.name": "l7"}))
    (resource,) = request.resource_spans
    assert attributes(resource.resource) == {"service.name": "l7"}
    server, first, second = resource.scope_spans[0].spans
    assert resource.scope_spans[0].scope.name == "l7"
    assert {span.trace_id.hex() for span in (server, first, second)} == {TRACE}
    assert (server.span_id.hex(), server.parent_span_id.hex(), server.trace_state) == (SPAN, PARENT, "a=1")
    assert (server.kind, first.kind) == (server.SPAN_KIND_SERVER, server.SPAN_KIND_CLIENT)
    assert server.name == "GET a.example"
    assert server.end_time_unix_nano - server.start_time_unix_nano == 250_000_000
    told = attributes(server)
    assert told["http.request.method"] == "GET"
    assert told["url.path"] == "/p%C3%A4th"
    assert told["http.response.status_code"] == 200
    assert told["http.route"] == told["server.address"] == "a.example"
    assert told["client.address"] == "192.0.2.1"
    assert "secret" not in str(server)
    assert server.status.code == 0
    assert first.parent_span_id.hex() == second.parent_span_id.hex() == SPAN
    assert first.span_id.hex() == NEXT
    assert attributes(first)["error.type"] == "connect_refused"
    assert (attributes(first)["server.address"], attributes(first)["server.port"]) == ("10.0.0.1", 80)
    assert "http.request.resend_count" not in attributes(first)
    assert (first.status.code, second.status.code) == (2, 0)
    assert attributes(second)["http.request.resend_count"] == 1
    assert attributes(second)["server.address"] == "/run/app.sock"
    assert server.start_time_unix_nano < first.start_time_unix_nano < second.start_time_unix_nano


@pytest.mark.parametrize(("status", "code"), [(404, 0), (499, 0), (500, 2), (502, 2)])
def test_a_server_span_is_an_error_from_500_on(status: int, code: int) -> None:
    failure = ProxyError(CONNECT_REFUSED, "refused") if status == 502 else None
    server = decoded(body_of([finished(status=status, failure=failure)], {})).resource_spans[0].scope_spans[0].spans[0]
    assert server.status.code == code
    assert ("error.type" in attributes(server)) == (code == 2)


def test_what_clients_write_makes_no_names_and_no_other_form() -> None:
    body = body_of(
        [finished(method=b'"\\EVIL', path=b'/\xff\x00"</script>' * 100, link=TraceParent(TRACE, SPAN, 0))], {}
    )
    server = decoded(body).resource_spans[0].scope_spans[0].spans[0]
    assert server.name == "HTTP a.example"
    assert attributes(server)["http.request.method"] == "_OTHER"
    assert attributes(server)["http.request.method_original"] == '"\\EVIL'
    assert len(attributes(server)["url.path"]) <= 512
    assert server.links[0].trace_id.hex() == TRACE


def test_the_official_package_refuses_what_is_no_span() -> None:
    broken = json.loads(body_of([finished()], {}))
    broken["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["start_time"] = 1
    with pytest.raises(Exception, match="start_time"):
        ParseDict(broken, ExportTraceServiceRequest())


@pytest.mark.parametrize(
    ("status", "after", "content", "outcome", "refused", "pause"),
    [
        (200, "", b"{}", ExportOutcome.TAKEN, 0, None),
        (200, "", b"", ExportOutcome.TAKEN, 0, None),
        (202, "", b"\xff", ExportOutcome.TAKEN, 0, None),
        (200, "", b'{"partialSuccess":{"rejectedSpans":"3","errorMessage":"full"}}', ExportOutcome.TAKEN, 3, None),
        (200, "", b'{"partialSuccess":{"errorMessage":"slow down"}}', ExportOutcome.TAKEN, 0, None),
        (200, "", b'{"partialSuccess":[]}', ExportOutcome.TAKEN, 0, None),
        (200, "", b'{"partialSuccess":{"rejectedSpans":-3}}', ExportOutcome.TAKEN, 0, None),
        (429, "2", b"", ExportOutcome.RETRY, 0, 2.0),
        (503, "99999", b"", ExportOutcome.RETRY, 0, LONGEST_PAUSE),
        (502, "soon", b"", ExportOutcome.RETRY, 0, None),
        (504, "-1", b"", ExportOutcome.RETRY, 0, None),
        (500, "1", b"", ExportOutcome.REFUSED, 0, None),
        (400, "", b"", ExportOutcome.REFUSED, 0, None),
        (307, "", b"", ExportOutcome.REFUSED, 0, None),
    ],
)
def test_what_an_answer_means(
    status: int, after: str, content: bytes, outcome: ExportOutcome, refused: int, pause: float | None
) -> None:
    answer = answer_of(status, after, content)
    assert (answer.outcome, answer.refused, answer.pause) == (outcome, refused, pause)


def test_a_date_to_wait_for() -> None:
    pause = answer_of(503, formatdate(time() + 20, usegmt=True), b"").pause
    assert pause is not None
    assert 15 < pause <= 20
    assert answer_of(503, formatdate(time() - 20, usegmt=True), b"").pause == 0.0
