"""``l7 server HOST ADDRESS``: every change of a server with its cause, over reloads and crashes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import ROOT, STATUS, L7Process
from tests.harness.lifecycle import reload
from tests.harness.origin import Reply

CONFIG = """
canary-time: 0s
preflight: 0s
access-log: off
backends:
  a: {{servers: ['{one}', '{two}'], {more}}}
"""
CHECKS = "health: {path: /health, interval: 50ms, timeout: 5s, rise: 2, fall: 2}, ejection: off"
EJECTION = "ejection: {failures: 3, time: 300ms}, retries: 2"


def told(proxy: L7Process, address: str, *more: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "l7", "server", "a", address, *more, "--control", str(proxy.directory / STATUS)],
        capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)["servers"] if more == ("--json",) else done.stdout


def changes(proxy: L7Process, address: str) -> list[dict[str, Any]]:
    return proxy.ask("history", host="a", address=address)["servers"][0]["changes"]


def states(proxy: L7Process, address: str) -> list[tuple[str, str]]:
    return [(one["state"], one["cause"]) for one in changes(proxy, address)]


def wait_for_states(proxy: L7Process, address: str, *wanted: tuple[str, str]) -> None:
    proxy.wait_for(lambda: states(proxy, address) == list(wanted), f"{wanted}")


@pytest.fixture
def start(l7):
    def start(one: str, two: str, more: str) -> L7Process:
        return l7(CONFIG.format(one=one, two=two, more=more), argv=["--control", STATUS], leaks=False)

    return start


def test_what_checks_find_is_kept_over_a_reload_and_a_crash(start, origin):
    well = [True]
    sick = origin(lambda _: Reply(status=200 if well[0] else 503))
    proxy = start(sick.address, origin().address, CHECKS)
    wait_for_states(proxy, sick.address, up := ("up", "health-check"))
    well[0] = False
    wait_for_states(proxy, sick.address, up, down := ("down", "health-check"))
    (_, last) = changes(proxy, sick.address)
    assert last["why"] == "status 503 ×2"
    assert last["after"] > 0
    reload(proxy)
    proxy.wait_for(lambda: len(proxy.titled("l7: monitor")) == 1, "one monitor process")
    (monitor,) = proxy.titled("l7: monitor")
    os.kill(monitor, signal.SIGKILL)
    proxy.wait_for(lambda: proxy.titled("l7: monitor") not in ([], [monitor]), "another monitor process")
    well[0] = True
    wait_for_states(proxy, sick.address, up, down, up)
    text = told(proxy, sick.address)
    assert text.startswith(f"a: server {sick.address}: up, weight 1, requests in flight 0\n")
    assert "  down         health-check: status 503 ×2 (after " in text
    entry = next(one for one in proxy.status()["servers"] if one["server"] == sick.address)
    assert entry["changes"] == 3
    assert entry["last-change"] == changes(proxy, sick.address)[-1]


def test_an_ejection_its_end_and_its_proof(start, origin):
    failing = [True]

    def answer(request: Any) -> Reply | None:
        if failing[0]:
            request.connection.close()
            return None
        return Reply()

    bad = origin(answer)
    proxy = start(bad.address, origin().address, EJECTION)
    for _ in range(6):
        assert get(proxy.address, host="a").status == 200
    proxy.wait_for(lambda: states(proxy, bad.address), "the ejection")
    failing[0] = False
    ejected = changes(proxy, bad.address)[0]
    assert (ejected["state"], ejected["cause"]) == ("ejected", "requests")
    assert ejected["why"] == "connection lost ×3; for 300ms"
    proxy.wait_for(lambda: states(proxy, bad.address)[1:2] == [("up", "requests")], "the end of its time")

    def proven() -> bool:
        assert get(proxy.address, host="a").status == 200
        return len(states(proxy, bad.address)) == 3

    proxy.wait_for(proven, "the proof")
    _, back, proof = changes(proxy, bad.address)
    assert back["after"] == 0.3
    assert back["why"] == "the time of its ejection is over: one request at a time"
    assert proof["why"] == "a request went well: it gets its share again"


def test_a_server_that_refuses_connections_and_takes_them_again(start, origin):
    dead = origin()
    dead.close()
    proxy = start(dead.address, origin().address, EJECTION)
    for _ in range(6):
        assert get(proxy.address, host="a").status == 200
    refused = [("unreachable", "requests"), ("ejected", "requests")]
    wait_for_states(proxy, dead.address, *refused)
    first, second = changes(proxy, dead.address)
    assert first["why"] == "connect refused"
    assert second["why"] == "connect refused ×3; until it takes connections"
    with origin(port=dead.port):
        wait_for_states(proxy, dead.address, *refused, ("up", "connect-probe"))


def test_orders_stand_beside_what_was_found_out(start, origin):
    one = origin()
    proxy = start(one.address, origin().address, CHECKS)
    wait_for_states(proxy, one.address, ("up", "health-check"))
    for words in (["drain"], ["drain"], ["weight", 3], ["weight", "default"], ["ready"]):
        proxy.ask("server", host="a", address=one.address, want=words[0], weight=words[1] if words[1:] else None)
    orders = [(one["state"], one["why"]) for one in told(proxy, one.address, "--json")[0]["changes"][1:]]
    assert orders == [
        ("drain", "as an administrator wants"),
        ("weight", "3, as an administrator wants"),
        ("weight", "that of the configuration, as an administrator wants"),
        ("ready", "as an administrator wants"),
    ]


def test_a_server_that_never_changed(start, origin):
    one = origin()
    proxy = start(one.address, origin().address, "retries: 2")
    assert told(proxy, one.address) == (
        f"a: server {one.address}: up, weight 1, requests in flight 0\n  no change since l7 was started\n"
    )
    assert all(one["changes"] == 0 and one["last-change"] is None for one in proxy.status()["servers"])
