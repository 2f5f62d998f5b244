"""What l7 tells a server of the client, and whom it believes about earlier hops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness.client import request
from tests.harness.l7process import L7Process
from tests.harness.origin import Origin, Request
from tests.harness.over_tls import scheme
from tests.harness.stage import Play, Stage

BACKENDS = "backends: {{'*': {{servers: ['{address}']}}}}\n"
TRUSTING = "trusted-proxies: [127.0.0.1, 10.0.0.0/8]\n" + BACKENDS


@pytest.fixture(scope="module")
def open_to_all() -> Iterator[Stage]:
    """Trusts nobody."""
    with Stage(BACKENDS) as stage:
        yield stage


@pytest.fixture(scope="module")
def behind_another() -> Iterator[Stage]:
    """Trusts this machine, where the tests are."""
    with Stage(TRUSTING) as stage:
        yield stage


@pytest.fixture
def stranger(open_to_all: Stage) -> Iterator[Play]:
    """Requests come from who is not trusted."""
    with open_to_all.scene() as play:
        yield play


@pytest.fixture
def trusted(behind_another: Stage) -> Iterator[Play]:
    """Requests come from a trusted proxy."""
    with behind_another.scene() as play:
        yield play


def ask(play: Play, *headers: tuple[str, str]) -> Request:
    """One request with these fields, as it arrives."""
    app = play()
    assert request(play.port, "GET", "/x", host="example.com:8080", headers=headers).status == 200
    return app.requests[-1]


SAID = (
    ("X-Forwarded-For", "192.0.2.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "public.test"),
    ("X-Forwarded-Port", "443"),
    ("X-Request-ID", "from-outside-0123456789"),
    ("Forwarded", "for=192.0.2.1;proto=https"),
    ("X-Real-IP", "192.0.2.1"),
)


def test_a_stranger_is_not_believed(stranger: Play) -> None:
    """Everything it says of earlier hops is replaced or dropped; the log shows its own address."""
    arrived = ask(stranger, *SAID)
    assert arrived.header(b"x-forwarded-for") == b"127.0.0.1"
    assert arrived.header(b"x-forwarded-proto") == scheme()
    assert arrived.header(b"x-forwarded-host") == b"example.com:8080"
    assert arrived.header(b"x-forwarded-port") == b"8080"
    assert b"from-outside" not in (arrived.header(b"x-request-id") or b"")
    assert arrived.values(b"forwarded") == []
    assert arrived.values(b"x-real-ip") == [b"127.0.0.1"]
    stranger.wait_for_log(r"^127\.0\.0\.1 - ")


def test_a_trusted_proxy_is_believed(trusted: Play) -> None:
    """What it says travels on, its own address is added to the chain, and the log shows the client it names."""
    arrived = ask(trusted, *SAID)
    assert arrived.header(b"x-forwarded-for") == b"192.0.2.1, 127.0.0.1"
    assert arrived.header(b"x-forwarded-proto") == b"https"
    assert arrived.header(b"x-forwarded-host") == b"public.test"
    assert arrived.header(b"x-forwarded-port") == b"443"
    assert arrived.header(b"x-request-id") == b"from-outside-0123456789"
    assert arrived.header(b"forwarded") == b"for=192.0.2.1;proto=https"
    assert arrived.header(b"x-real-ip") == b"192.0.2.1"
    assert arrived.header(b"host") == b"example.com:8080"
    trusted.wait_for_log(r"^192\.0\.2\.1 - .* from-outside-0123456789 ")


def test_a_trusted_proxy_that_says_nothing(trusted: Play) -> None:
    """It is then itself the client."""
    arrived = ask(trusted)
    assert arrived.header(b"x-forwarded-for") == b"127.0.0.1"
    assert arrived.header(b"x-forwarded-proto") == scheme()
    assert arrived.header(b"x-forwarded-host") == b"example.com:8080"
    trusted.wait_for_log(r"^127\.0\.0\.1 - ")


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1", "10.1.2.3, 10.0.0.1"], "192.0.2.1"),
        (["10.1.2.3, 10.0.0.1"], "10.1.2.3"),
        (["2001:db8::1"], "2001:db8::1"),
        (["6.6.6.6, junk"], "127.0.0.1"),
        (["6.6.6.6, junk, 10.0.0.1"], "10.0.0.1"),
        ([""], "127.0.0.1"),
        (["203.0.113.7:51234"], "203.0.113.7"),
        (['"203.0.113.7:51234"'], "203.0.113.7"),
        (["[2001:db8::7]:443"], "2001:db8::7"),
        (["6.6.6.6, 203.0.113.7:1, [::ffff:10.0.0.1]:2"], "203.0.113.7"),
        (["6.6.6.6, ::ffff:192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, fe80::1%eth0"], "fe80::1"),
        (["6.6.6.6, unknown, 10.0.0.1:7"], "10.0.0.1"),
        (["6.6.6.6, _hidden"], "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_that_is_not_trusted(chain: list[str], client: str, trusted: Play) -> None:
    """What stands before it, anybody can have written; the chain goes on as it came, in one field."""
    arrived = ask(trusted, *[("X-Forwarded-For", part) for part in chain])
    whole = ", ".join(part for part in chain if part)
    assert arrived.header(b"x-forwarded-for") == (f"{whole}, 127.0.0.1" if whole else "127.0.0.1").encode()
    trusted.wait_for_log("^" + client.replace(".", r"\.") + " - ")


def test_forwarded_alone_names_the_client(trusted: Play) -> None:
    """As HAProxy's ``option forwarded`` writes it; the fields that most applications read say the same."""
    arrived = ask(trusted, ("Forwarded", 'for=6.6.6.6, for="[2001:db8::7]:443";proto=https;host=public.test'))
    assert arrived.header(b"x-forwarded-for") == b"6.6.6.6, 2001:db8::7, 127.0.0.1"
    assert arrived.header(b"x-forwarded-proto") == b"https"
    assert arrived.header(b"x-forwarded-host") == b"public.test"
    assert arrived.header(b"x-forwarded-port") == b"443"
    assert arrived.values(b"x-real-ip") == [b"2001:db8::7"]
    trusted.wait_for_log(r"^2001:db8::7 - ")


def test_clients_behind_a_gateway_are_told_apart(l7: Callable[..., L7Process], origin: Callable[..., Origin]) -> None:
    """Azure's gateways write a port behind each address: 60 clients on changing ports are 60, not one.

    So they are to nginx (``hash $remote_addr`` with ``real_ip``), HAProxy (``src`` with ``set-src``) and Caddy.
    """
    apps = [origin(), origin()]
    servers = ", ".join(app.address for app in apps)
    proxy = l7(f"trusted-proxies: [127.0.0.1]\nbackends: {{'*': {{balance: hash, servers: [{servers}]}}}}")

    def served_by(client: int, port: int) -> list[int]:
        before = [len(app.requests) for app in apps]
        chain = f"198.51.100.{client}:{port}"
        assert request(proxy.port, "GET", "/", headers=[("X-Forwarded-For", chain)]).status == 200
        return [len(app.requests) - count for app, count in zip(apps, before, strict=True)]

    first = [served_by(client, 50_000 + client) for client in range(60)]
    assert 10 < sum(one for one, _ in first) < 50
    assert [served_by(client, 60_000 - client) for client in range(60)] == first


# A proxy that comes by a unix socket


@pytest.fixture
def by_unix(l7: Callable[..., L7Process], origin: Callable[..., Origin], tmp_path: Path) -> Callable[[str], Unix]:
    """Start an l7 that listens on a unix socket, with these settings."""

    def start(settings: str) -> Unix:
        app, path = origin(), str(tmp_path / "l7.sock")
        config = f"bind: 'unix:{path}'\n{settings}\nbackends: {{'*': {{servers: ['{app.address}']}}}}"
        return Unix(l7(config, inherit=False), app, path)

    return start


class Unix(NamedTuple):
    """An l7 that listens on a unix socket, and its server."""

    proxy: L7Process
    app: Origin
    path: str

    def ask(self, *headers: tuple[str, str]) -> Request:
        """One request with these fields, as it arrives."""
        assert request(self.path, "GET", "/x", host="example.com", headers=headers).status == 200
        return self.app.requests[-1]


@pytest.mark.parametrize("settings", ["", "trusted-proxies: [127.0.0.1, '::/0']"])
def test_nothing_false_is_said_of_a_stranger_by_a_unix_socket(settings: str, by_unix: Callable[[str], Unix]) -> None:
    """It has no address, and what its client used nobody knows. The log says ``unix:``, as that of nginx."""
    running = by_unix(settings)
    arrived = running.ask(*SAID)
    for name in (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"forwarded", b"x-real-ip"):
        assert arrived.values(name) == []
    assert arrived.header(b"x-forwarded-host") == b"example.com"
    running.proxy.wait_for_output(r"^unix: - ")


def test_a_proxy_by_a_unix_socket_can_be_trusted(by_unix: Callable[[str], Unix]) -> None:
    """As with nginx (``set_real_ip_from unix:``) and Caddy (``trusted_proxies_unix``)."""
    running = by_unix("trusted-proxies: ['unix:', 10.0.0.0/8]")
    arrived = running.ask(*SAID)
    assert arrived.header(b"x-forwarded-for") == b"192.0.2.1"
    assert arrived.header(b"x-forwarded-proto") == b"https"
    assert arrived.header(b"x-forwarded-port") == b"443"
    running.proxy.wait_for_output(r"^192\.0\.2\.1 - .* from-outside-0123456789 ")
    arrived = running.ask(("X-Forwarded-For", "6.6.6.6, 192.0.2.9:80, 10.0.0.1"))
    assert arrived.header(b"x-forwarded-for") == b"6.6.6.6, 192.0.2.9:80, 10.0.0.1"
    assert arrived.values(b"x-forwarded-proto") == []
    running.proxy.wait_for_output(r"^192\.0\.2\.9 - ")


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X-Forwarded_Proto", "X_Request_ID", "Content_Length"])
def test_twins_are_dropped_even_from_a_trusted_proxy(name: str, trusted: Play) -> None:
    """An application behind CGI or WSGI cannot tell them from the real ones."""
    arrived = ask(trusted, (name, "6.6.6.6"))
    assert arrived.values(name.encode()) == []


@pytest.mark.parametrize("told", ["", "a b", 'a"b', "a\\b", "x" * 129, "\xff"])
def test_a_request_id_that_is_none_is_replaced(told: str, trusted: Play) -> None:
    """It goes into the log and into answers, so it has to be harmless."""
    arrived = ask(trusted, ("X-Request-ID", told))
    found = arrived.header(b"x-request-id") or b""
    assert found != told.encode("latin-1")
    assert len(found) == 32
