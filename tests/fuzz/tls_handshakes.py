"""Any bytes of a client that then leaves end its handshake: by a failure that is told once, however they are cut."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress

from l7.tls.contexts import TlsRules, new_context
from l7.tls.failures import ALL_LABELS, CLOSED
from l7.workers.transport.tls import TlsTransport
from tests.fuzz.running import cuts, run
from tests.workers.tls_ends import Observer

CONTEXT = new_context(TlsRules())
"""Without a certificate: no client gets further than to its first message."""


def read(pieces: Iterable[bytes]) -> str:
    """Why the handshake failed."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        observer = Observer()
        transport = TlsTransport(ours, CONTEXT, observer)
        for piece in pieces:
            theirs.sendall(piece)
            if transport.peek():
                break
        theirs.shutdown(socket.SHUT_WR)
        transport.peek()
        assert not observer.done and len(observer.failures) == 1
        assert transport.pending == 1, "the end is there to be received"
        with suppress(OSError):
            assert transport.recv(1) == b""
        transport.shutdown()
        transport.close()
    label = observer.failures[0].label
    assert label in ALL_LABELS
    return label


def one(data: bytes) -> None:
    """Check one input."""
    found = read([data])
    for pieces in cuts(data):
        again = read(pieces)
        # Of a record that is never whole OpenSSL may have looked at the beginning, or not.
        assert again == found or CLOSED in (again, found), "the cut decides"


def seeds() -> Iterator[bytes]:
    """First messages of clients, and records of all kinds."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = context.maximum_version = version
        outgoing = ssl.MemoryBIO()
        with suppress(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
        hello = outgoing.read()
        yield hello
        yield hello[:5] + hello[5:100] + b"\x16\x03\x01\0\5" + hello[100:]
        yield hello + b"\x14\x03\x03\0\1\1\x17\x03\x03\0\5hello"
    yield b"\x15\x03\x03\0\2\2\x28"
    yield b"\x16\x03\x01\0\0" * 3
    yield b"GET / HTTP/1.1\r\n\r\n"
    yield b"\x80\x2e\1\3\1\0\x15"


if __name__ == "__main__":
    run("tls_handshakes", seeds())
