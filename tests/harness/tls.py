"""Certificates for tests, and a client that speaks TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trustme

from tests.harness import TIMEOUT
from tests.harness.client import Address, Client
from tests.harness.over_tls import authority
from tests.harness.over_tls import trusting as trusting

EC, RSA = trustme.KeyType.ECDSA, trustme.KeyType.RSA


def issue(*names: str, key: trustme.KeyType = EC, **options: Any) -> trustme.LeafCert:
    """A certificate for *names*."""
    return authority().issue_cert(*names, key_type=key, **options)


def write_pair(directory: Path, name: str, leaf: trustme.LeafCert) -> str:
    """Write a certificate and its key beside each other; returns them as the configuration has it."""
    (directory / f"{name}.crt").write_bytes(chain_of(leaf))
    leaf.private_key_pem.write_to_path(str(directory / f"{name}.key"))
    return f"{{cert: {directory}/{name}.crt, key: {directory}/{name}.key}}"


def chain_of(leaf: trustme.LeafCert) -> bytes:
    """The certificate and those of its issuers."""
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems)


STRANGE = {
    "an extension twice": (b"\x06\x03\x55\x1d\x23", b"\x06\x03\x55\x1d\x11"),
    "a version that there is not": (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"),
    "an address by X.400": (b"\x82\x06a.test", b"\xa3\x06\x30\x04\x05\x00\x05\x00"),
}
"""What no authority signs, by what is other in it: bytes of a certificate for ``a.test``, and those in their place."""


def strange(what: str) -> tuple[bytes, bytes]:
    """A certificate as PEM that ``cryptography`` cannot read, and its key."""
    leaf = issue("a.test")
    der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
    before, after = STRANGE[what]
    assert before in der
    return ssl.DER_cert_to_PEM_cert(der.replace(before, after)).encode(), leaf.private_key_pem.bytes()


class _TlsSocket:
    """What a client needs of a socket, over TLS: what is not there yet raises ``BlockingIOError``."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self.tls = tls

    def send(self, data: memoryview) -> int:
        try:
            return self.tls.send(data)
        except ssl.SSLWantWriteError:
            raise BlockingIOError from None

    def recv(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                piece = self.tls.recv(size - len(data))
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if data:
                    break
                raise BlockingIOError from None
            except ssl.SSLZeroReturnError:  # both ends have said that they send no more
                break
            except OSError:
                if data:  # it is told again
                    break
                raise
            if not piece:
                break
            data += piece
        if rest := self.tls.pending():  # no poll of the socket tells of it
            data += self.tls.recv(rest)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tls, name)


class TlsClient(Client):
    """A `Client` over TLS."""

    def __init__(
        self,
        address: Address,
        timeout: float = TIMEOUT,
        *,
        name: str | None = "localhost",
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
        protocols: Sequence[str] = (),
        before: bytes = b"",
    ) -> None:
        """Connect; ``before`` is sent in clear, in one segment with the first bytes of the handshake."""
        super().__init__(address, timeout)
        context = trusting() if context is None else context
        if protocols:
            context.set_alpn_protocols(list(protocols))
        self.sock.settimeout(timeout)
        if before:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)  # the system lets go of it after 200 ms
            self.sock.sendall(before)
        try:
            self.tls = context.wrap_socket(self.sock, server_hostname=name, session=session, suppress_ragged_eofs=False)
        except BaseException:
            self.sock.close()
            raise
        self.tls.setblocking(False)
        self.sock: Any = _TlsSocket(self.tls)

    def half_close(self) -> None:
        """Send close_notify, and go on reading."""
        self.tls.setblocking(False)
        try:
            self.tls.unwrap()
        except (ssl.SSLWantReadError, OSError):
            pass

    @property
    def certificate(self) -> dict[str, Any]:
        """The certificate that was shown."""
        found = self.tls.getpeercert()
        assert found is not None
        return found

    @property
    def names(self) -> set[str]:
        """The names in the certificate that was shown."""
        return {value for _, value in self.certificate["subjectAltName"]}


def refused(address: tuple[str, int], data: bytes, timeout: float = TIMEOUT) -> bytes:
    """What comes back of bytes that are no handshake, until the end."""
    with socket.create_connection(address, timeout) as sock:
        sock.sendall(data)
        got = b""
        try:
            while piece := sock.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
        return got
