"""Asking clients for certificates: what a listener has of the general section, what is missing, what has no effect."""

from __future__ import annotations

import pytest

from l7.config.reading.loading import load
from l7.config.schema import Config
from l7.errors import ConfigError

BACKENDS = "backends: {a: {servers: [b]}}\n"
CERTIFICATES = "certificates: [a.pem]"


def config(text: str, *argv: str) -> Config:
    return load(["-c", "l7.yml", *argv], {}, read_bytes=lambda _: (text + BACKENDS).encode()).config


def asked(found: Config) -> list[tuple[str | None, str | None] | None]:
    """What is asked for on each listener, and by which file."""
    every = [found.tls_of(one) for one in found.listened_on]
    return [None if one is None else (one.client_auth, one.client_ca) for one in every]


def test_a_listener_has_what_it_does_not_say_of_the_general_section():
    found = config(
        "listeners:\n"
        "  - '*:1'\n"
        "  - {address: '*:2', tls: true}\n"
        "  - {address: '*:3', tls: {client-auth: off}}\n"
        "  - {address: '*:4', tls: {client-auth: request}}\n"
        "  - {address: '*:5', tls: {client-ca: /own.pem}}\n"
        f"tls: {{{CERTIFICATES}, client-auth: require, client-ca: /all.pem}}\n"
    )
    assert asked(found) == [
        None,
        ("require", "/all.pem"),
        ("off", "/all.pem"),
        ("request", "/all.pem"),
        ("require", "/own.pem"),
    ]
    assert asked(config(f"tls: {{{CERTIFICATES}}}\n")) == [("off", None)]


def test_both_are_flags():
    words = ["--tls-cert", "a.pem", "--tls-client-auth", "require", "--tls-client-ca", "/c.pem"]
    assert asked(config("", *words)) == [("require", "/c.pem")]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (f"tls: {{{CERTIFICATES}, client-auth: require}}\n", ["l7.yml:1: tls.client-auth: needs client-ca: the file"]),
        (
            f"tls: {{{CERTIFICATES}, client-ca: c.pem}}\n",
            ["l7.yml:1: tls.client-ca: nobody is asked for a certificate by it; write client-auth: require, too"],
        ),
        (
            "listeners: ['*:80']\ntls: {client-auth: require, client-ca: c.pem}\n",
            ["l7.yml:2: tls.client-auth: no listener has tls"],
        ),
        (
            f"listeners:\n- {{address: '*:1', tls: {{client-auth: request}}}}\n"
            f"- {{address: '*:2', tls: {{client-ca: c.pem}}}}\ntls: {{{CERTIFICATES}}}\n",
            [
                "l7.yml:2: listeners[0].tls.client-auth: needs client-ca",
                "l7.yml:3: listeners[1].tls.client-ca: nobody is asked for a certificate there",
            ],
        ),
        (
            f"listeners: [{{address: '*:1', tls: {{client-auth: require, client-ca: c.pem}}}}]\n"
            f"tls: {{{CERTIFICATES}, client-ca: d.pem}}\n",
            ["l7.yml:2: tls.client-ca: nobody is asked for a certificate by it"],
        ),
        (f"tls: {{{CERTIFICATES}, client-auth: yes}}\n", ["l7.yml:1: tls.client-auth: "]),
    ],
)
def test_what_is_missing_and_what_has_no_effect(text, problems):
    with pytest.raises(ConfigError) as caught:
        config(text)
    found = [str(one) for one in caught.value.problems]
    assert len(found) == len(problems), found
    for one, beginning in zip(found, problems, strict=True):
        assert one.startswith(beginning)
