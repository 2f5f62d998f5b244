"""The end-to-end tests over TLS: each l7 on one port speaks it, and so do clients of that port.

With ``L7_TEST_TLS=1`` in all tests that can, else in those of `tests.harness.passes.OVER_TLS` once more. What a test
writes out about listeners or certificates stays as it is, and so do unix sockets.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import http.client
import os
import re
import select
import shutil
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import trustme

ALWAYS = os.environ.get("L7_TEST_TLS", "") not in ("", "0")
"""Whether clients of all tests speak TLS."""
PATIENCE = 1.0
"""Seconds that a client waits for the end of its handshake; then it goes on all the same."""
_SAYS_ITSELF = re.compile(r"\b(listeners|tls):|--tls-cert|--acme|\bbind\b.*unix:", re.DOTALL)
_ports: set[int] = set()
_now: list[bool] = [ALWAYS]


@contextlib.contextmanager
def speaking(scheme: str) -> Iterator[None]:
    """What is started meanwhile speaks ``http`` or ``https``."""
    _now.append(scheme == "https")
    try:
        yield
    finally:
        _now.pop()


def scheme() -> bytes:
    """What l7 on one port and its clients speak now: ``http`` or ``https``."""
    return b"https" if _now[-1] else b"http"


@functools.cache
def authority() -> trustme.CA:
    """Who signs the certificates of a test run."""
    return trustme.CA()


def trusting(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's context that believes `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    authority().configure_trust(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


@functools.cache
def _files() -> tuple[str, str]:
    """A certificate for localhost and its key, which are there as long as the test run is."""
    directory = tempfile.mkdtemp(prefix="l7-tls-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    os.chmod(directory, 0o755)
    leaf = authority().issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    certificate, key = Path(directory, "localhost.crt"), Path(directory, "localhost.key")
    certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(key))
    key.chmod(0o644)
    return str(certificate), str(key)


def options(config: str, argv: Sequence[str]) -> list[str]:
    """The flags by which an l7 speaks TLS; none where the tests do not, or where it says itself what it speaks."""
    if not _now[-1] or _SAYS_ITSELF.search(" ".join([config, *argv])):
        return []
    certificate, key = _files()
    return ["--tls-cert", certificate, "--tls-key", key]


def note(port: int) -> None:
    """Clients of this port speak TLS from now on."""
    _ports.add(port)


def forget(port: int | None) -> None:
    """They do not any more: others may get the port."""
    _ports.discard(port or 0)


def spoken_at(address: object) -> bool:
    """Whether TLS is spoken at an address that a client connects to."""
    return isinstance(address, tuple) and address[1] in _ports


def websocket(port: int) -> tuple[str, dict[str, Any]]:
    """The scheme of a WebSocket to a port, and what else the ``websockets`` package needs for it."""
    if port not in _ports:
        return "ws", {}
    return "wss", {"ssl": _context(), "server_hostname": "localhost"}


def connection(address: tuple[str, int], timeout: float) -> socket.socket:
    """A blocking socket that is connected to an address."""
    sock = socket.create_connection(address, timeout)
    if not spoken_at(address):
        return sock
    return _context().wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)


def http_connection(port: int, timeout: float) -> http.client.HTTPConnection:
    """A connection to a port by the standard library."""
    if port not in _ports:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    return http.client.HTTPSConnection("localhost", port, timeout=timeout, context=_context())


@functools.cache
def _context() -> ssl.SSLContext:
    return trusting()


class TlsSocket:
    """What a client needs of a socket, over TLS: what is not there yet raises ``BlockingIOError``.

    It is made at once, also where nobody shakes hands: what is sent waits then, and leaves as something is received.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context().wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._established = self._ending = False
        self._early = b""
        self._plain = b""
        self._unsent = b""
        self._owed = 0
        sock.setblocking(False)
        until = time.monotonic() + PATIENCE
        self._shake()
        while not self._established and (left := until - time.monotonic()) > 0:
            if select.select([sock], [], [], left)[0]:
                self._pull()
                self._shake()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def _pull(self) -> None:
        """Take what has come; a connection that was reset is one that was cut, behind what came before."""
        while True:
            try:
                data = self._sock.recv(262144)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._incoming.write_eof()
                return
            self._incoming.write(data)

    def _flush(self) -> bool:
        """Send what is encrypted; returns whether all of it has left."""
        self._unsent += self._outgoing.read()
        while self._unsent:
            try:
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
            except BlockingIOError:
                return False
        return True

    def _shake(self) -> None:
        """Go on with the handshake; then send what was to be sent before."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        self._established = True
        if self._early:
            self._tls.write(self._early)
        if self._ending:
            self._end()
        self._flush()

    def _end(self) -> None:
        """Write close_notify, after taking what has come: what is read while that is written would be an error."""
        with contextlib.suppress(ssl.SSLError):
            self._plain += self._read()
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()

    def _read(self) -> bytes:
        """All that can be decrypted; empty for nothing now. Raises ``ssl.SSLError``."""
        pieces = []
        while True:
            try:
                piece = self._tls.read(262144)
                if not piece:
                    raise ssl.SSLZeroReturnError
                pieces.append(piece)
            except ssl.SSLError as error:
                if not pieces and not isinstance(error, ssl.SSLWantReadError):
                    raise
                return b"".join(pieces)  # it is told again

    def send(self, data: memoryview) -> int:
        """Send up to a record; it counts as sent when all of it has left, so call again with the same bytes."""
        if not self._established:
            self._early += data
            return len(data)
        if not self._owed:
            self._owed = self._tls.write(data[:16384])
        if not self._flush():
            raise BlockingIOError
        sent, self._owed = self._owed, 0
        return sent

    def sendall(self, data: bytes) -> None:
        """Send all of it, and wait."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.send(view) :]
            except BlockingIOError:
                select.select([], [self._sock], [], self._sock.gettimeout() or None)

    def recv(self, size: int) -> bytes:
        """What has come, all of it: ``size`` is no bound. Empty after close_notify; a cut raises ``OSError``."""
        self._pull()
        if not self._established:
            self._shake()
            if not self._established:
                raise BlockingIOError
        data, self._plain = self._plain, b""
        try:
            data += self._read()
        except ssl.SSLZeroReturnError:
            return data
        finally:
            with contextlib.suppress(OSError):
                self._flush()
        if not data:
            raise BlockingIOError
        return data

    def shutdown(self, how: int) -> None:
        """Send close_notify, and go on reading."""
        if self._established:
            self._end()
            self._flush()
        self._ending = True

    def close(self) -> None:
        """Close as a client does that has no more to ask: by close_notify, where it leaves at once."""
        with contextlib.suppress(OSError):
            if self._established and not self._ending:
                self._end()
                self._flush()
        self._sock.close()
