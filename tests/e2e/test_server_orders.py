"""``l7 server``: an order reaches the l7 that runs, is shown, and holds over reloads, crashes and upgrades."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.harness.client import TIMEOUT
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


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("a.exampel", "127.0.0.1:8082", "drain"), 1, "no backend is a.exampel; did you mean 'a.example'?"),
        (("a.example", "127.0.0.1:8082", "stop"), 1, "stop is no order"),
        (("a.example", "127.0.0.1:8082"), 2, "write HOST ADDRESS drain, ready, maint or weight N"),
        (("a.example", "127.0.0.1:8082", "weight"), 2, "write HOST ADDRESS"),
        (("a.example", "127.0.0.1:8082", "weight", "many"), 1, "a weight is 0 to 256"),
    ],
)
def test_what_cannot_be_followed_is_said(proxy, words, code, why):
    assert why in order(proxy, *words, code=code)
