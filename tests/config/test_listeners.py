"""`listeners`, and `port` and `bind` as their short form: what is taken, what is refused, what a dump shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from l7.config.changes import changes, needs_restart
from l7.config.reading.loading import load
from l7.config.rendering.dump import render_dump
from l7.config.schema import Config
from l7.config.sections.listeners import ListenerConfig, ListenerTls, short_form
from l7.config.values.addresses import Address
from l7.config.values.listener import FIRST_TLS_PORT
from l7.errors import ConfigError

BACKENDS = "backends: {a: {servers: [b]}}\n"


def config(text: str, *argv: str, environ: dict[str, str] | None = None) -> Config:
    return load(["-c", "l7.yml", *argv], environ or {}, read_bytes=lambda _: (text + BACKENDS).encode()).config


def refused(text: str, *argv: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as refusal:
        config(text, *argv, environ=environ)
    return [str(problem) for problem in refusal.value.problems]


def listeners(*items: object) -> Config:
    return Config.model_validate({"listeners": items, "backends": {"a": {"servers": ["b"]}}})


def test_each_address_of_the_short_form_is_a_listener() -> None:
    found = short_form(("*", "unix:/run/l7.sock", "::1"), 80)
    assert [one.address for one in found] == [Address("*", 80), Address("", 0, "/run/l7.sock"), Address("::1", 80)]
    assert {one.scheme for one in found} == {b"http"}
    assert config("port: 81\nbind: ['::1', 127.0.0.1]\n").listened_on == short_form(("::1", "127.0.0.1"), 81)
    assert config("").listened_on == short_form(("*",), 80)
    assert config("listeners: []\nport: 81\n").listened_on == short_form(("*",), 81)


def test_the_long_form_says_everything_of_each() -> None:
    one, two, three = config(
        "listeners:\n"
        "  - '*:80'\n"
        "  - {address: '[0:0::1]:8443', redirect-to-https: 8444, proxy-protocol: [10.0.0.0/8, 'unix:']}\n"
        "  - {address: 'unix:/run/l7.sock', tls: no, redirect-to-https: off}\n"
    ).listened_on
    assert (one.address, one.redirect_to_https, one.proxy_protocol, one.tls) == (Address("*", 80), None, (), None)
    assert (str(two.address), two.redirect_to_https) == ("[::1]:8443", 8444)
    assert [str(network) for network in two.proxy_protocol] == ["10.0.0.0/8", "unix:"]
    assert three == ListenerConfig.model_construct(address=Address("", 0, "/run/l7.sock"))


def test_true_is_tls_with_nothing_particular() -> None:
    (plain, one, two) = listeners(
        {"address": "*:80", "redirect-to-https": True},
        {"address": "*:443", "tls": "true"},
        {"address": "*:444", "tls": {"min-version": "1.3", "client-auth": "require", "client-ca": "/ca.pem"}},
    ).listeners
    assert plain.redirect_to_https == FIRST_TLS_PORT
    assert (one.tls, one.scheme) == (ListenerTls.model_construct(), b"https")
    assert two.tls == ListenerTls.model_construct(min_version="1.3", client_auth="require", client_ca="/ca.pem")


def test_the_short_form_beside_it_is_refused_by_name() -> None:
    what = "cannot stand beside listeners, of which it is the short form; write it into the address of a listener"
    text = "listeners: ['*:80']\n"
    assert refused(text + "bind: '*'\n") == [f"l7.yml:2: bind: {what} (l7.yml:1)"]
    assert refused(text, "-p", "80", "--bind", "::1") == [f"--port: {what} (l7.yml:1)", f"--bind: {what} (l7.yml:1)"]
    assert refused(text, environ={"L7_PORT": "80"}) == [f"L7_PORT: {what} (l7.yml:1)"]


@pytest.mark.parametrize(
    ("items", "problems"),
    [
        ("['*:80', '*:80']", ["1].address: '*:80' is given twice"]),
        ("['*:80', '127.0.0.1:80']", ["1].address: '*:80' and '127.0.0.1:80' are one in the other; leave one"]),
        ("['*:80', '127.0.0.1:81', '127.0.0.2:80']", ["2].address: '*:80' and '127.0.0.2:80' are one"]),
        ("['*']", ["0].address: '*' has no port"]),
        ("[80]", ["0].address: '80' has no port"]),
        ("['::1:80']", ["0].address: '::1:80' has no port"]),
        ("['a:80']", ["0].address: 'a:80' is not an IP address with a port"]),
        ("['*:65536']", ["0].address: 65536 is out of range"]),
        ("[{address: '*:80', redirect-to-https: true}]", ["0].redirect-to-https: no listener has tls; write the port"]),
        ("[{address: '*:80', redirect-to-https: 80}]", ["0]: redirect-to-https: 80 leads to this listener itself"]),
        ("[{address: '*:80', redirect-to-https: x}]", ["0].redirect-to-https: 'x' is neither true nor false nor a"]),
        ("[{address: '*:80', redirect-to-https: 0}]", ["0].redirect-to-https: 0 is out of range"]),
        ("[{address: '*:80', proxy-protocol: [10.0.0.1/8]}]", ["0].proxy-protocol[0]: '10.0.0.1/8' has host bits"]),
        ("[{address: '*:80', proxy-protocol: 10.0.0.0/8}]", ["0].proxy-protocol: write a list"]),
        ("[{address: '*:80', adress: a}]", ["0].adress: unknown key; did you mean 'address'?"]),
        ("[{address: '*:80', tls: x}]", ["0].tls: 'x' is neither true nor false"]),
        ("[{address: '*:80', tls: {min-version: 1.1}}]", ["0].tls.min-version: '1.1' is unknown; write 1.2 or 1.3"]),
        ("[{tls: false}]", ["0].address: is missing"]),
        (
            "[{address: '*:443', tls: true, redirect-to-https: 444}]",
            ["0]: redirect-to-https is for a listener without"],
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(items: str, problems: list[str]) -> None:
    found = refused(f"listeners: {items}\n")
    assert len(found) == len(problems)
    for one, expected in zip(found, problems, strict=True):
        assert one.startswith("l7.yml:1: listeners[" + expected)


def test_a_dump_loads_back_and_has_no_short_form(tmp_path: Path) -> None:
    text = (
        "listeners:\n  - '*:80'\n"
        "  - {address: '[::1]:8443', redirect-to-https: 8444, proxy-protocol: [10.0.0.0/8, 'unix:']}\n"
    )
    loaded = load(["-c", "l7.yml"], {}, read_bytes=lambda _: (text + BACKENDS).encode())
    dump = render_dump(loaded)
    assert dump.splitlines()[:11] == [
        "listeners:",
        "- address: '*:80'  # l7.yml:2",
        "  tls: false  # default",
        "  redirect-to-https: false  # default",
        "  proxy-protocol: []  # default",
        "- address: '[::1]:8443'  # l7.yml:3",
        "  tls: false  # default",
        "  redirect-to-https: 8444  # l7.yml:3",
        "  proxy-protocol:",
        "  - 10.0.0.0/8  # l7.yml:3",
        "  - 'unix:'  # l7.yml:3",
    ]
    assert "port:" not in dump.replace("report:", "")
    assert load(["-c", "x"], {}, read_bytes=lambda _: dump.encode()).config == loaded.config


def test_what_changes_is_told_listener_by_listener() -> None:
    old = listeners("*:80", {"address": "*:81", "proxy-protocol": ["10.0.0.0/8"]}, "unix:/a")
    new = listeners({"address": "*:81"}, {"address": "*:80", "redirect-to-https": 443}, "[::1]:2")
    assert changes(old, new) == [
        "listeners: *:80: redirect-to-https: false -> 443",
        "listeners: *:81: proxy-protocol: [10.0.0.0/8] -> []",
        "listeners: unix:/a: removed",
        "listeners: [::1]:2: added",
    ]
    short = Config.model_validate({"port": 81, "backends": {"a": {"servers": ["b"]}}})
    tls = listeners({"address": "*:81", "tls": {"client-auth": "request"}}, {"address": "*:443", "tls": True})
    assert changes(short, tls) == [
        "listeners: *:81: tls: false -> {client-auth: request}",
        "listeners: *:443: added (tls: true)",
    ]
    assert changes(short, listeners("*:81")) == []


def test_what_cannot_be_bound_beside_what_is_bound_needs_a_restart() -> None:
    old = listeners("127.0.0.1:8080", "*:8081")
    assert needs_restart(old, listeners("*:8081", "127.0.0.1:8082", "127.0.0.2:8080")) == []
    assert needs_restart(old, listeners("*:8080", "127.0.0.1:81", "[::1]:8081")) == [
        "listeners: port 8080 (* cannot be bound while 127.0.0.1 is)",
        "listeners: port 81 (a port below 1024)",
        "listeners: port 8081 (::1 cannot be bound while * is)",
    ]
