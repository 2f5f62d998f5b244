"""The PROXY protocol, versions 1 and 2: what a load balancer writes in front of a connection's first byte.

It says who the client is and where it connected to (HAProxy, doc/proxy-protocol.txt; chapters as of there). Nothing
here reads a socket: bytes come in pieces, and whoever reads takes no more than belongs to the header (`header_end`).
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""What version 2 begins with (2.2)."""
LONGEST_V1 = 107
"""Bytes of the longest line of version 1, CRLF included (2.1)."""
LONGEST_V2 = 4096
"""Bytes of a header of version 2 that are taken: addresses, and some kilobytes of what may follow them."""

_V1 = b"PROXY "
_FIXED = 16
"""Bytes of version 2 before the addresses: signature, version and command, family, length."""
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")
_ADDRESS_TEXT = re.compile(rb"[0-9A-Fa-f.:]+")
_TLV_HEAD = 3
_CRC32C = 0x03
_INET4, _INET6 = struct.Struct("!4s4sHH"), struct.Struct("!16s16sHH")
_UNSPEC, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_SIZES = {_UNSPEC: 0, _TCP4: _INET4.size, _TCP6: _INET6.size, _UNIX: 216}
"""Bytes of two addresses with their ports, by family; those of datagrams do not come here."""


class BadProxyHeader(ValueError):
    """What came is no header; in words. ``missing`` says that it does not even begin like one."""

    def __init__(self, why: str, *, missing: bool = False) -> None:
        super().__init__(why)
        self.missing = missing


@dataclass(frozen=True)
class ProxyHeader:
    """What a header says. An empty ``client`` means the peer of the connection itself (LOCAL, UNKNOWN, UNSPEC).

    ``client`` is in its one form (`l7.networks.canonical`), ``port`` the one that it connected to; 0: not known.
    """

    client: str = ""
    port: int = 0


THE_PEER = ProxyHeader()


def header_end(data: bytes) -> int:
    """How many of the bytes of ``data`` are the header; 0 while it is not whole, and all of them belong to it.

    :raises BadProxyHeader: no header begins like this.
    """
    if data.startswith(SIGNATURE[: len(data)]):
        return _end_of_v2(data)
    if data.startswith(_V1[: len(data)]):
        return _end_of_v1(data)
    raise BadProxyHeader("it does not begin with a PROXY header", missing=True)


def _end_of_v1(data: bytes) -> int:
    """A CR or LF alone ends nothing."""
    line, crlf, _ = data[:LONGEST_V1].partition(b"\r\n")
    if b"\n" in line or b"\r" in (line if crlf else line[:-1]):
        raise BadProxyHeader("a CR or LF alone in the line of version 1")
    if not crlf and len(data) >= LONGEST_V1:
        raise BadProxyHeader(f"no end within the {LONGEST_V1} bytes of version 1")
    return len(line) + 2 if crlf else 0


def _end_of_v2(data: bytes) -> int:
    if len(data) < _FIXED:
        return 0
    end = _FIXED + int.from_bytes(data[14:_FIXED], "big")
    if data[12] >> 4 != 2:
        raise BadProxyHeader(f"version {data[12] >> 4} after the signature of version 2")
    if end > LONGEST_V2:
        raise BadProxyHeader(f"a header of {end} bytes; {LONGEST_V2} are taken")
    return end if len(data) >= end else 0


def parse_header(header: bytes) -> ProxyHeader:
    """Read a whole header (`header_end`). Raises `BadProxyHeader`."""
    return _parse_v2(header) if header.startswith(SIGNATURE) else _parse_v1(header)


# ----------------------------------------------------------------------------------------------------- version 1


def _parse_v1(header: bytes) -> ProxyHeader:
    words = header[len(_V1) : -2].split(b" ")
    if words[0] == b"UNKNOWN":  # what follows means nothing
        return THE_PEER
    if words[0] not in (b"TCP4", b"TCP6"):
        raise BadProxyHeader("a family other than TCP4, TCP6 and UNKNOWN")
    if len(words) != 5:
        raise BadProxyHeader("not two addresses and two ports, each after one space")
    client, _ = (_address(word, words[0] == b"TCP4") for word in words[1:3])
    _, port = (_port(word) for word in words[3:])
    return ProxyHeader(client, port)


def _address(word: bytes, four: bool) -> str:
    """An address as text, in its one form."""
    try:
        if not _ADDRESS_TEXT.fullmatch(word):
            raise ValueError
        text = word.decode("ascii")
        return _shown(ipaddress.IPv4Address(text) if four else ipaddress.IPv6Address(text))
    except ValueError:
        raise BadProxyHeader(f"a malformed IPv{4 if four else 6} address") from None


def _port(word: bytes) -> int:
    if not _PORT.fullmatch(word) or int(word) > 65535:
        raise BadProxyHeader("a malformed port")
    return int(word)


def _shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


# ----------------------------------------------------------------------------------------------------- version 2


def _parse_v2(header: bytes) -> ProxyHeader:
    command, family = header[12] & 0x0F, header[13]
    if command == 0:  # LOCAL: the sender speaks for itself, and what follows is skipped
        return THE_PEER
    if command != 1:
        raise BadProxyHeader(f"unknown command {command}")
    if family not in _SIZES:
        raise BadProxyHeader(f"unknown family {family:#04x}")
    if len(header) < _FIXED + _SIZES[family]:
        raise BadProxyHeader("too short for its addresses")
    if family == _UNSPEC:
        return THE_PEER
    _check_extensions(header, _FIXED + _SIZES[family])
    if family == _UNIX:  # a client on the machine of the sender, which has no address
        return THE_PEER
    raw, _, _, port = (_INET4 if family == _TCP4 else _INET6).unpack_from(header, _FIXED)
    return ProxyHeader(_shown(ipaddress.ip_address(raw)), port)


def _check_extensions(header: bytes, at: int) -> None:
    """Skip what follows the addresses, type by type; a checksum is held to be right (2.2.3)."""
    while at < len(header):
        if at + _TLV_HEAD > len(header):
            raise BadProxyHeader("an extension is cut short")
        kind, size = header[at], int.from_bytes(header[at + 1 : at + _TLV_HEAD], "big")
        at += _TLV_HEAD
        if at + size > len(header):
            raise BadProxyHeader("an extension is longer than the header")
        if kind == _CRC32C:
            if size != 4:
                raise BadProxyHeader("a checksum that has not 4 bytes")
            zeroed = header[:at] + bytes(4) + header[at + 4 :]
            if crc32c(zeroed) != int.from_bytes(header[at : at + 4], "big"):
                raise BadProxyHeader("the checksum is wrong")
        at += size


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """The checksum of Castagnoli (RFC 9260, appendix A)."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF
