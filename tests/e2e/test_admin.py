"""The admin endpoint of a running l7: who serves it, over reloads and deaths, and to the end."""

from __future__ import annotations

import os
import signal
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.client import Client, Response, get
from tests.harness.l7process import MONITOR, L7Process
from tests.harness.lifecycle import stop_successor, upgrade, wait_for_control
from tests.harness.load import Gate, in_flight
from tests.harness.origin import Reply

CONFIG = """
canary-time: 200ms
access-log: off
admin: '{admin}'
backends:
  a: {{servers: ['{server}'], {more}}}
"""


@pytest.fixture
def admin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An address of its own, short enough for a socket."""
    return f"unix:/tmp/l7-admin-{os.getpid()}-{tmp_path_factory.mktemp('x').name[-6:]}"


def ask(admin: str, path: str) -> Response:
    return get(admin.removeprefix("unix:"), path)


def series(admin: str) -> dict[tuple[str, ...], float]:
    """Every series by its name and the values of its labels."""
    answer = ask(admin, "/metrics")
    assert answer.status == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def wait_for_series(proxy: L7Process, admin: str, key: tuple[str, ...], value: float) -> None:
    proxy.wait_for(lambda: series(admin).get(key) == value, f"{key} is {value:g}")


def wait_until_gone(proxy: L7Process, admin: str) -> None:
    proxy.wait_for(lambda: not os.path.exists(admin.removeprefix("unix:")), f"{admin} is gone")


def start(l7, origin, admin: str, more: str = "", **options) -> L7Process:
    proxy = l7(CONFIG.format(admin=admin, server=origin().address, more=more), **options)
    wait_for_control(proxy, 1)
    proxy.wait_for_event("master.ready")
    return proxy


def test_it_tells_of_the_workers(l7, origin, admin):
    proxy = start(l7, origin, admin, workers=2)
    wait_for_series(proxy, admin, ("l7_workers", "ready"), 2)
    found = series(admin)
    assert found["l7_config_generation",] == 1
    assert found["l7_config_last_reload_success",] == 1
    assert found["l7_worker_starts_total",] == 2
    assert ask(admin, "/healthz").body == b"ok\n"
    assert ask(admin, "/readyz").body == b"ready\n"


def test_the_status_is_that_of_the_command(l7, origin, admin):
    proxy = start(l7, origin, admin, workers=2)
    answer = ask(admin, "/status")
    report = answer.json
    assert (answer.status, report["pid"], report["state"]) == (200, proxy.pid, "serving")
    assert sorted(worker["pid"] for worker in report["workers"]) == proxy.workers()


def test_reloads_are_counted_and_the_endpoint_stays(l7, origin, admin):
    proxy = start(l7, origin, admin)
    config = proxy.config_path.read_text()
    proxy.hup()
    proxy.wait_for_event("reload.done", generation=2)
    wait_for_control(proxy, 2)
    wait_for_series(proxy, admin, ("l7_reloads_total", "done"), 1)
    proxy.write_config(config + "nonsense: 1\n")
    proxy.hup()
    proxy.wait_for_event("reload.refused")
    wait_for_series(proxy, admin, ("l7_reloads_total", "failed"), 1)
    found = series(admin)
    assert found["l7_config_generation",] == 2
    assert found["l7_config_last_reload_success",] == 0


def test_a_reload_moves_it_adds_it_and_takes_it_away(l7, origin, admin):
    other = admin + "2"
    proxy = start(l7, origin, admin)
    config = proxy.config_path.read_text()
    for generation, text, there, gone in (
        (2, config.replace(admin, other), other, admin),
        (3, config.replace(admin, "off"), "", other),
        (4, config, admin, other),
    ):
        proxy.write_config(text)
        proxy.hup()
        proxy.wait_for_event("reload.done", generation=generation)
        wait_until_gone(proxy, gone)
        if there:
            wait_for_control(proxy, generation)
            wait_for_series(proxy, there, ("l7_config_generation",), generation)


def test_an_address_that_cannot_be_bound_refuses_the_reload(l7, origin, admin):
    proxy = start(l7, origin, admin)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        proxy.write_config(proxy.config_path.read_text().replace(admin, f"127.0.0.1:{taken.getsockname()[1]}"))
        proxy.hup()
        proxy.wait_for_event(r"admin: port \d+: address 127.0.0.1 is in use by another program")
        proxy.wait_for_event("reload.refused", generation=1)
    assert ask(admin, "/readyz").status == 200


def test_it_comes_back_when_the_monitor_dies(l7, origin, admin):
    proxy = start(l7, origin, admin)
    pid = wait_for_control(proxy, 1)
    os.kill(pid, signal.SIGKILL)
    assert ask(admin, "/healthz").status == 200, "who asks meanwhile waits for the next one"
    assert wait_for_control(proxy, 1, without=pid)


def test_while_l7_finishes_what_it_has_it_is_not_ready(l7, origin, admin):
    gate = Gate()
    proxy = start(l7, lambda: origin(gate), admin)
    wait_for_series(proxy, admin, ("l7_workers", "ready"), 1)
    with Client(admin.removeprefix("unix:")) as kept, in_flight(proxy, gate) as client:
        kept.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.read_response().status == 200
        proxy.term()

        def unready() -> bool:
            kept.send(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = kept.read_response()
            return (answer.status, answer.body) == (503, b"503 Service Unavailable: stopping\n")

        proxy.wait_for(unready, "it says that it stops")
        gate.opened.set()
        assert client.read_response().status == 200
    assert proxy.wait() == 0


def test_connections_that_ended_with_a_worker_are_not_counted(l7, origin, admin):
    proxy = start(l7, origin, admin, leaks=False)
    with Client(proxy.address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().status == 200
        wait_for_series(proxy, admin, ("l7_open_connections",), 1)
        os.kill(proxy.workers()[0], signal.SIGKILL)
        wait_for_series(proxy, admin, ("l7_open_connections",), 0)


def counters(admin: str) -> dict[tuple[str, ...], float]:
    """Every series that must never go backwards."""
    ends = ("_total", "_bucket", "_sum", "_count")
    return {key: value for key, value in series(admin).items() if key[0].endswith(ends)}


def test_counters_never_go_backwards(l7, origin, admin):
    server = origin()
    proxy = start(l7, lambda: server, admin, workers=2, leaks=False)
    seen = counters(admin)
    answered = ("l7_requests_total", "a", "2xx")
    for disturb in ("reload", "kill", "kill the monitor process"):
        for _ in range(10):
            assert get(proxy.address, host="a").status == 200
        wait_for_series(proxy, admin, answered, seen[answered] + 10)  # or a worker is killed before it counts
        if disturb == "reload":
            proxy.hup()
            proxy.wait_for_event("reload.done")
        elif disturb == "kill":
            os.kill(proxy.workers()[0], signal.SIGKILL)
        else:
            os.kill(wait_for_children(proxy, proxy.pid), signal.SIGKILL)
        now = counters(admin)
        shrunk = {key: (value, now.get(key)) for key, value in seen.items() if now.get(key, -1) < value}
        assert not shrunk, disturb
        assert now[answered] - seen[answered] == 10, disturb
        seen = now
    assert seen["l7_request_duration_seconds_count", "a"] == 30
    assert seen["l7_server_requests_total", "a", server.address] == 30


def wait_for_children(proxy: L7Process, master: int) -> int:
    """The monitor process of a master that is not the test's own child."""
    found: list[int] = []

    def there() -> bool:
        found[:] = proxy.titled(MONITOR, master)
        return bool(found)

    proxy.wait_for(there, "a monitor process")
    return found[0]


def test_failures_are_counted_by_what_they_were(l7, origin, admin):
    def oops(request):
        if request.target == b"/oops":
            return Reply(500)
        if request.target == b"/lost":
            request.connection.reset()
            return None
        return Reply()

    server = origin(oops)
    proxy = start(l7, lambda: server, admin, "ejection: off, retries: 0")
    for target in ("/", "/oops", "/lost"):
        get(proxy.address, target, host="a")
    get(proxy.address, host="nobody.test")
    wait_for_series(proxy, admin, ("l7_requests_total", "-", "4xx"), 1)  # the last one: a worker answers, then counts
    found = series(admin)
    codes = {key[2]: value for key, value in found.items() if key[:2] == ("l7_requests_total", "a") and value}
    assert codes == {"2xx": 1, "5xx": 2}
    errors = {key[3]: value for key, value in found.items() if key[0] == "l7_upstream_errors_total"}
    assert errors == {"connect": 0, "timeout": 0, "response": 1, "5xx": 1}
    assert found["l7_server_requests_total", "a", server.address] == 3


def test_after_an_upgrade_the_new_one_answers(l7, origin, admin):
    proxy = start(l7, origin, admin)
    assert get(proxy.address, host="a").status == 200
    wait_for_series(proxy, admin, ("l7_requests_total", "a", "2xx"), 1)
    pid = upgrade(proxy)
    proxy.wait()
    proxy.wait_for(lambda: ask(admin, "/status").json["pid"] == pid, "the new one at the endpoint")
    assert ask(admin, "/status").json["configuration"]["generation"] == 2
    assert series(admin)["l7_worker_starts_total",] == 1, "counters begin anew"
    assert series(admin)["l7_requests_total", "a", "2xx"] == 0
    stop_successor(proxy, pid)
    assert not os.path.exists(admin.removeprefix("unix:"))
