"""What differs between two configurations, and what needs a restart."""

from __future__ import annotations

from typing import Any

import pytest

from l7.config.changes import changes, needs_restart
from l7.config.comparison import with_other_servers
from l7.config.schema import Config


def config(**settings: Any) -> Config:
    hosts = settings.pop("hosts", {"a": ["x:1", "y:2"]})
    return Config(backends={host: {"servers": servers} for host, servers in hosts.items()}, **settings)


def test_nothing_changed() -> None:
    assert changes(config(), config()) == []


def test_hosts_and_servers() -> None:
    old = config(hosts={"a": ["x:1", "y:2"], "gone": ["z:1"], "turned": ["1.1.1.1:1", "2.2.2.2:2"]})
    new = config(hosts={"a": ["y:2", "w:3", "w:3"], "new": ["v:1", "u:2"], "turned": ["2.2.2.2:2", "1.1.1.1:1"]})
    assert changes(old, new) == [
        "backends.a: server w:3 added",
        "backends.a: server w:3 added",
        "backends.a: server x:1 removed",
        "backends.gone: removed (z:1)",
        "backends.new: added (v:1, u:2)",
        "backends.turned: servers in another order",
    ]


def test_backends_that_are_new_or_have_other_servers() -> None:
    old = config(hosts={"a": ["x:1", "y:2"], "b": ["x:1"], "c": ["x:1"], "d": ["x:1", "y:2"], "gone": ["z:1"]})
    weighed: Any = [{"address": "x:1", "weight": 3, "backup": True}]
    hosts = {"a": ["y:2", "x:1", "x:1"], "b": weighed, "c": ["x:2"], "d": ["x:1"], "new": ["x:1"], "none": []}
    assert with_other_servers(old, config(hosts=hosts)) == ("c", "d", "new", "none")


def test_mappings_are_compared_by_their_keys() -> None:
    """What is not compared holds no value: a header field that says who asks is a secret."""
    headers: Any = {"set": {"X-A": "1", "X-Gone": "2", "Authorization": "hunter2"}, "add": {"X-Tag": ["a", "b"]}}
    old = Config(backends={"a": {"servers": ["b"], "request-headers": headers}})
    headers = {"set": {"X-A": "{host}", "X-New": "3", "Authorization": "hunter3", "X-Api-Key": "hunter2"}}
    new = Config(backends={"a": {"servers": ["b"], "request-headers": {**headers, "add": {"X-Tag": "a"}}}})
    assert changes(old, new) == [
        "backends.a.request-headers.set.X-A: '1' -> '{host}'",
        "backends.a.request-headers.set.X-Gone: removed",
        "backends.a.request-headers.set.Authorization: changed",
        "backends.a.request-headers.set.X-New: added ('3')",
        "backends.a.request-headers.set.X-Api-Key: added",
        "backends.a.request-headers.add.X-Tag: [a, b] -> [a]",
    ]
    assert changes(old, old) == []


def test_settings_are_shown_as_they_are_written() -> None:
    new = config(port=81, bind="::1", graceful_timeout="2m", limits={"body": "1MB"}, trusted_proxies=["10.0.0.0/8"])
    assert changes(config(port=82), new) == [
        "port: 82 -> 81",
        "bind: '*' -> '::1'",
        "graceful-timeout: 8s -> 2m",
        "trusted-proxies: [] -> [10.0.0.0/8]",
        "limits.body: unlimited -> 1MB",
    ]
    old = Config(backends={"a": {"servers": ["b"]}})
    other = Config(backends={"a": {"servers": ["b"], "retries": 0, "timeouts": {"connect": "1s"}}})
    assert changes(old, other) == ["backends.a.retries: 2 -> 0", "backends.a.timeouts.connect: 3s -> 1s"]
    sections: Any = {"health": {}, "buffer": "off", "ejection": {"failures": 7}}
    other = Config(backends={"a": {"servers": ["b"], **sections}})
    assert changes(old, other) == [
        "backends.a.health: 'off' -> on",
        "backends.a.ejection.failures: 3 -> 7",
        "backends.a.buffer: on -> 'off'",
    ]


def test_logins_without_their_passwords() -> None:
    old = config(users={"a": "hunter2", "b": "hunter2", "same": "hunter2"})
    lines = changes(old, config(users={"a": "hunter3", "c": "hunter2", "same": "hunter2"}))
    assert lines == ["users.a: password changed", "users.b: removed", "users.c: added"]


def test_other_secrets_are_not_shown_either() -> None:
    def signed(secret: str) -> Config:
        return Config(backends={"a": {"servers": ["b"], "sticky": {"secret": secret}}})

    assert changes(signed("0123456789abcdef"), signed("0123456789abcdeg")) == ["backends.a.sticky.secret: changed"]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ({}, {}, []),
        ({"port": 8080}, {"port": 8081}, []),
        ({"port": 80}, {"port": 8080}, []),
        ({"port": 8080}, {"port": 80}, ["port"]),
        ({"port": 8080}, {"port": 80, "bind": "unix:/x"}, []),
        ({"port": 80}, {"port": 80, "bind": "::1"}, ["bind"]),
        ({"port": 80, "bind": ["::1", "127.0.0.1"]}, {"port": 80, "bind": ["::1", "unix:/x"]}, []),
        ({"port": 8080}, {"port": 8080, "bind": "::1"}, ["bind"]),
        ({"port": 8080, "bind": "0.0.0.0"}, {"port": 8080, "bind": "127.0.0.1"}, ["bind"]),
        ({"port": 8080, "bind": "0.0.0.0"}, {"port": 8080, "bind": ["0.0.0.0", "::"]}, []),
        ({"port": 8080, "bind": "0.0.0.0"}, {"port": 8080, "bind": "*"}, ["bind"]),
        ({"port": 8080, "bind": ["0.0.0.0", "::"]}, {"port": 8080, "bind": ["0.0.0.0", "::", "unix:/x"]}, []),
        ({"port": 8080, "bind": ["0.0.0.0", "::"]}, {"port": 8080, "bind": ["0.0.0.0", "::1"]}, ["bind"]),
        ({"port": 8080, "bind": "127.0.0.1"}, {"port": 8080, "bind": "::"}, ["bind"]),
        ({"port": 8080, "bind": "127.0.0.1"}, {"port": 8080, "bind": ["127.0.0.2", "::1"]}, []),
        ({"port": 8080}, {"port": 8081, "bind": "127.0.0.1"}, []),
        ({"port": 0}, {"port": 0, "bind": "127.0.0.1"}, []),
        ({"port": 8080}, {"port": 8080, "admin": "127.0.0.1:9180"}, []),
        ({"port": 8080}, {"port": 8080, "admin": "unix:/x"}, []),
        ({"port": 8080}, {"port": 8080, "admin": "127.0.0.1:80"}, ["admin"]),
        ({"port": 8080, "admin": "127.0.0.1:80"}, {"port": 8080, "admin": "127.0.0.1:80"}, []),
        ({"port": 8080, "admin": "127.0.0.1:80"}, {"port": 8080}, []),
        ({"admin": "127.0.0.1:9180"}, {"admin": {"address": "127.0.0.1:9180", "hosts": ["a"]}}, []),
        ({"admin": "127.0.0.1:9180"}, {"admin": "0.0.0.0:9180"}, ["admin"]),
        ({"admin": "[::]:9180"}, {"admin": "127.0.0.1:9180"}, ["admin"]),
        ({"admin": "127.0.0.1:9180"}, {"admin": "0.0.0.0:9181"}, []),
        ({}, {"run_as": "nobody"}, ["run-as"]),
        ({"pid_file": "/a"}, {"pid_file": "/b"}, ["pid-file"]),
        ({}, {"control": "off", "canary_time": 0}, ["control"]),
        ({}, {"workers": 3, "users": {"a": "b"}, "access_log": "off"}, []),
    ],
)
def test_what_a_reload_cannot_apply(old: dict[str, Any], new: dict[str, Any], named: list[str]) -> None:
    assert [line.partition(":")[0] for line in needs_restart(config(**old), config(**new))] == named


def test_sockets_that_were_handed_over_make_every_bind_right() -> None:
    assert needs_restart(config(port=8080), config(port=80, bind="::1"), handed=True) == []
    assert needs_restart(config(port=8080), config(port=8080, bind="::1"), privileged=True) != []


def test_a_master_that_may_bind_any_port_can_apply_ports() -> None:
    assert needs_restart(config(port=8080), config(port=80), privileged=True) == []
    assert needs_restart(config(port=8080), config(port=80), unprivileged_from=80) == []
