"""The overview of a running l7: rates, latencies, servers, reloads and failures in one document."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.harness.client import get
from tests.harness.l7process import STATUS, L7Process
from tests.harness.lifecycle import reload
from tests.harness.origin import Reply
from tests.harness.ports import reserved

CONFIG = """
canary-time: 0s
preflight: 0s
access-log: off
backends:
  a: {{servers: ['{one}'], retries: 0, ejection: off}}
  b: {{servers: ['{two}'], users: {{me: secret}}}}
  c: {{servers: ['{two}']}}
"""


def overview(proxy: L7Process) -> dict[str, Any]:
    found = proxy.ask("overview")
    assert found["ok"], found
    return found


def by(entries: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    return {entry[key]: entry for entry in entries}


def seen(proxy: L7Process, requests: int) -> dict[str, Any]:
    """The overview once so many requests are in a round that is over, and its master tells of no older one."""
    proxy.wait_for(lambda: overview(proxy)["totals"]["requests"] == requests, f"{requests} requests")
    return overview(proxy)


def test_figures_agree_with_what_was_asked_and_outlive_a_reload(l7, origin):
    one = origin(lambda request: Reply(status=503 if request.target == b"/bad" else 200))
    two = origin()
    config = CONFIG.format(one=one.address, two=two.address)
    proxy = l7(config, argv=["--control", STATUS])
    proxy.wait_for(lambda: proxy.ask("overview")["ok"], "a monitor process that has begun")
    for number in range(10):
        get(proxy.address, "/bad" if number < 3 else "/", host="a")
    get(proxy.address, host="b")
    get(proxy.address, host="nobody")
    found = seen(proxy, 12)
    routes, servers = by(found["routes"], "route"), by(found["servers"], "backend")
    assert set(routes) == {"a", "b", "c", "-"}
    a, b = routes["a"], routes["b"]
    assert (a["requests"], a["statuses"]["2xx"], a["statuses"]["5xx"], a["servers"], a["up"]) == (10, 7, 3, 1, 1)
    assert (b["statuses"]["4xx"], b["errors"], b["in-flight"], b["queued"]) == (1, 0.0, 0, 0)
    assert 0 < a["p50"] <= a["p99"] < 60
    assert b["refused"] > 0 == a["refused"]
    assert a["errors"] > 0
    assert (routes["-"]["statuses"]["4xx"], routes["-"]["servers"]) == (1, 0)
    assert (servers["a"]["requests"], servers["a"]["state"], servers["c"]["requests"]) == (10, "up", 0)
    assert servers["a"]["errors"] > 0
    assert [entry["plot"]["rate"] for entry in (routes["c"], servers["b"])] == [[], []]
    assert sum(rate or 0 for rate in a["plot"]["rate"]) > 0
    assert [one["status"] for one in found["failures"]] == [404, 503, 503, 503]
    assert found["recorder"] and found["reloads"] == []
    before = [rate for rate in a["plot"]["rate"] if rate]

    reload(proxy, config.replace("retries: 0", "retries: 1"))
    proxy.wait_for(lambda: proxy.ask("overview").get("configuration", {}).get("generation") == 2, "the next one")
    get(proxy.address, host="a")
    found = seen(proxy, 13)
    a = by(found["routes"], "route")["a"]
    assert a["requests"] == 11
    plotted = [rate for rate in a["plot"]["rate"] if rate]
    assert plotted[: len(before)] == before and len(plotted) > len(before)
    (last,) = found["reloads"]
    assert last["ok"] and last["generation"] == 2 and last["changes"] and last["seconds"] > 0
    assert proxy.status()["reloads"] == found["reloads"]


def test_reloads_that_were_refused_are_kept_too(l7, origin):
    config = CONFIG.format(one=origin().address, two=origin().address)
    proxy = l7(config, argv=["--control", STATUS])
    proxy.write_config(config + "nonsense: 1\n")
    proxy.hup()
    proxy.wait_for_event("reload.refused")
    reload(proxy, config.replace("retries: 0", "retries: 3"))
    proxy.wait_for(lambda: len(proxy.status()["reloads"]) == 2, "two reloads")
    refused, done = proxy.status()["reloads"]
    assert (refused["ok"], refused["generation"], refused["changes"]) == (False, 1, [])
    assert "nonsense" in refused["reasons"][0]
    assert (done["ok"], done["generation"]) == (True, 2)
    assert refused["at"] < done["at"]


def test_a_server_that_is_down_is_shown_with_its_reason_and_since_when(l7, origin):
    down = f"127.0.0.1:{reserved()}"
    proxy = l7(
        CONFIG.format(one=origin().address, two=origin().address)
        + f"  d: {{servers: ['{down}'], health: {{path: /, interval: 100ms, fall: 1}}}}\n",
        argv=["--control", STATUS],
    )

    def first() -> dict[str, Any]:
        return (proxy.ask("overview").get("servers") or [{}])[0]

    proxy.wait_for(lambda: first().get("state") == "down" and first()["since"], "a server that is down")
    entry = first()
    assert (entry["server"], entry["backend"]) == (down, "d")
    assert "refused" in entry["why"] and entry["last-change"]["state"] == "down"
    assert 0 <= overview(proxy)["at"] - entry["since"] < 60
    assert by(overview(proxy)["routes"], "route")["d"]["up"] == 0
    # A request that finds it out of reach, as none is better, changes nothing of that.
    assert get(proxy.address, host="d").status == 502
    proxy.wait_for(lambda: first()["last-change"]["state"] == "unreachable", "the request to be noted")
    assert (first()["state"], first()["since"]) == ("down", entry["since"])


def test_who_asks_a_monitor_process_that_hangs_or_dies_sees_the_end(l7, origin):
    proxy = l7(CONFIG.format(one=origin().address, two=origin().address), argv=["--control", STATUS])
    proxy.wait_for(lambda: proxy.ask("overview")["ok"], "a monitor process that has begun")
    (monitor,) = proxy.titled("l7: monitor")
    os.kill(monitor, signal.SIGKILL)
    proxy.wait_for(lambda: proxy.titled("l7: monitor") not in ([], [monitor]), "another monitor process")
    proxy.wait_for(lambda: proxy.ask("overview")["ok"], "its overview")


def test_an_l7_that_has_no_servers_has_an_overview_too(l7):
    proxy = l7("access-log: off\nbackends: {a: {respond: {status: 200}}}\n", argv=["--control", STATUS])
    assert get(proxy.address, host="a").status == 200
    proxy.wait_for(lambda: proxy.ask("overview")["ok"], "a monitor process that has begun")
    found = proxy.ask("overview")
    assert [(one["route"], one["servers"]) for one in found["routes"]] == [("a", 0)]
    assert found["servers"] == []
