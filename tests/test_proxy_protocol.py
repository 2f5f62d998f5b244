"""Headers of the PROXY protocol: what is read of them, what is refused, wherever they are cut."""

from __future__ import annotations

import contextlib
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l7.proxy_protocol import (
    LONGEST_V1,
    LONGEST_V2,
    SIGNATURE,
    THE_PEER,
    BadProxyHeader,
    ProxyHeader,
    crc32c,
    header_end,
    parse_header,
)
from tests.harness.proxy_headers import extension, v1, v2

ports = st.integers(0, 65535)
addresses = st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)) | st.tuples(
    st.ip_addresses(v=6), st.ip_addresses(v=6)
)
extensions = st.lists(
    st.tuples(st.integers(0, 255).filter(lambda kind: kind != 3), st.binary(max_size=300)), max_size=5
)


def shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def read(data: bytes) -> tuple[ProxyHeader, bytes]:
    """A header as it is read when it comes byte by byte, and what is behind it."""
    for size in range(len(data) + 1):
        end = header_end(data[:size])
        if end:
            assert end == size == header_end(data), "no byte is taken that is not its own"
            return parse_header(data[:end]), data[end:]
    raise AssertionError("it never ends")


@given(addresses, ports, ports, st.binary(max_size=20))
def test_version_1_says_who_and_where(pair, source, destination, behind):
    header = v1(str(pair[0]), str(pair[1]), source, destination)
    assert read(header + behind) == (ProxyHeader(shown(pair[0]), destination), behind)


@given(addresses, ports, ports, extensions, st.booleans(), st.binary(max_size=20))
def test_version_2_says_who_and_where(pair, source, destination, more, checked, behind):
    tail = b"".join(extension(*one) for one in more)
    header = v2(str(pair[0]), str(pair[1]), source, destination, tail, checksum=checked)
    assert read(header + behind) == (ProxyHeader(shown(pair[0]), destination), behind)


@given(st.binary(max_size=60))
def test_what_speaks_for_itself_is_the_peer_whatever_follows(more):
    local = SIGNATURE + b"\x20\x11" + len(more).to_bytes(2, "big") + more
    assert read(local + b"GET") == (THE_PEER, b"GET")
    unspecified = SIGNATURE + b"\x21\x00" + len(more).to_bytes(2, "big") + more
    assert read(unspecified + b"GET") == (THE_PEER, b"GET")


@pytest.mark.parametrize("line", [b"PROXY UNKNOWN", b"PROXY UNKNOWN ffff:: 1 x", b"PROXY UNKNOWN " + b"x" * 91])
def test_unknown_is_the_peer_whatever_follows(line):
    assert read(line + b"\r\nGET") == (THE_PEER, b"GET")


def test_a_client_on_a_unix_socket_is_the_peer():
    assert parse_header(SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)) == THE_PEER


def test_the_longest_line_is_taken():
    address = ":".join(["ffff"] * 8)
    line = v1(address, address, 65535, 65535)
    assert len(line) == LONGEST_V1 - 3  # the longest that addresses can make; only UNKNOWN can be longer
    assert read(line)[0] == ProxyHeader(address, 65535)


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 \xd9\xa1\r\n",
        b"PROXY TCP4 ::1 5.6.7.8 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP6 [::1] ::1 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY \r\n",
        b"PROXY UNKNOWN\n\r\n",
        b"PROXY UNKNOWN\r\r\n",
        b"PROXY UNKNOWN\nGET / HTTP/1.1\r\n",
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2",
        b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    ],
)
def test_a_line_that_lies_is_refused(line):
    with pytest.raises((BadProxyHeader, AssertionError)) as refusal:
        read(line)
    assert isinstance(refusal.value, BadProxyHeader) or not line.endswith(b"\n")


INET4 = struct.pack("!4s4sHH", b"\1\2\3\4", b"\5\6\7\10", 1, 2)


def binary(command: int, family: int, rest: bytes, size: int = -1) -> bytes:
    return SIGNATURE + bytes([command, family]) + (len(rest) if size < 0 else size).to_bytes(2, "big") + rest


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (binary(0x11, 0x11, INET4), "version 1"),
        (binary(0x31, 0x11, INET4), "version 3"),
        (binary(0x22, 0x11, INET4), "unknown command 2"),
        (binary(0x21, 0x12, INET4), "unknown family 0x12"),
        (binary(0x21, 0x10, INET4), "unknown family 0x10"),
        (binary(0x21, 0x41, INET4), "unknown family 0x41"),
        (binary(0x21, 0x11, INET4[:-1]), "too short"),
        (binary(0x21, 0x21, INET4), "too short"),
        (binary(0x21, 0x31, bytes(215)), "too short"),
        (binary(0x21, 0x11, INET4 + b"\1"), "cut short"),
        (binary(0x21, 0x11, INET4 + b"\1\0\2x"), "longer than the header"),
        (binary(0x21, 0x11, INET4 + b"\3\0\3abc"), "has not 4 bytes"),
        (binary(0x21, 0x11, INET4 + b"\3\0\4abcd"), "checksum is wrong"),
        (binary(0x20, 0x00, b"", LONGEST_V2 - 15), "4097 bytes"),
        (binary(0x21, 0x11, b"", 65535), "65551 bytes"),
    ],
)
def test_a_binary_header_that_lies_is_refused(header, why):
    with pytest.raises(BadProxyHeader, match=why):
        read(header)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"PROXX", b"\r\n\r\n\0\r\nQUIX", b"\0", b"P "]
)
def test_what_is_no_header_is_known_at_its_first_strange_byte(data):
    with pytest.raises(BadProxyHeader) as refusal:
        header_end(data)
    assert refusal.value.missing


@given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_any_bytes_are_a_header_or_refused(data, start):
    with contextlib.suppress(BadProxyHeader):
        end = header_end(start + data)
        assert end <= len(start + data)
        if end:
            parse_header((start + data)[:end])


def test_the_checksum_is_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283
