"""The overview of a running l7: rates, latencies, servers, reloads and failures in one document."""

from __future__ import annotations

from typing import Any

from tests.harness.client import get
from tests.harness.l7process import STATUS, L7Process

CONFIG = """
canary-time: 0s
preflight: 0s
access-log: off
backends:
  a: {{servers: ['{one}']}}
  b: {{servers: ['{two}'], users: {{me: secret}}}}
"""


def overview(proxy: L7Process) -> dict[str, Any]:
    return proxy.ask("overview")


def by(entries: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {entry[key]: entry for entry in entries}


def test_figures_agree_with_what_was_asked(l7, origin):
    one, two = origin(), origin()
    proxy = l7(CONFIG.format(one=one.address, two=two.address), argv=["--control", STATUS])
    proxy.wait_for(lambda: overview(proxy).get("ok"), "an overview")
    for _ in range(10):
        get(proxy.address, host="a")
    get(proxy.address, host="b")
    proxy.wait_for(lambda: overview(proxy)["totals"]["requests"] == 11, "eleven requests")
    found = overview(proxy)
    routes = by(found["routes"], "route")
    assert routes["a"]["statuses"]["2xx"] == 10
    assert routes["b"]["statuses"]["4xx"] == 1
