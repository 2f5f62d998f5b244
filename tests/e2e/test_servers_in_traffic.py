"""What checks, names and administrators say of servers, as clients see it: who is asked, who is not, and no loss."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter

import pytest

from tests.harness.client import TIMEOUT, get
from tests.harness.l7process import ROOT, L7Process
from tests.harness.load import load_without_loss
from tests.harness.nameserver import Dnsmasq, NameServer
from tests.harness.origin import Origin, Reply

CONFIG = """
access-log: off
canary-time: 0s
control: {directory}/sock
resolver: {{servers: ['{names}'], min-ttl: 100ms, max-ttl: 200ms, timeout: {within}}}
backends:
  a: {{servers: [{servers}], {more}}}
"""
CHECKED = "health: {path: /health, interval: 50ms, timeout: 100s, rise: 2, fall: 2}, ejection: off"


def named(name: str):
    return lambda _: Reply(body=name.encode())


def asked(proxy: L7Process, requests: int = 12) -> Counter[str]:
    """Whom these many requests come to; all of them must be answered."""
    answers = [get(proxy.address, host="a") for _ in range(requests)]
    assert {answer.status for answer in answers} == {200}, answers
    return Counter(answer.body.decode() for answer in answers)


def run(proxy: L7Process, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "l7", *words, "--config", str(proxy.config_path)],
        capture_output=True, text=True, cwd=ROOT, timeout=TIMEOUT, check=True,
    )  # fmt: skip
    return done.stdout


def servers(proxy: L7Process) -> dict[str, tuple[str, str]]:
    """State and reason of each server in ``l7 status``, by its address or the one that its name stands for."""
    listed = json.loads(run(proxy, "status", "--json"))["servers"]
    return {one["address"] or one["server"]: (one["state"], one["why"]) for one in listed}


@pytest.fixture
def start(l7, tmp_path):
    def start(
        *addresses: str, more: str = "retries: 2", names: str = "127.0.0.1:1", within: str = "500ms", **options
    ) -> L7Process:
        listed = ", ".join(f"'{address}'" if "{" not in address else address for address in addresses)
        config = CONFIG.format(directory=tmp_path, names=names, within=within, servers=listed, more=more)
        return l7(config, **options)

    return start


def test_traffic_leaves_a_server_whose_checks_fail_and_comes_back(start, origin):
    healthy = True
    one = origin(named("one"))
    two = origin(lambda request: Reply(200 if healthy or request.target != b"/health" else 503, body=b"two"))
    proxy = start(one.address, two.address, more=CHECKED, workers=2, argv=["--debug"])
    proxy.wait_for_event("server.up", server=two.address)  # before that, one bad answer would do
    proxy.wait_for(lambda: {*asked(proxy)} == {"one", "two"}, "both")
    with load_without_loss(proxy):
        healthy = False
        proxy.wait_for_event(f"server {two.address} is down: status 503, expected 200-399 ×2")
        proxy.wait_for(lambda: {*asked(proxy)} == {"one"}, "the other one only")
        state, why = servers(proxy)[two.address]
        assert (state, why.split(" ×")[0]) == ("down", "status 503, expected 200-399")
        healthy = True
        proxy.wait_for(lambda: {*asked(proxy)} == {"one", "two"}, "both again")
    assert servers(proxy)[two.address] == ("up", "")
    one.close()
    two.close()


def test_new_addresses_join_and_old_ones_drain(start):
    gate, entered = threading.Event(), threading.Event()

    def slow(request):
        if request.target == b"/slow":
            entered.set()
            gate.wait(TIMEOUT)
        return Reply(body=b"old")

    with (
        Origin(slow, host="127.0.0.2") as old,
        Origin(named("new"), host="127.0.0.3", port=old.port),
        Dnsmasq({"app.test": ["127.0.0.2"]}) as names,
    ):
        proxy = start(f"app.test:{old.port}", names=names.address, workers=2)
        proxy.wait_for_event("the name app.test:.* is 127.0.0.2")
        proxy.wait_for(lambda: get(proxy.address, host="a").status == 200, "its address")
        answers = []
        client = threading.Thread(target=lambda: answers.append(get(proxy.address, "/slow", host="a")))
        client.start()
        assert entered.wait(TIMEOUT)
        with load_without_loss(proxy) as load:
            names.change({"app.test": ["127.0.0.2", "127.0.0.3"]})
            proxy.wait_for(lambda: {*asked(proxy)} == {"old", "new"}, "both")
            names.change({"app.test": ["127.0.0.3"]})
            proxy.wait_for(lambda: {*asked(proxy)} == {"new"}, "the new one only")
            load.more()
        gate.set()
        client.join(TIMEOUT)
        assert [(answer.status, answer.body) for answer in answers] == [(200, b"old")], "what it had it finishes"
        assert proxy.workers()
        assert not any("reload" in line for line in proxy.events)


def test_every_address_of_a_name_is_used_and_checked(start):
    with (
        Origin(named("one"), host="127.0.0.2") as one,
        Origin(named("two"), host="127.0.0.3", port=one.port),
        NameServer() as names,
    ):
        names.records["app.test", "A"] = (60, ["127.0.0.2", "127.0.0.3", "127.0.0.4"])
        proxy = start(f"app.test:{one.port}", names=names.address, more=CHECKED)
        proxy.wait_for_event(rf"server app.test:\d+ at 127.0.0.4:{one.port} is down: connect refused")
        proxy.wait_for(lambda: get(proxy.address, host="a").status == 200, "its addresses")
        proxy.wait_for(lambda: asked(proxy) == {"one": 6, "two": 6}, "the two that are up, evenly")
        found = servers(proxy)
        assert found[f"127.0.0.2:{one.port}"] == ("up", "")
        assert found[f"127.0.0.4:{one.port}"][0] == "down"


def test_a_service_with_weights_and_a_reserve(start):
    with (
        Origin(named("one"), host="127.0.0.2") as one,
        Origin(named("two"), host="127.0.0.3") as two,
        Origin(named("reserve"), host="127.0.0.4") as reserve,
        NameServer() as names,
    ):
        for number, name in enumerate(("one", "two", "reserve")):
            names.records[f"{name}.test", "A"] = (60, [f"127.0.0.{number + 2}"])
        records = [f"10 3 {one.port} one.test.", f"10 1 {two.port} two.test.", f"20 1 {reserve.port} reserve.test."]
        names.records["_http._tcp.app.test", "SRV"] = (60, records)
        proxy = start("srv:_http._tcp.app.test", names=names.address)
        proxy.wait_for(lambda: asked(proxy) == {"one": 9, "two": 3}, "its addresses, by their weights")
        names.records["_http._tcp.app.test", "SRV"] = (60, records[2:])
        proxy.wait_for(lambda: {*asked(proxy)} == {"reserve"}, "the ones that are left")


def test_a_reload_and_a_new_worker_know_the_addresses_at_once(start):
    with Origin(named("one"), host="127.0.0.2") as one, NameServer() as names:
        names.records["app.test", "A"] = (60, ["127.0.0.2"])
        proxy = start(f"app.test:{one.port}", names=names.address)
        proxy.wait_for(lambda: f"127.0.0.2:{one.port}" in servers(proxy), "its address")
        names.silent = True
        with load_without_loss(proxy) as load:
            proxy.hup()
            proxy.wait_for_event("reload.done", generation=2)
            load.more()
        assert asked(proxy) == {"one": 12}


@pytest.fixture
def slow_names():
    """A server, and a slow name server, the only one to know its name and its service."""
    with Origin(named("one"), host="127.0.0.2") as one, NameServer() as names:
        names.records["app.test", "A"] = (60, ["127.0.0.2"])
        names.records["_http._tcp.app.test", "SRV"] = (60, [f"10 1 {one.port} app.test."])
        names.delay = 0.05
        yield one, names


NAMED = pytest.mark.parametrize("address", ["app.test:{port}", "srv:_http._tcp.app.test"])


@NAMED
def test_a_reload_to_a_name_loses_nothing(start, slow_names, address):
    one, names = slow_names
    proxy = start(one.address, names=names.address, within="20s")
    with load_without_loss(proxy) as load:
        proxy.write_config(proxy.config_path.read_text().replace(one.address, address.format(port=one.port)))
        proxy.hup()
        proxy.wait_for_event("reload.done", generation=2)
        load.more()


@NAMED
def test_requests_that_come_before_the_first_answer_wait_for_it(start, slow_names, address):
    one, names = slow_names
    proxy = start(address.format(port=one.port), names=names.address, within="20s")
    assert asked(proxy) == {"one": 12}


@pytest.mark.parametrize("want", ["drain", "maint"])
def test_a_server_that_is_taken_out_gets_nothing(start, origin, want):
    one, two = origin(named("one")), origin(named("two"))
    proxy = start(one.address, two.address, workers=2)
    with load_without_loss(proxy):
        run(proxy, "server", "a", two.address, want)
        proxy.wait_for(lambda: {*asked(proxy)} == {"one"}, "the other one only")
        assert servers(proxy)[two.address] == (want, "as an administrator wants")
        run(proxy, "server", "a", two.address, "ready")
        proxy.wait_for(lambda: {*asked(proxy)} == {"one", "two"}, "both again")
    one.close()
    two.close()


def test_another_weight(start, origin):
    one, two = origin(named("one")), origin(named("two"))
    proxy = start(one.address, two.address)
    run(proxy, "server", "a", one.address, "weight", "3")
    proxy.wait_for(lambda: asked(proxy) == {"one": 9, "two": 3}, "the new shares")
    proxy.hup()
    proxy.wait_for_event("reload.done")
    assert asked(proxy) == {"one": 9, "two": 3}
    run(proxy, "server", "a", one.address, "weight", "0")
    proxy.wait_for(lambda: {*asked(proxy)} == {"two"}, "the other one only")
    assert servers(proxy)[one.address] == ("up", "its weight is 0")


def test_an_order_for_a_name_holds_for_addresses_that_come_later(start):
    with (
        Origin(named("one"), host="127.0.0.2") as one,
        Origin(named("two"), host="127.0.0.3", port=one.port),
        Origin(named("other")) as other,
        NameServer() as names,
    ):
        names.records["app.test", "A"] = (60, ["127.0.0.2"])
        proxy = start(f"app.test:{one.port}", other.address, names=names.address, more="ejection: off")
        proxy.wait_for(lambda: {*asked(proxy)} == {"one", "other"}, "both")
        run(proxy, "server", "a", f"app.test:{one.port}", "drain")
        proxy.wait_for(lambda: {*asked(proxy)} == {"other"}, "the other one only")
        names.records["app.test", "A"] = (60, ["127.0.0.2", "127.0.0.3"])
        proxy.wait_for_event("the name .* is joined by 127.0.0.3")
        assert {*asked(proxy)} == {"other"}
        run(proxy, "server", "a", f"127.0.0.3:{one.port}", "ready")
        proxy.wait_for(lambda: {*asked(proxy)} == {"two", "other"}, "the one that was let in")


def test_the_table_of_servers(start, origin):
    one = origin(named("one"))
    proxy = start(
        one.address, f"{{address: '{one.address}0', backup: true}}".replace(f"{one.port}0", "9"), more=CHECKED
    )
    proxy.wait_for_event("is down: connect refused")
    table = run(proxy, "status")
    assert "monitor process: pid " in table
    assert f"a        {one.address}  up          1          0" in table
    assert "down        1          0  backup; connect refused" in table
