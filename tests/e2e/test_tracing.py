"""Tracing: what goes on in traceparent and tracestate, and what a collector is told of it."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.client import TIMEOUT, get, request
from tests.harness.collector import Collector
from tests.harness.l7process import ROOT, STATUS, L7Process
from tests.harness.lifecycle import reload
from tests.harness.origin import Origin, Reply
from tests.harness.ports import reserved

CONFIG = """
canary-time: 0s
preflight: 0s
access-log: off
{admin}
{more}
{tracing}
backends:
  a.example: {{servers: [{servers}], retries: 2, balance: first}}
"""
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
TRUSTED = "trusted-proxies: [127.0.0.0/8]"

Start = Callable[..., L7Process]


@pytest.fixture
def start(l7) -> Start:
    def start(
        *servers: Origin | str, url: str = "", sample: str = "100%", more: str = "", admin: bool = True
    ) -> L7Process:
        tracing = f"tracing: {{otlp: '{url}', sample: {sample}}}" if url else ""
        listed = ", ".join(f"'{one if isinstance(one, str) else one.address}'" for one in servers)
        address = f"admin: 'unix:/tmp/l7-tracing-{secrets.token_hex(8)}'" if admin else ""
        config = CONFIG.format(servers=listed, tracing=tracing, more=more, admin=address)
        return l7(config, argv=["--control", STATUS], leaks=False)

    return start


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def ask(proxy: L7Process, *fields: tuple[str, str], target: str = "/x?secret=1") -> int:
    return get(proxy.address, target, host="a.example", headers=list(fields)).status


def wait_for_spans(proxy: L7Process, collector: Collector, count: int) -> list[Any]:
    proxy.wait_for(lambda: len(collector.spans) >= count, f"{count} spans")
    assert len(collector.spans) == count
    return collector.spans


def sent(origin: Origin, name: str, at: int = -1) -> list[str]:
    return [value.decode() for value in origin.requests[at].values(name.encode())]


def test_a_request_is_traced_from_its_client_to_its_server(start, origin):
    server = origin()
    with Collector() as collector:
        proxy = start(server, url=collector.url)
        assert ask(proxy) == 200
        spans = wait_for_spans(proxy, collector, 2)
        outer, inner = sorted(spans, key=lambda span: span.kind)
        (parent,) = sent(server, "traceparent")
        assert parent == f"00-{inner.trace_id.hex()}-{inner.span_id.hex()}-03"
        assert inner.parent_span_id == outer.span_id
        assert outer.parent_span_id == b""
        assert outer.name == "GET a.example"
        assert attributes(outer)["client.address"] == "127.0.0.1"
        assert "secret" not in str(spans)
        assert collector.resources[0]["service.name"] == "l7"


@pytest.mark.parametrize("trusted", [False, True])
def test_what_is_not_traced_goes_on_as_it_came(start, origin, trusted):
    """Without tracing, and with it for what is not chosen: also what is no traceparent."""
    server = origin()
    state = "vendor=1, other=2"
    with Collector() as collector:
        more = TRUSTED if trusted else ""
        proxies = [start(server, more=more), start(server, url=collector.url, sample="0%", more=more)]
        for proxy, fields in itertools.product(proxies, (SAMPLED, UNSAMPLED, "nonsense")):
            if trusted and fields == SAMPLED and proxy is proxies[1]:
                continue  # it is traced then
            assert ask(proxy, ("Traceparent", fields), ("TraceState", state)) == 200
            assert sent(server, "traceparent") == [fields]
            assert sent(server, "tracestate") == [state]
            assert b"Traceparent" in [name for name, _ in server.requests[-1].headers]


def test_a_trusted_proxy_decides_and_its_trace_goes_on(start, origin):
    server = origin()
    with Collector() as collector:
        proxy = start(server, url=collector.url, sample="0%", more=TRUSTED)
        assert ask(proxy, ("traceparent", SAMPLED), ("tracestate", "vendor=1"), ("tracestate", "b=2")) == 200
        outer, inner = sorted(wait_for_spans(proxy, collector, 2), key=lambda span: span.kind)
        assert sent(server, "traceparent") == [f"00-{TRACE}-{inner.span_id.hex()}-01"]
        assert sent(server, "tracestate") == ["vendor=1", "b=2"]
        assert (outer.trace_id.hex(), outer.parent_span_id.hex()) == (TRACE, SPAN)
        assert outer.trace_state == "vendor=1,b=2"


def test_a_trusted_proxy_that_does_not_trace_is_followed_too(start, origin):
    server = origin()
    with Collector() as collector:
        proxy = start(server, url=collector.url, more=TRUSTED)
        assert ask(proxy, ("traceparent", UNSAMPLED)) == 200
        assert ask(proxy) == 200
        assert sent(server, "traceparent", 0) == [UNSAMPLED]
        assert TRACE not in {span.trace_id.hex() for span in wait_for_spans(proxy, collector, 2)}


def test_what_a_client_says_of_a_trace_is_not_believed(start, origin):
    """A trace of its own begins, with a link; the tracestate of the other one is not its own."""
    server = origin()
    with Collector() as collector:
        proxy = start(server, url=collector.url)
        parents = (SAMPLED, UNSAMPLED, f"00-{TRACE}-{SPAN}", f"ff-{TRACE}-{SPAN}-01")
        for number, parent in enumerate(parents):
            assert ask(proxy, ("traceparent", parent), ("tracestate", "vendor=1")) == 200
            spans = wait_for_spans(proxy, collector, 2 * number + 2)[-2:]
            outer, inner = sorted(spans, key=lambda span: span.kind)
            assert sent(server, "traceparent") == [f"00-{outer.trace_id.hex()}-{inner.span_id.hex()}-03"]
            assert sent(server, "tracestate") == []
            assert outer.trace_id.hex() != TRACE
            links = [(link.trace_id.hex(), link.span_id.hex()) for link in outer.links]
            assert links == ([(TRACE, SPAN)] if parent in (SAMPLED, UNSAMPLED) else []), parent


def test_each_attempt_has_a_span_and_tells_its_own(start, origin):
    def fail(request: Any) -> Reply | None:
        request.connection.close()
        return None

    bad, good = origin(fail), origin()
    dead = origin()
    dead.close()
    with Collector() as collector:
        proxy = start(bad, dead, good, url=collector.url)
        assert ask(proxy) == 200
        outer, *inner = sorted(
            wait_for_spans(proxy, collector, 4), key=lambda span: (span.kind, span.start_time_unix_nano)
        )
        assert len(inner) == 3
        assert [attributes(span).get("http.request.resend_count") for span in inner] == [None, 1, 2]
        assert {attributes(span).get("error.type") for span in inner} == {
            "closed_before_the_response_head",
            "connection_refused",
            None,
        }
        assert {span.parent_span_id for span in inner} == {outer.span_id}
        assert outer.status.code == 0
        told = {sent(bad, "traceparent")[0], sent(good, "traceparent")[0]}
        assert told <= {f"00-{outer.trace_id.hex()}-{span.span_id.hex()}-03" for span in inner}
        assert len(told) == 2


def test_a_body_and_what_l7_answers_itself(start, origin):
    server = origin()
    with Collector() as collector:
        proxy = start(server, url=collector.url)
        body = b"x" * 100_000
        answer = request(proxy.address, "POST", "/", host="a.example", body=body)
        assert answer.status == 200
        assert server.requests[-1].size == len(body)
        assert get(proxy.address, host="nowhere.example").status == 404
        proxy.wait_for(lambda: len(collector.spans) == 3, "three spans")
        names = sorted(span.name for span in collector.spans)
        assert names == ["GET", "POST", "POST a.example"]


def test_requests_of_one_connection_have_traces_of_their_own(start, origin):
    server = origin()
    with Collector() as collector:
        proxy = start(server, url=collector.url)
        for _ in range(20):
            assert ask(proxy) == 200
        proxy.wait_for(lambda: len(collector.spans) == 40, "all spans")
        assert len({span.trace_id for span in collector.spans}) == 20
        assert len({span.span_id for span in collector.spans}) == 40


def figures(proxy: L7Process) -> dict[str, int]:
    """The spans by what has become of them."""
    admin = re.search(r"unix:([^']+)", proxy.config_path.read_text())
    text = get(admin[1], "/metrics").body.decode()
    found = re.findall(r'^l7_trace_spans_total\{result="(\w+)"\} (\d+)', text, re.MULTILINE)
    return {name: int(value) for name, value in found if value != "0"}


def wait_for_figures(proxy: L7Process, **wanted: int) -> None:
    """The monitor process counts when a collector has answered."""
    proxy.wait_for(lambda: figures(proxy) == wanted, str(wanted))


def test_a_collector_that_is_down_costs_nothing_and_gets_what_is_left(start, origin):
    server = origin()
    port = reserved()
    proxy = start(server, url=f"http://127.0.0.1:{port}")
    for _ in range(5):
        assert ask(proxy) == 200
    with Collector(port=port) as collector:
        wait_for_spans(proxy, collector, 10)
    wait_for_figures(proxy, exported=10)


def test_a_collector_says_when_to_come_again(start, origin):
    server = origin()
    script = [(503, {"Retry-After": "0"}), (429, {"Retry-After": "0"}), (200, {})]
    with Collector(lambda number: script[min(number, 2)]) as collector:
        proxy = start(server, url=collector.url)
        assert ask(proxy) == 200
        wait_for_spans(proxy, collector, 2)
        assert collector.statuses[:3] == [503, 429, 200]


def test_what_a_collector_refuses_is_counted_and_not_sent_again(start, origin):
    server = origin()
    with Collector(lambda number: (400 if number == 0 else 200, {})) as collector:
        proxy = start(server, url=collector.url)
        assert ask(proxy) == 200
        proxy.wait_for_event("tracing.lost", spans=2)
        assert ask(proxy) == 200
        wait_for_spans(proxy, collector, 2)
        assert collector.statuses == [400, 200]
    wait_for_figures(proxy, exported=2, refused=2)


def test_spans_outlive_a_reload_and_a_monitor_process(start, origin):
    server = origin()
    with Collector() as collector:
        proxy = start(server, url=collector.url)
        assert ask(proxy) == 200
        reload(proxy)
        assert ask(proxy) == 200
        wait_for_spans(proxy, collector, 4)
        proxy.wait_for(lambda: len(proxy.titled("l7: monitor")) == 1, "one monitor process")
        (monitor,) = proxy.titled("l7: monitor")
        os.kill(monitor, signal.SIGKILL)
        assert ask(proxy) == 200
        wait_for_spans(proxy, collector, 6)


def test_a_request_that_is_being_stopped_is_told_of(start, origin):
    """The first maybe before the monitor process has begun, the second while l7 ends already."""
    gate = threading.Event()
    server = origin(lambda request: Reply(200 if len(server.requests) == 1 or gate.wait(TIMEOUT) else 500))
    with Collector() as collector:
        proxy = start(server, url=collector.url, admin=False)
        assert ask(proxy) == 200
        second = threading.Thread(target=ask, args=(proxy,))
        second.start()
        server.wait_for(2)
        proxy.signal(signal.SIGTERM)
        proxy.wait_for_event("master.stopping")
        gate.set()
        assert proxy.wait() == 0
        proxy.assert_nothing_left()
        second.join()
        assert len(collector.spans) == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://a", "'ftp://a' is not the URL of a collector; write it as in http://127.0.0.1:4318"),
        ("127.0.0.1:4318", "is not the URL of a collector"),
        ("http://user:hunter2@a", "a login cannot stand in the URL of a collector"),
        ("http://a/?x=1", "a query or a fragment cannot stand"),
        ("http://a:70000", "is not the URL of a collector"),
    ],
)
def test_what_is_no_collector_is_refused(tmp_path, text, why):
    (tmp_path / "config.yml").write_text(f"tracing: {{otlp: '{text}'}}")
    done = subprocess.run(
        [sys.executable, "-m", "l7", "check", "--config", str(tmp_path / "config.yml")],
        capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "config.yml:1: tracing.otlp: " in done.stderr
    assert why in done.stderr
    assert "hunter2" not in done.stderr
