"""Certificates and contexts for tests of TLS, and the other end of a connection."""

from __future__ import annotations

import functools
import ssl

import trustme
from gevent import socket as green

from l7.tls.failures import TlsFailure
from l7.workers.transport.tls_handshake import ShakingTransport, TlsState

NAME = "tls.example"


@functools.cache
def authority() -> trustme.CA:
    """Who signs the certificates of a test run."""
    return trustme.CA()


def server_context(name: str = NAME, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A server's context whose connections agree on *version* at most."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = TlsState
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    context.maximum_version = version
    authority().issue_cert(name).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    """A client's context that believes `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    authority().configure_trust(context)
    return context


class Observer:
    """Notes what becomes of handshakes."""

    def __init__(self) -> None:
        self.allowed = True
        self.asked = 0
        self.done: list[ShakingTransport] = []
        self.failures: list[TlsFailure] = []

    def may_step(self, transport: ShakingTransport) -> bool:
        self.asked += 1
        return self.allowed

    def established(self, transport: ShakingTransport) -> None:
        self.done.append(transport)

    def failed(self, transport: ShakingTransport, failure: TlsFailure) -> None:
        self.failures.append(failure)


class TlsPeer:
    """The other end of a stream: TLS over a cooperative socket, whose bytes a test may cut as it likes."""

    def __init__(self, sock: green.socket, context: ssl.SSLContext, *, server: bool = False) -> None:
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server, None if server else NAME)
        self.cut = 0
        """How many bytes go at once; 0 for all of them."""
        self.truncated = False

    def flush(self) -> None:
        data = self._outgoing.read()
        for place in range(0, len(data), self.cut or len(data) or 1):
            self.sock.sendall(data[place : place + (self.cut or len(data))])

    def _more(self) -> None:
        self.flush()
        data = self.sock.recv(65536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def shake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._more()
            else:
                self.flush()
                return
            finally:
                self.flush()

    def send(self, data: bytes, size: int = 16384) -> None:
        for place in range(0, len(data), size):
            self.tls.write(data[place : place + size])
        self.flush()

    def receive(self) -> bytes:
        """What comes next; empty at the end."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                self._more()
            except ssl.SSLEOFError:
                self.truncated = True
                return b""
            except ssl.SSLZeroReturnError:
                return b""

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer where the stream ends."""
        data = b""
        while len(data) < size and (more := self.receive()):
            data += more
        return data

    def end(self) -> None:
        """Send close_notify."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        self.flush()
