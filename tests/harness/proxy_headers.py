"""Headers of the PROXY protocol, made by its own words (HAProxy, doc/proxy-protocol.txt) and not by l7's code."""

from __future__ import annotations

import ipaddress
import struct

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


def v1(source: str, destination: str, source_port: int = 1234, destination_port: int = 80) -> bytes:
    """A line of version 1."""
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode("ascii")


def extension(kind: int, value: bytes) -> bytes:
    """A type-length-value of version 2."""
    return struct.pack("!BH", kind, len(value)) + value


def v2(
    source: str, destination: str, source_port: int = 1234, destination_port: int = 80, tail: bytes = b"", *,
    checksum: bool = False,
) -> bytes:  # fmt: skip
    """A header of version 2, with ``tail`` behind its addresses."""
    one, other = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    rest = one.packed + other.packed + struct.pack("!HH", source_port, destination_port) + tail
    family = 0x11 if one.version == 4 else 0x21
    head = SIGNATURE + struct.pack("!BBH", 0x21, family, len(rest) + (7 if checksum else 0))
    if not checksum:
        return head + rest
    zeroed = head + rest + extension(0x03, bytes(4))
    return zeroed[:-4] + struct.pack("!I", _castagnoli(zeroed))


def _castagnoli(data: bytes) -> int:
    """The checksum bit by bit, as its polynomial says it."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
