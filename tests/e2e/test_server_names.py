"""Servers given by name, looked up at a real name server whose answers change while l7 runs."""

from __future__ import annotations

import itertools
import statistics

from tests.harness.client import get
from tests.harness.lifecycle import stop_successor, upgrade
from tests.harness.nameserver import Dnsmasq, NameServer

CONFIG = """
access-log: off
canary-time: 0s
resolver: {{servers: [{names}], min-ttl: 100ms, max-ttl: {longest}, timeout: 500ms}}
backends:
  a: {{servers: ['{address}']}}
"""


def configure(names: Dnsmasq | NameServer, address: str, longest: str = "300ms") -> str:
    return CONFIG.format(names=names.address, address=address, longest=longest)


def test_addresses_join_and_leave_as_dnsmasq_says(l7):
    with Dnsmasq({"app.test": ["127.0.0.2"]}) as names:
        proxy = l7(configure(names, "app.test:8080"))
        proxy.wait_for_event("the name app.test:8080 is 127.0.0.2:8080$")
        names.change({"app.test": ["127.0.0.2", "127.0.0.3", "::1"]})
        proxy.wait_for_event(r"the name app.test:8080 is joined by 127.0.0.3:8080, \[::1\]:8080$")
        names.change({"app.test": ["127.0.0.3"]})
        proxy.wait_for_event(r"the name app.test:8080 is left by 127.0.0.2:8080, \[::1\]:8080$")
        names.change({"app.test": ["127.0.0.4"]})
        proxy.wait_for_event("the name app.test:8080 is joined by 127.0.0.4:8080; left by 127.0.0.3:8080$")


def test_a_whole_name_is_shown_with_its_dot_and_asked_for_without(l7, origin):
    app = origin()
    port = app.address.rpartition(":")[2]
    with NameServer() as names:
        names.records["app.test", "A"] = (3600, ["127.0.0.1"])
        config = configure(names, f"app.test.:{port}").replace("servers: ['app", "health: {path: /up}, servers: ['app")
        proxy = l7(config)
        proxy.wait_for_event(rf"the name app\.test\.:{port} is 127\.0\.0\.1:{port}$")
        assert app.wait_for(1)[0].header(b"host") == f"app.test:{port}".encode()
        assert get(proxy.port, "/", host="a").status == 200
        assert {name for name, _ in names.asked} == {"app.test"}


def test_a_name_server_that_dies_takes_nothing_away(l7):
    with Dnsmasq({"app.test": ["127.0.0.2"]}) as names:
        proxy = l7(configure(names, "app.test:8080"))
        proxy.wait_for_event("the name app.test:8080 is 127.0.0.2:8080$")
        names.stop()
        proxy.wait_for_event("warning .*: the name app.test:8080 cannot be looked up: .*; the last answer stays$")
        names.start()
        proxy.wait_for_event("the name app.test:8080 is looked up again$")


def test_a_service_of_dnsmasq(l7):
    hosts = {"one.test": ["127.0.0.2"], "two.test": ["127.0.0.3"]}
    services = ["_http._tcp.app.test,one.test,8081,10,5", "_http._tcp.app.test,two.test,8082,10,1"]
    with Dnsmasq(hosts, services=services) as names:
        proxy = l7(configure(names, "srv:_http._tcp.app.test"))
        proxy.wait_for_event("the name srv:_http._tcp.app.test is 127.0.0.2:8081, 127.0.0.3:8082$")


def test_a_service_whose_weights_change(l7):
    with NameServer() as names:
        names.records["one.test", "A"] = (3600, ["127.0.0.2"])
        names.records["_http._tcp.app.test", "SRV"] = (0, ["10 5 8081 one.test.", "10 5 8082 one.test."])
        proxy = l7(configure(names, "srv:_http._tcp.app.test"))
        proxy.wait_for_event("the name srv:_http._tcp.app.test is 127.0.0.2:8081, 127.0.0.2:8082$")
        names.records["_http._tcp.app.test", "SRV"] = (0, ["10 5 8081 one.test.", "10 9 8082 one.test."])
        proxy.wait_for_event("the name srv:_http._tcp.app.test is weighted anew$")


def test_a_name_that_nobody_knows_keeps_nothing_from_starting(l7):
    with NameServer() as names:
        proxy = l7(configure(names, "app.test:8080"))
        proxy.wait_for_event(
            "the name app.test:8080 cannot be looked up: no such name; it has no servers until it can$"
        )
        assert get(proxy.address, host="a").status in (502, 503)


def test_a_name_server_that_says_nothing_keeps_nothing_from_starting(l7):
    with NameServer() as names:
        names.silent = True
        proxy = l7(configure(names, "app.test:8080") + "block-warning: 200ms\n")
        proxy.wait_for_event("the name app.test:8080 cannot be looked up: no name server answers")
        asked = names.asked["app.test", "A"]
        names.wait_for("app.test", "A", asked + 1)
        assert not any("stands still" in line for line in proxy.events), "a look-up holds up its own greenlet only"


def test_the_time_to_live_is_kept_within_its_bounds(l7):
    with NameServer() as names:
        names.records["app.test", "A"] = (3600, ["127.0.0.2"])
        proxy = l7(configure(names, "app.test:8080", "400ms").replace("500ms", "10s"))  # it asks once only
        times = names.times["app.test", "A"]
        for seconds, usual in ((3600, 0.4), (0, 0.1)):
            names.records["app.test", "A"] = (seconds, ["127.0.0.2"])
            before = len(times) + 1  # the answer before this one may have been another
            names.wait_for("app.test", "A", before + 6)
            asked = times[before : before + 6]
            between = statistics.median(b - a for a, b in itertools.pairwise(asked))  # some are seen late
            assert between > usual * 0.8, asked
        assert len([line for line in proxy.events if "app.test" in line]) == 1, "nothing has changed"


def test_what_was_known_outlives_the_monitor_and_a_reload(l7):
    with NameServer() as names:
        names.records["app.test", "A"] = (3600, ["127.0.0.2"])
        proxy = l7(configure(names, "app.test:8080"))
        proxy.wait_for_event("the name app.test:8080 is 127.0.0.2:8080$")
        names.silent = True
        start = len(proxy.events)
        proxy.hup()
        proxy.wait_for_event("reload.done", start=start)
        proxy.wait_for_event(
            r"name\.failed generation=2 .*app.test:8080 cannot be .*the last answer stays", start=start
        )


def test_what_was_known_outlives_an_upgrade(l7, origin):
    with NameServer() as names:
        names.records["app.test", "A"] = (3600, ["127.0.0.1"])
        proxy = l7(configure(names, f"app.test:{origin().address.rpartition(':')[2]}"))
        proxy.wait_for_event("the name app.test:.* is 127.0.0.1:")
        names.silent = True
        pid = upgrade(proxy)
        proxy.wait_for_event(r"name\.failed generation=2 .*app.test:.* cannot be .*")
        assert get(proxy.address, host="a").status == 200
        stop_successor(proxy, pid)


def test_an_answer_over_tcp(l7):
    with NameServer() as names:
        names.truncates = True
        names.records["app.test", "A"] = (3600, [f"127.0.1.{number}" for number in range(1, 200)])
        proxy = l7(configure(names, "app.test:8080"))
        proxy.wait_for_event("the name app.test:8080 is 127.0.1.1:8080, .* and 194 more$")


def test_many_names_are_asked_for_once_each(l7):
    with NameServer() as names:
        count = 100
        for number in range(count):
            names.records[f"app{number}.test", "A"] = (3600, ["127.0.0.2"])
        backends = "".join(
            f"  {kind}{number}: {{servers: ['app{number}.test:80']}}\n" for number in range(count) for kind in "bc"
        )
        proxy = l7(configure(names, "app0.test:80", "60s").replace("500ms", "10s") + backends)
        for number in range(count):
            names.wait_for(f"app{number}.test", "A", 1)
        proxy.wait_for(lambda: sum(" is 127.0.0.2:80" in line for line in proxy.events) == count, "all of them")
        assert max(names.asked.values()) == 1
