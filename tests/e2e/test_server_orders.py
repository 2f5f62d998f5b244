"""``l7 server``: an order reaches the l7 that runs, is shown, and holds over reloads, crashes and upgrades."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.harness.client import TIMEOUT, get, request
from tests.harness.l7process import ROOT, L7Process
from tests.harness.lifecycle import stop_successor, upgrade

CONFIG = """
canary-time: 100ms
preflight: 0s
access-log: off
control: {directory}/sock
backends:
  a.example: {{servers: [{one}, {two}]}}
"""


def order(proxy: L7Process, *words: str, code: int = 0) -> str:
    """Run ``l7 server`` beside the l7 that runs; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "l7", "server", *words, "--config", str(proxy.config_path)],
        capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == code, done
    return done.stdout if code == 0 else done.stderr


def dumped(proxy: L7Process) -> list[str]:
    """The lines about orders in a dump."""
    start = len(proxy.output)
    proxy.usr1()
    proxy.wait_for_output(r"^\.\.\.$", start=start)
    return [line for line in proxy.output[start:] if line.startswith("# server")]


@pytest.fixture
def proxy(l7, origin, tmp_path):
    config = CONFIG.format(directory=tmp_path, one=origin().address, two="127.0.0.1:8082")
    return l7(config, leaks=False)


def test_an_order_is_followed_shown_and_held(proxy):
    assert order(proxy, "a.example", "127.0.0.1:8082", "drain") == (
        "a.example: server 127.0.0.1:8082: drain, requests in flight 0\n"
    )
    proxy.wait_for_event("a.example: server 127.0.0.1:8082: drain .was ready., as an administrator wants")
    found = json.loads(order(proxy, "a.example", "127.0.0.1:8082", "weight", "3", "--json"))
    assert found["servers"][0]["weight"] == 3
    wanted = ["# server a.example 127.0.0.1:8082: drain, weight 3, as an administrator wants"]
    assert dumped(proxy) == wanted
    (old,) = proxy.workers()
    proxy.hup()
    proxy.wait_for_event("reload.done", generation=2)
    proxy.wait_for(lambda: old not in proxy.workers(), "the old worker's end")
    (worker,) = proxy.workers()
    os.kill(worker, signal.SIGKILL)
    proxy.wait_for(lambda: proxy.workers() not in ([], [worker]), "the replacement")
    assert dumped(proxy) == wanted
    order(proxy, "a.example", "127.0.0.1:8082", "weight", "default")
    order(proxy, "a.example", "127.0.0.1:8082", "ready")
    assert dumped(proxy) == []


def test_an_order_holds_over_an_upgrade(proxy):
    order(proxy, "a.example", "127.0.0.1:8082", "maint")
    pid = upgrade(proxy)
    start = len(proxy.output)
    os.kill(pid, signal.SIGUSR1)
    proxy.wait_for_output("# server a.example 127.0.0.1:8082: maint, as an administrator wants", start=start)
    assert order(proxy, "a.example", "127.0.0.1:8082", "ready") == (
        "a.example: server 127.0.0.1:8082: ready, requests in flight 0\n"
    )
    stop_successor(proxy, pid)


def test_an_order_ends_with_its_server(proxy, tmp_path):
    order(proxy, "a.example", "127.0.0.1:8082", "drain")
    proxy.write_config(CONFIG.format(directory=tmp_path, one="127.0.0.1:8081", two="127.0.0.1:8083"))
    proxy.hup()
    proxy.wait_for_event("a.example: server 127.0.0.1:8082 is gone, and so is what was wanted of it: drain")
    assert dumped(proxy) == []


def test_what_cannot_be_followed_is_said(proxy):
    for words, code, why in (
        (("a.exampel", "127.0.0.1:8082", "drain"), 1, "no backend is a.exampel; did you mean 'a.example'?"),
        (("a.example", "127.0.0.1:8082", "stop"), 1, "stop is no order"),
        (("a.example",), 2, "write HOST ADDRESS to see one, or HOST ADDRESS drain, ready, maint or weight N"),
        (("a.example", "127.0.0.1:8083"), 1, "a.example has no server 127.0.0.1:8083; did you mean"),
        (("a.example", "127.0.0.1:8082", "weight"), 2, "write HOST ADDRESS"),
        (("a.example", "127.0.0.1:8082", "weight", "many"), 1, "a weight is 0 to 256"),
    ):
        assert why in order(proxy, *words, code=code)


SHARED = """
canary-time: 100ms
preflight: 0s
access-log: off
control: {directory}/sock
admin: 'unix:{directory}/admin'
defaults: {{sticky: {{cookie: who}}}}
backends:
  A.example, www.a.example/x: {{servers: [{one}, {two}]}}
"""


def test_several_hosts_share_one_backend(l7, origin, tmp_path):
    """One row of figures, one state of its servers; whoever is named by one host is named by all."""
    one, two = origin(), origin()
    proxy = l7(SHARED.format(directory=tmp_path, one=one.address, two=two.address), leaks=False)
    first = request(proxy.port, "GET", "/", host="a.example")
    second = request(proxy.port, "GET", "/x", host="www.a.example")
    assert (first.status, second.status) == (200, 200)
    assert request(proxy.port, "GET", "/", host="www.a.example").status == 404
    assert len(one.requests) == len(two.requests) == 1  # round robin over both hosts
    assert b"; Path=/;" in (second.header(b"set-cookie") or b"")
    name = "a.example, www.a.example/x"
    proxy.settle()
    figures = get(str(tmp_path / "admin"), "/metrics").body.decode()
    assert f'l7_requests_total{{host="{name}",code="2xx"}} 2' in figures
    assert figures.count("l7_server_up{") == 2
    assert figures.count("l7_server_first_byte_seconds_count{") == 2
    assert f'l7_server_first_byte_seconds_count{{host="{name}",server="{one.address}"}} 1' in figures
    drained = f"{name}: server {one.address}: drain, requests in flight 0\n"
    assert order(proxy, "www.a.example/x", one.address, "drain") == drained
    proxy.wait_for_event("server.ordered", state="drain")

    def left_alone() -> bool:
        before = len(one.requests)
        assert {request(proxy.port, "GET", "/", host="a.example").status for _ in range(2)} == {200}
        return len(one.requests) == before

    proxy.wait_for(left_alone, "all requests go to the other server")
    assert order(proxy, name, one.address, "ready") == drained.replace("drain", "ready")
    assert "no backend is b.example; did you mean" in order(proxy, "b.example", one.address, "drain", code=1)
    explained = subprocess.run(
        [sys.executable, "-m", "l7", "explain", "www.a.example/x/y", "-c", str(proxy.config_path)],
        capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT, check=True,
    ).stdout  # fmt: skip
    assert f"route:   {name} (exact host www.a.example, longest path prefix /x)\n" in explained
    assert f"as generation 1 of process {proxy.pid} has them now" in explained
