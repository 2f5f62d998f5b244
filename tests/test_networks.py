"""Addresses in their one form, and whom to trust."""

from __future__ import annotations

import random
from ipaddress import ip_network

import pytest

from l7.networks import UNIX, NetworkSet, Trusted, canonical, ipv4_number, of_peer, subscriber_of, unmapped


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


@pytest.mark.parametrize(
    ("client", "number"),
    [
        ("0.0.0.0", 0),
        ("1.2.3.4", 0x01020304),
        ("10.0.0.200", 0x0A0000C8),
        ("255.255.255.255", 2**32 - 1),
        *dict.fromkeys(
            [
                "", ".", "...", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.", "1.2.3.4.5", "01.2.3.4", "1.2.3.00",
                "1.2.3.256", "1.2.3.1000", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4", "1.2.3.a", "1.2.3.\u0664", "::1",
                "::ffff:1.2.3.4", UNIX, "4294967297",
            ],
            -1,
        ).items(),
    ],
)  # fmt: skip
def test_an_ipv4_address_is_a_number(client, number):
    assert ipv4_number(client) == number


def test_who_is_trusted():
    some = Trusted([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])
    assert "10.1.2.3" in some and "2001:db8::1" in some
    assert "11.0.0.1" not in some and "::1" not in some and UNIX not in some
    assert UNIX in Trusted([UNIX]) and "10.0.0.1" not in Trusted([UNIX])
    assert "10.0.0.1" in Trusted([UNIX, ip_network("10.0.0.0/8")])


def test_many_networks_are_searched_as_one_by_one():
    chance = random.Random(7)
    for _ in range(30):
        networks = []
        for _ in range(chance.randrange(1, 40)):
            bits, most = chance.choice([(32, 2**32), (128, 2**128)])
            prefix = chance.randrange(bits + 1)
            whole = chance.randrange(most) if chance.random() < 0.5 else chance.randrange(2**9) << (bits - 9)
            base = whole >> (bits - prefix) << (bits - prefix)
            networks.append(ip_network((base, prefix)))
        some = NetworkSet(networks)
        edges = [one[index] for one in networks for index in (0, -1)]
        near = [edge + step for edge in edges for step in (-1, 0, 1) if 0 <= int(edge) + step < 2**edge.max_prefixlen]
        for address in near:
            if address.version == 6 and address.ipv4_mapped is not None:
                continue  # never an address of a client: it is IPv4 then
            expected = any(address in one for one in networks)
            assert (str(address) in some) is expected, (address, networks)
    with pytest.raises(ValueError, match="is no address"):
        "x" in NetworkSet([ip_network("10.0.0.0/8")])  # noqa: B015
