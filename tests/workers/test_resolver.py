"""Look-ups: the hosts file, then name servers that answer, fail, or say nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from l7.balancing.dns_records import FoundAddress, NameAnswer
from l7.config.schema import Resolver as Settings
from l7.config.values.addresses import Address
from l7.workers.monitor.resolver import NameResolver, reachable, read_hosts
from tests.harness.nameserver import NameServer

APP = Address("app.test", 8080)
SERVICE = Address.parse("srv:_http._tcp.app.test")


@pytest.fixture
def names() -> Iterator[NameServer]:
    with NameServer() as server:
        yield server


@pytest.fixture
def resolver(names: NameServer, tmp_path: Path) -> NameResolver:
    (tmp_path / "hosts").write_text("192.0.2.7 written.test other\n", "utf-8")
    settings = Settings(servers=[names.address], timeout="10s")  # type: ignore[arg-type]
    return NameResolver(settings, str(tmp_path / "hosts"), str(tmp_path / "resolv.conf"))


def hosts(answer: NameAnswer) -> list[str]:
    return [str(one) for one in answer.found]


def test_all_addresses_of_both_kinds_with_the_shortest_time_to_live(names: NameServer, resolver: NameResolver) -> None:
    names.records["app.test", "A"] = (60, ["127.0.0.2", "127.0.0.3"])
    names.records["app.test", "AAAA"] = (30, ["::1"])
    answer = resolver.look_up(APP)
    assert sorted(hosts(answer)) == ["127.0.0.2:8080", "127.0.0.3:8080", "[::1]:8080"]
    assert (answer.ttl, answer.why) == (30, "")


def test_one_kind_is_enough(names: NameServer, resolver: NameResolver) -> None:
    names.records["app.test", "A"] = (60, ["127.0.0.2"])
    assert hosts(resolver.look_up(APP)) == ["127.0.0.2:8080"]


def test_another_name_is_followed(names: NameServer, resolver: NameResolver) -> None:
    names.records["app.test", "CNAME"] = (10, ["real.test."])
    names.records["real.test", "A"] = (60, ["127.0.0.2"])
    answer = resolver.look_up(APP)
    assert (hosts(answer), answer.ttl) == (["127.0.0.2:8080"], 10)


def test_an_answer_that_does_not_fit_comes_over_tcp(names: NameServer, resolver: NameResolver) -> None:
    names.records["app.test", "A"] = (60, ["127.0.0.2"])
    names.truncates = True
    assert hosts(resolver.look_up(APP)) == ["127.0.0.2:8080"]


@pytest.mark.parametrize(
    ("rcode", "why"),
    [("NXDOMAIN", "no such name"), ("SERVFAIL", "the name servers fail"), ("REFUSED", "the name servers fail")],
)
def test_a_failure_is_said(names: NameServer, resolver: NameResolver, rcode: str, why: str) -> None:
    names.rcode = rcode
    assert resolver.look_up(APP) == NameAnswer((), 0.0, why)


def test_silence_takes_no_longer_than_allowed(names: NameServer) -> None:
    names.silent = True
    settings = Settings(servers=[names.address], timeout="400ms")  # type: ignore[arg-type]
    begin = time.monotonic()
    assert NameResolver(settings, "/nowhere", "/nowhere").look_up(APP).why == "no name server answers"
    assert time.monotonic() - begin < 8, "far less than one kind after the other, with every try of its own"


def test_a_dead_name_server_leaves_time_for_the_next(names: NameServer, tmp_path: Path) -> None:
    names.records["app.test", "A"] = (60, ["127.0.0.2"])
    with NameServer() as dead:
        dead.silent = True
        settings = Settings(servers=[dead.address, names.address], timeout="4s")  # type: ignore[arg-type]
        assert hosts(NameResolver(settings, "/nowhere", "/nowhere").look_up(APP)) == ["127.0.0.2:8080"]


def test_the_kind_that_cannot_be_asked_stays_as_it_was(names: NameServer, resolver: NameResolver) -> None:
    names.records["app.test", "A"] = (60, ["127.0.0.2"])
    names.records["app.test", "AAAA"] = (60, ["::1"])
    resolver.look_up(APP)
    names.rcodes["AAAA"] = "SERVFAIL"
    names.records["app.test", "A"] = (60, ["127.0.0.3"])
    assert sorted(hosts(resolver.look_up(APP))) == ["127.0.0.3:8080", "[::1]:8080"]
    names.rcodes["A"] = "SERVFAIL"
    assert resolver.look_up(APP).why == "the name servers fail"


def test_the_hosts_file_comes_first_and_is_read_again(
    resolver: NameResolver, names: NameServer, tmp_path: Path
) -> None:
    names.records["written.test", "A"] = (60, ["127.0.0.2"])
    assert resolver.look_up(Address("written.test", 80)).found == (FoundAddress("192.0.2.7", 80),)
    (tmp_path / "hosts").write_text("192.0.2.77 written.test\n", "utf-8")
    assert resolver.look_up(Address("written.test", 80)).found == (FoundAddress("192.0.2.77", 80),)
    (tmp_path / "hosts").write_text("", "utf-8")
    assert hosts(resolver.look_up(Address("written.test", 80))) == ["127.0.0.2:80"]
    assert names.asked["written.test", "A"] == 1


def test_localhost_needs_no_file(resolver: NameResolver) -> None:
    found = hosts(resolver.look_up(Address("localhost", 80)))
    assert "127.0.0.1:80" in found
    assert set(found) <= {"127.0.0.1:80", "[::1]:80"}


def test_resolv_conf_says_whom_to_ask_and_where_to_search(tmp_path: Path) -> None:
    settings = Settings(timeout="100ms")  # type: ignore[arg-type]
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch a.test b.test\noptions ndots:2\n", "utf-8")
    found = NameResolver(settings, "/nowhere", str(path)).system()
    assert [str(server) for server in found.nameservers] == ["192.0.2.1", "192.0.2.2"]
    assert [name.to_text() for name in found.search] == ["a.test.", "b.test."]
    assert found.ndots == 2


@pytest.mark.parametrize("text", ["", "nameserver\n", "nameserver nonsense\n", "\0\xff"])
def test_a_resolv_conf_that_says_nothing_means_this_machine(tmp_path: Path, text: str) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text, "latin-1")
    found = NameResolver(Settings(), "/nowhere", str(path)).system()
    assert [str(server) for server in found.nameservers] == ["127.0.0.1"]


def test_the_search_list_is_used(names: NameServer, tmp_path: Path) -> None:
    names.records["app.internal.test", "A"] = (60, ["127.0.0.2"])
    (tmp_path / "resolv.conf").write_text("search internal.test\nnameserver 192.0.2.1\n", "utf-8")
    settings = Settings(servers=[names.address], timeout="10s")  # type: ignore[arg-type]
    resolver = NameResolver(settings, "/nowhere", str(tmp_path / "resolv.conf"))
    assert hosts(resolver.look_up(Address("app", 80))) == ["127.0.0.2:80"]


def test_a_name_with_a_last_dot_is_taken_as_it_is(names: NameServer, tmp_path: Path) -> None:
    """No search domain, as with nginx, HAProxy and Caddy; else whoever answers there gets the requests."""
    names.records["outside.example.net.internal.test", "A"] = (60, ["127.0.0.66"])
    names.records["app.internal.test", "A"] = (60, ["127.0.0.66"])
    (tmp_path / "resolv.conf").write_text("search internal.test\noptions ndots:5\nnameserver 192.0.2.1\n", "utf-8")
    settings = Settings(servers=[names.address], timeout="10s")  # type: ignore[arg-type]
    resolver = NameResolver(settings, "/nowhere", str(tmp_path / "resolv.conf"))
    assert hosts(resolver.look_up(Address.parse("outside.example.net:80"))) == ["127.0.0.66:80"]
    for name in ("outside.example.net.", "app."):
        assert resolver.look_up(Address.parse(f"{name}:80")).why == "no such name"
    names.records["outside.example.net", "A"] = (60, ["127.0.0.2"])
    assert hosts(resolver.look_up(Address.parse("outside.example.net.:80"))) == ["127.0.0.2:80"]


def test_the_targets_of_a_service_are_whole_names(names: NameServer, tmp_path: Path) -> None:
    """RFC 2782: a target is a domain name, of which no search list may make another one."""
    names.records["_http._tcp.app.test", "SRV"] = (20, ["10 1 8081 web.", "10 1 8082 one.test."])
    names.records["web.internal.test", "A"] = (60, ["127.0.0.66"])
    names.records["one.test", "A"] = (60, ["127.0.0.2"])
    (tmp_path / "resolv.conf").write_text("search internal.test\nnameserver 192.0.2.1\n", "utf-8")
    settings = Settings(servers=[names.address], timeout="10s")  # type: ignore[arg-type]
    resolver = NameResolver(settings, "/nowhere", str(tmp_path / "resolv.conf"))
    assert hosts(resolver.look_up(SERVICE)) == ["127.0.0.2:8082"]


@pytest.mark.parametrize("name", ["written.test.", "other.", "localhost.", "x.localhost."])
def test_the_hosts_file_knows_a_whole_name(resolver: NameResolver, names: NameServer, name: str) -> None:
    """Whether a name is whole says where else it is not searched for; what the file says of it holds."""
    assert resolver.look_up(Address.parse(f"{name}:80")).why == ""
    assert not names.asked


def test_a_service_gives_ports_weights_and_a_reserve(names: NameServer, resolver: NameResolver) -> None:
    names.records["_http._tcp.app.test", "SRV"] = (
        20, ["10 60 8081 one.test.", "10 20 8082 two.test.", "20 0 8083 three.test."],
    )  # fmt: skip
    for number, name in enumerate(("one", "two", "three")):
        names.records[f"{name}.test", "A"] = (60, [f"127.0.0.{number + 2}"])
    answer = resolver.look_up(SERVICE)
    assert set(answer.found) == {
        FoundAddress("127.0.0.2", 8081, 60, False),
        FoundAddress("127.0.0.3", 8082, 20, False),
        FoundAddress("127.0.0.4", 8083, 1, True),
    }
    assert answer.ttl == 20


def test_a_service_whose_targets_cannot_all_be_looked_up_gives_the_others(
    names: NameServer, resolver: NameResolver
) -> None:
    names.records["_http._tcp.app.test", "SRV"] = (20, ["10 1 8081 one.test.", "10 1 8082 gone.test."])
    names.records["one.test", "A"] = (60, ["127.0.0.2"])
    assert hosts(resolver.look_up(SERVICE)) == ["127.0.0.2:8081"]


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ({}, "no such name"),
        ({("_http._tcp.app.test", "A"): (5, ["127.0.0.2"])}, "no such service"),
        ({("_http._tcp.app.test", "SRV"): (5, ["0 0 0 ."])}, "the service is not available"),
        ({("_http._tcp.app.test", "SRV"): (5, ["0 0 80 gone.test."])}, "gone.test: no such name"),
    ],
)
def test_why_a_service_has_no_servers(names: NameServer, resolver: NameResolver, records: dict, why: str) -> None:
    names.records.update(records)
    assert resolver.look_up(SERVICE) == NameAnswer((), 0.0, why)


def test_what_cannot_be_reached_is_left_out_unless_nothing_can() -> None:
    assert reachable(("127.0.0.1", "not an address")) == ("127.0.0.1",)
    assert reachable(("not an address",)) == ("not an address",)


def test_a_hosts_file_with_all_sorts_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(
        b"# none\n127.0.0.1 A.test b.test # c.test\n\n::1\tA.test.\nnonsense d.test\n127.0.0.1 a.test\n\xff\n"
    )
    assert read_hosts(str(path)) == {"a.test": ("127.0.0.1", "::1"), "b.test": ("127.0.0.1",)}
