"""Any bytes are a PROXY header or a refusal, however they are cut; nothing behind a header is taken with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from l7.proxy_protocol import LONGEST_V2, BadProxyHeader, ProxyHeader, header_end, parse_header
from tests.fuzz.running import cuts, run
from tests.harness.proxy_headers import SIGNATURE, extension, v1, v2

Found = tuple[ProxyHeader, int] | str | None
"""What a header says and its size, a refusal, or None for more."""


def read(pieces: Iterable[bytes]) -> Found:
    """What a connection makes of bytes that come in pieces: it looks at all, and takes what is the header's."""
    taken = b""
    seen = b""
    try:
        for piece in pieces:
            seen += piece
            end = header_end(taken + seen)
            own = (end or len(taken) + len(seen)) - len(taken)
            assert 0 <= own <= len(seen)
            taken, seen = taken + seen[:own], seen[own:]
            if end:
                return parse_header(taken), len(taken)
            assert len(taken) < LONGEST_V2
    except BadProxyHeader as refusal:
        return "missing" if refusal.missing else "malformed"
    return None


def one(data: bytes) -> None:
    """Check one input."""
    found = read([data])
    for pieces in cuts(data):
        again = read(pieces)
        assert again == found or {again, found} == {"missing", "malformed"}, "the cut decides"
    if not isinstance(found, tuple):
        return
    header, size = found
    assert read([data[:size]]) == found, "what is behind it decides"
    assert read([data[: size - 1]]) is None
    if header.client:
        for write in (v1, v2):
            made = write(header.client, header.client, 1, header.port)
            assert read([made + data]) == (header, len(made))


def seeds() -> Iterator[bytes]:
    """Headers of both versions, whole and wrong."""
    for source, destination in (("192.0.2.7", "198.51.100.1"), ("2001:db8::7", "2001:db8::1")):
        yield v1(source, destination) + b"GET / HTTP/1.1\r\n"
        yield v2(source, destination, tail=extension(1, b"h2") + extension(5, b"id"), checksum=True) + b"GET /"
        yield v2(source, destination)
    yield b"PROXY UNKNOWN whatever\r\n"
    yield SIGNATURE + b"\x20\x00\x00\x03\1\2\3\x16\x03\x01"
    yield SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)


if __name__ == "__main__":
    run("proxy_headers", seeds())
