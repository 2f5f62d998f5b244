"""The incidents of docs/incidents.rst: the proxies take what is written for them, and l7 tells what the page says.

HAProxy and nginx are looked into by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import TIMEOUT
from tests.incidents import traffic
from tests.incidents.__main__ import play, started
from tests.incidents.proxies import L7, HAProxy, Nginx, Proxy

CHECKS = {
    L7: [sys.executable, "-m", "l7", "check", "-c", "l7.yml"],
    HAProxy: ["haproxy", "-c", "-f", "haproxy.cfg"],
    Nginx: ["nginx", "-t", "-p", ".", "-c", "nginx.conf"],
}


@pytest.mark.parametrize("kind", list(CHECKS), ids=lambda kind: kind.__name__)
def test_each_proxy_takes_what_is_written_for_it(kind: type[Proxy], tmp_path: Path) -> None:
    one = kind(tmp_path / "where", 18080, [18081, 18082, 18083])
    one.configure(servers=2, most=1)
    done = subprocess.run(CHECKS[kind], cwd=one.directory, capture_output=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr.decode()


INCIDENTS = ("slow-path", "retry-storm", "reload")
SECONDS = 6.0


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, L7]]:
    """An l7 after each incident; all are played at the same time."""
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        found, playing = {}, []
        for incident in INCIDENTS:
            directory = tmp_path_factory.mktemp(incident)
            (one,) = stack.enter_context(started(incident, directory, ["l7"], "canary-time: 100ms\n"))
            assert isinstance(one, L7)
            found[incident] = one
            playing.append(threads.submit(play, incident, [one], SECONDS))
        for each in playing:
            each.result(4 * TIMEOUT)
        yield found


def rows(one: L7, by: str, *options: str) -> list[dict[str, Any]]:
    """The rows of ``l7 tail --by``."""
    return [json.loads(line) for line in one.ask("tail", "--by", by, *options, "--json").splitlines()]


def test_a_server_that_is_slow_for_one_customer_is_found(played: dict[str, L7]) -> None:
    one = played["slow-path"]
    slow = rows(one, "path", "--slower", "1s")
    assert slow and all(row["path"].startswith("/customers/4711/") for row in slow)
    servers = rows(one, "server", "--target", "/customers/4711/")
    assert [row["server"] for row in servers if row["p50"] > 1] == [f"127.0.0.1:{one.servers[1]}"]
    told = one.ask("why", slow[0]["slowest"][-12:])
    assert f"of it: wait for 127.0.0.1:{one.servers[1]}" in told
    assert f"look next: `l7 tail --by server --target {slow[0]['path']}`" in told


def test_who_makes_a_retry_storm_is_found_and_what_became_of_a_victim(played: dict[str, L7]) -> None:
    one = played["retry-storm"]
    clients = rows(one, "client")
    assert clients[0]["client"] == traffic.SCRIPT and clients[0]["failed"] > 10
    failed = [json.loads(line) for line in one.ask("tail", "--status", "5xx", "--once", "--json").splitlines()]
    victim = next(each for each in reversed(failed) if each["client"] != traffic.SCRIPT and each["tried"] > 1)
    told = one.ask("why", victim["request-id"])
    assert "why this server" in told and told.count("closed before the response head") >= 3  # at each, and of them all
    assert "look next: `l7 tail --by client --route shop.example`" in told
    assert {row["path"] for row in rows(one, "path", "--client", traffic.SCRIPT)} == {"/reports/all"}


def test_a_reload_that_made_it_slow_is_found(played: dict[str, L7]) -> None:
    one = played["reload"]
    before, after = rows(one, "generation")
    assert (before["generation"], after["generation"]) == ("1", "2")
    assert before["waited-p99"] == 0 < after["waited-p99"]
    status = one.ask("status")
    assert f"server 127.0.0.1:{one.servers[2]} removed" in status and "max-connections: unlimited -> 1" in status
    recorded = [json.loads(line) for line in one.ask("tail", "--once", "--json", "-n", "1000").splitlines()]
    told = one.ask("why", max(recorded, key=lambda each: each["queue"] or 0.0)["request-id"])
    assert "waited for a server" in told and "the servers when it began to wait" in told
    assert "look next: `l7 tail --by generation --route shop.example`" in told
