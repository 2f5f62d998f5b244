"""The settings below a backend: read, checked, shown."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from l7.config.changes import changes
from l7.config.schema import Backend, Config
from l7.config.sections.backends import Ejection, Health, Server, Sticky
from l7.config.values.addresses import Address


def backend(**settings: Any) -> Backend:
    return Config.model_validate({"backends": {"a": {"servers": ["b:1"], **settings}}}).backends["a"]


def refusal(**settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        backend(**settings)
    (detail,) = caught.value.errors()
    return f"{'.'.join(map(str, detail['loc'][2:]))}: {detail['ctx']['error']}"


def test_everything_is_read() -> None:
    read = backend(
        servers=[{"address": "srv:_http._tcp.example.com", "weight": "0"}, {"address": "b", "backup": "yes"}],
        queue={"size": "0"},
        **{"hash-key": "header:X-Key", "balance": "hash", "max-connections": "7", "slow-start": "1m", "panic": "12.5%"},
        health={"path": "/x?y", "expect": "200-299, 304", "start": "down"},
        sticky={"secret": "0123456789abcdef", "max-age": "1h"},
        ejection="off",
        timeouts={"total": "30s"},
    )
    assert read.servers[0].address == Address("_http._tcp.example.com", 0, srv=True)
    assert (read.servers[0].weight, read.servers[1].backup) == (0, True)
    assert (read.hash_key, read.max_connections, read.slow_start, read.panic) == ("header:x-key", 7, 60.0, 0.125)
    assert read.health is not None
    assert read.health.expect == ((200, 299), (304, 304))
    assert (read.ejection, read.timeouts.total, read.queue.size) == (None, 30.0, 0)


def test_the_defaults() -> None:
    read = backend()
    assert (read.health, read.sticky, read.max_connections, read.timeouts.total) == (None, None, None, None)
    assert read.ejection == Ejection()
    assert (Health().interval, Health().timeout, Health().rise, Health().fall) == (2.0, 1.0, 2, 3)
    assert read.servers[0] == Server(address="b:1")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"hash-key": "target"}, ": hash-key needs balance: hash"),
        ({"balance": "hash", "hash-key": "ip"}, "hash-key: 'ip' is unknown; write client, target, header:NAME or"),
        ({"balance": "hash", "hash-key": "cookie:a b"}, "hash-key: 'a b' is not a name"),
        ({"health": {"body": "x"}}, "health: body needs a path"),
        ({"health": {"path": "/", "method": "HEAD", "body": "x"}}, "health: a response to HEAD has no body"),
        ({"health": {"path": "x"}}, "health.path: 'x' is not a path"),
        ({"health": {"path": "/", "expect": "299-200"}}, "health.expect: '299-200' is neither a status nor"),
        ({"health": {"path": "/", "host": "a b"}}, "health.host: 'a b' is not a host"),
        ({"ejection": {"max-time": "1s"}}, "ejection: max-time is shorter than time"),
        ({"ejection": {"rate": "0.5"}}, "ejection.rate: '0.5' is not a share; write it as in 20%"),
        ({"panic": "101%"}, "panic: '101%' is out of range"),
        ({"sticky": {"secret": "short"}}, "sticky.secret: write a random text of at least 16 characters"),
        ({"sticky": {"cookie": "a=b"}}, "sticky.cookie: 'a=b' is not a name"),
        ({"sticky": {"max-age": "0s"}}, "sticky.max-age: '0s' is too short; write at least 1s, or session"),
        ({"servers": [{"address": "b", "weight": "257"}]}, "servers.0.weight: 257 is out of range"),
        ({"servers": [{"address": "b", "backup": "2"}]}, "servers.0.backup: '2' is neither true nor false"),
        ({"servers": ["srv:http.tcp.x"]}, "servers.0.address: 'srv:http.tcp.x' is not the name of a service"),
        ({"max-connections": "0"}, "max-connections: 0 is out of range; write 1 to 1000000, or unlimited"),
        ({"timeouts": {"total": "0s"}}, "timeouts.total: '0s' is too short; write at least 1ms, or unlimited"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], expected: str) -> None:
    assert refusal(**settings).startswith(expected)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"admin": "127.0.0.1"}, "has no port"),
        ({"admin": "example.com:1"}, "is not an IP address"),
        ({"resolver": {"servers": ["dns.example.com"]}}, "is not an IP address"),
        ({"resolver": {"min-ttl": "1h"}}, "max-ttl is shorter than min-ttl"),
    ],
)
def test_what_is_not_of_a_backend(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        Config.model_validate(settings)


def test_addresses_of_name_servers_and_of_the_administration() -> None:
    read = Config.model_validate({"admin": "[::1]:9180", "resolver": {"servers": ["127.0.0.1", "::1", "[::1]:5353"]}})
    assert [str(one) for one in read.resolver.servers] == ["127.0.0.1:53", "[::1]:53", "[::1]:5353"]
    assert str(read.admin_address) == "[::1]:9180"
    assert Config.model_validate({"admin": "off"}).admin is None


def test_a_secret_is_never_shown() -> None:
    sticky = Sticky(secret="0123456789abcdef")
    assert "0123" not in repr(sticky)
    assert Sticky.shown("secret", sticky.secret) == "***"
    old, new = (Config(backends={"a": {"servers": ["b"], "sticky": {"secret": s * 16}}}) for s in "xy")
    assert changes(old, new) == ["backends.a.sticky.secret: changed"]


def test_changes_of_sections_and_servers() -> None:
    old = Config(backends={"a": {"servers": ["b:1", "c:1"]}})
    servers = ["b:1", {"address": "c:1", "weight": 3}]
    new = Config(backends={"a": {"servers": servers, "health": {"path": "/x"}, "ejection": "off"}})
    assert changes(old, new) == [
        "backends.a.health: 'off' -> {path: /x}",
        "backends.a.ejection: on -> 'off'",
        "backends.a: server c:1: weight: 1 -> 3",
    ]
