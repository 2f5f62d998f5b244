"""Addresses of clients in their one form, and the networks that are trusted: so that equal ones compare as equal."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network

UNIX = "unix:"
"""Who comes by a unix socket: it has no address."""

_MAPPED = "::ffff:"
_MAPPED_BITS = 96
_MAPPED_NETWORK = IPv6Network(f"{_MAPPED}0:0/{_MAPPED_BITS}")


def canonical(host: str) -> str:
    """An address in its one form: without zone, IPv4 that is written as IPv6 is IPv4. Raises ValueError for others."""
    bare, percent, zone = host.partition("%")
    address = ipaddress.ip_address(bare)
    if percent and (not zone or address.version == 4):
        raise ValueError(f"{host!r} has no zone, or can have none")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def normal_host(host: str) -> str:
    """A host's one form, in the configuration and in requests: lower case, no last dot, IPv6 in its short form.

    Raises ValueError for what has a colon and is no IPv6 address; names are for the caller to check.
    """
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    return host.lower() if host == "." else host.lower().removesuffix(".")


def host_port(host: str, port: int) -> str:
    """``host:port`` as it is written and read (RFC 3986, 3.2.2): an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def of_peer(host: str) -> str:
    """As `canonical`, for an address that the kernel wrote: it needs no check."""
    if host.startswith(_MAPPED) and "." in host:
        return host[len(_MAPPED) :]
    return host.partition("%")[0]


def unmapped(network: Network) -> Network:
    """The network of IPv4 addresses that one of IPv6 stands for (RFC 4291, 2.5.5.2); others as they are."""
    if isinstance(network, IPv4Network) or not network.subnet_of(_MAPPED_NETWORK):
        return network
    return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED_BITS))


class Trusted:
    """Whom to trust: addresses in networks, and with `UNIX` all who come by a unix socket."""

    __slots__ = ("_networks", "_unix")

    def __init__(self, trusted: Iterable[Network | str]) -> None:
        entries = tuple(trusted)
        self._networks = tuple(one for one in entries if not isinstance(one, str))
        self._unix = UNIX in entries

    def __contains__(self, client: str) -> bool:
        if client == UNIX:
            return self._unix
        if not self._networks:
            return False
        address = ipaddress.ip_address(client)
        return any(address in network for network in self._networks)
