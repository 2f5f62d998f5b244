"""Addresses of clients in their one form, and the networks that they are in: so that equal ones compare as equal.

Hot: rules by address look a client up for each request.
"""

from __future__ import annotations

import ipaddress
import socket
from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network

UNIX = "unix:"
"""Who comes by a unix socket: it has no address."""

# As the compiler's own integers: see the .pxd.
_ZERO = 0x30
_NINE = 0x39
_DOT = 0x2E
_DOTS = 3
_OCTET = 255

_PACKED_IPV4 = 5
"""Octets of an address in a range, with its family."""
_MAPPED = "::ffff:"
_MAPPED_BITS = 96
_MAPPED_BYTES = b"\0" * 10 + b"\xff\xff"
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


def subscriber_of(client: str) -> bytes:
    """Whom a client's address stands for, as few bytes: an IPv6 network of 64 bits is one customer's, or less."""
    if ":" not in client or client == UNIX:
        return client.encode("ascii", "replace")
    try:
        address = socket.inet_pton(socket.AF_INET6, client)
    except (OSError, ValueError):
        return client.encode("ascii", "replace")
    if address.startswith(_MAPPED_BYTES):
        return socket.inet_ntop(socket.AF_INET, address[len(_MAPPED_BYTES) :]).encode("ascii")
    return b":" + address[:8]


def unmapped(network: Network) -> Network:
    """The network of IPv4 addresses that one of IPv6 stands for (RFC 4291, 2.5.5.2); others as they are."""
    if isinstance(network, IPv4Network) or not network.subnet_of(_MAPPED_NETWORK):
        return network
    return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - _MAPPED_BITS))


class NetworkSet:
    """Addresses in networks, and with `UNIX` all who come by a unix socket; as quick with thousands as with one."""

    __slots__ = ("_borders", "_first", "_last", "_unix", "entries")

    def __init__(self, entries: Iterable[Network | str]) -> None:
        self.entries = tuple(entries)
        """What it was made of, in that order."""
        self._unix = UNIX in self.entries
        ranges = sorted(_range(unmapped(entry)) for entry in self.entries if not isinstance(entry, str))
        self._first: list[bytes] = []
        self._last: list[bytes] = []
        for first, last in ranges:
            if self._last and first <= _behind(self._last[-1]):
                self._last[-1] = max(last, self._last[-1])
            else:
                self._first.append(first)
                self._last.append(last)
        self._borders: list[int] = []
        """Of the networks of IPv4 the first address, and the one behind the last, as numbers in order."""
        for first, last in zip(self._first, self._last, strict=True):
            if len(first) == _PACKED_IPV4:
                self._borders += [int.from_bytes(first[1:], "big"), int.from_bytes(last[1:], "big") + 1]

    def __contains__(self, client: str) -> bool:
        """As `holds`."""
        return self.holds(client)

    def holds(self, client: str) -> bool:
        """Whether an address in its one form, or `UNIX`, is in it. Raises ValueError for anything else."""
        return self.has(client, ipv4_number(client))

    def has(self, client: str, number: int) -> bool:
        """As `holds`, where the `ipv4_number` of the client is known."""
        if number >= 0:
            low, high = 0, len(self._borders)
            while low < high:
                middle = (low + high) // 2
                border = self._borders[middle]
                if number < border:
                    high = middle
                else:
                    low = middle + 1
            return bool(low & 1)
        return self._holds_other(client)

    def _holds_other(self, client: str) -> bool:
        if client == UNIX:
            return self._unix
        if not self._first:
            return False
        try:
            packed = socket.inet_pton(socket.AF_INET6 if ":" in client else socket.AF_INET, client)
        except OSError:
            raise ValueError(f"{client!r} is no address") from None
        packed = _FAMILIES[len(packed)] + packed
        index = bisect_right(self._first, packed) - 1
        return index >= 0 and packed <= self._last[index]

    def covers(self, entry: Network | str) -> bool:
        """Whether all of an entry of such a set is in this one."""
        if isinstance(entry, str):
            return self._unix
        first, last = _range(unmapped(entry))
        index = bisect_right(self._first, first) - 1
        return index >= 0 and last <= self._last[index]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(map(str, self.entries))}>"


def ipv4_number(client: str) -> int:
    """An IPv4 address as the number that it is; -1 for anything else."""
    number = part = digits = dots = 0
    for letter in client:
        code = ord(letter)
        if _ZERO <= code <= _NINE:
            if digits and not part:
                return -1
            part = part * 10 + code - _ZERO
            digits += 1
            if part > _OCTET:
                return -1
        elif code == _DOT and digits and dots < _DOTS:
            number = number << 8 | part
            part = digits = 0
            dots += 1
        else:
            return -1
    return number << 8 | part if digits and dots == _DOTS else -1


_FAMILIES = {4: b"4", 16: b"6"}
"""What stands before a packed address, by its length: each family is ordered for itself."""


def _range(network: Network) -> tuple[bytes, bytes]:
    family = _FAMILIES[network.max_prefixlen // 8]
    return family + network.network_address.packed, family + network.broadcast_address.packed


def _behind(last: bytes) -> bytes:
    """What follows an address: networks that touch are one."""
    return (int.from_bytes(last, "big") + 1).to_bytes(len(last), "big")


class Trusted(NetworkSet):
    """Whom to trust."""

    __slots__ = ()
