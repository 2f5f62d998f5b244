"""The memory for counters is as large as it has to be: at the start, and after a reload to many more backends."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from l7.sharedmem.memory import LEAST_ROWS
from tests.harness import TIMEOUT
from tests.harness.client import get
from tests.harness.lifecycle import wait_for_control
from tests.harness.load import Gate, in_flight
from tests.harness.nameserver import NameServer

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_AS, (4_000_000 * 1024, 4_000_000 * 1024))"
"""`ulimit -v 4000000`."""
CONFIG = """
canary-time: 200ms
preflight: 0s
admin: 'unix:{directory}/admin'
backends:
  a:
    servers: ['{server}']
"""


def requests(admin: str) -> dict[str, float]:
    """The requests of each server of a host, as they are counted."""
    families = text_string_to_metric_families(get(admin, "/metrics").body.decode())
    return {
        sample.labels["host"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "l7_server_requests_total"
    }


def test_a_reload_to_more_backends_than_are_mapped_keeps_what_is_counted(l7, origin, tmp_path):
    """In little address space; the old worker counts on what it has, the new ones and the monitor see all of it."""
    gate = Gate()
    text = CONFIG.format(directory=tmp_path, server=origin(gate).address)
    proxy = l7(text, before=LIMIT)
    admin = f"{tmp_path}/admin"
    wait_for_control(proxy, 1)
    proxy.wait_for(lambda: requests(admin), "the first figures")
    with in_flight(proxy, gate) as client:
        proxy.wait_for(lambda: requests(admin)["a"] == 1, "the request in flight")
        other = origin().address
        hosts = [f"h{number}" for number in range(LEAST_ROWS)]  # each is a backend and a server
        proxy.write_config(text + "".join([f"  {host}: {{servers: ['{other}']}}\n" for host in hosts]))
        proxy.hup()
        proxy.wait_for_event("reload.done", generation=2)
        wait_for_control(proxy, 2)
        assert get(proxy.address, "/", host=hosts[-1]).status == 200
        gate.opened.set()
        assert client.read_response().status == 200
    proxy.wait_for(lambda: requests(admin).get(hosts[-1]) == 1, "the last of them")
    assert requests(admin)["a"] == 1


def test_too_little_for_the_start_is_a_sentence(l7):
    few = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    proxy = l7("backends: {a: {servers: []}}", before=few, ready=None)
    assert proxy.wait() == 1, proxy.transcript()
    assert proxy.stderr.join(TIMEOUT)
    assert proxy.events[-1] == "l7: no memory for counters: File too large"


def test_a_name_that_gets_more_addresses_than_are_mapped(l7, origin, tmp_path):
    """A worker that serves, and the monitor process, map what the master has given the new addresses."""
    there = "127.0.0.39"
    app = origin(host=there)
    port = app.address.rpartition(":")[2]
    others = "".join([f"  h{number}: {{servers: ['{app.address}']}}\n" for number in range(LEAST_ROWS // 2 - 4)])
    with NameServer() as names:
        names.records["app.test", "A"] = (0, ["127.0.0.10"])
        text = CONFIG.format(directory=tmp_path, server=f"app.test:{port}") + others
        proxy = l7(f"resolver: {{servers: [{names.address}], min-ttl: 100ms, max-ttl: 300ms}}\n{text}", before=LIMIT)
        proxy.wait_for_event(rf"the name app\.test:{port} is 127\.0\.0\.10:{port}$")
        names.records["app.test", "A"] = (0, [f"127.0.0.{number}" for number in range(10, 40)])
        proxy.wait_for_event(rf"the name app\.test:{port} is joined by .* and 24 more$")
        assert get(proxy.address, "/", host="a").status == 200
        admin = f"{tmp_path}/admin"
        proxy.wait_for(lambda: requests(admin)["a"] >= 1, "the request that was counted")
        assert "left out" not in proxy.transcript()
