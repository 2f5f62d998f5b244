"""Addresses in their one form, and whom to trust."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from l7.networks import UNIX, Trusted, canonical, of_peer, subscriber_of, unmapped


@pytest.mark.parametrize(
    ("host", "form"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("fe80::1%eth0", "fe80::1")],
)
def test_a_peer_has_the_form_of_any_other_address(host, form):
    assert of_peer(host) == canonical(host) == form


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::1", "::2", True),
        (UNIX, UNIX, True),
        (UNIX, "10.0.0.1", False),
        ("1.2.3.44", "312e:322e:332e:3434::", False),
        ("not an address", ":", False),
    ],
)
def test_an_ipv6_client_is_its_network(one, other, same):
    assert (subscriber_of(one) == subscriber_of(other)) is same


@pytest.mark.parametrize(
    ("network", "form"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:1.2.3.4/128", "1.2.3.4/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_of_mapped_addresses_is_one_of_ipv4(network, form):
    assert str(unmapped(ip_network(network))) == form


def test_who_is_trusted():
    some = Trusted([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])
    assert "10.1.2.3" in some and "2001:db8::1" in some
    assert "11.0.0.1" not in some and "::1" not in some and UNIX not in some
    assert UNIX in Trusted([UNIX]) and "10.0.0.1" not in Trusted([UNIX])
    assert "10.0.0.1" in Trusted([UNIX, ip_network("10.0.0.0/8")])
