"""An `Origin` that speaks TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

import trustme

from tests.harness.origin import Connection, Handler, Origin, echo
from tests.harness.tls import authority, chain_of


class _ServerSocket(ssl.SSLSocket):
    """A server's end that sends close_notify before it ends what it sends, unless it is to cut off."""

    cuts_off = False

    def shutdown(self, how: int) -> None:
        """Send close_notify; what the peer sends can be read on."""
        if not self.cuts_off and how != socket.SHUT_RD:
            self.setblocking(False)
            with contextlib.suppress(OSError, ValueError):
                self.unwrap()
            self.setblocking(True)
        socket.socket.shutdown(self, how)


def server_context(
    leaf: trustme.LeafCert, *, version: ssl.TLSVersion | None = None, requires: bool = False
) -> ssl.SSLContext:
    """A server's context; ``requires`` a certificate of `authority` of its clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    leaf.configure_cert(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if requires:
        authority().configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    context.sslsocket_class = _ServerSocket
    return context


class TlsOrigin(Origin):
    """Serves as an `Origin` does; `https` is its address for l7."""

    def __init__(self, context: ssl.SSLContext, handler: Handler = echo, **options: Any) -> None:
        context.sni_callback = self._note_name
        self.context = context
        self.names: list[str | None] = []
        """The name that each handshake has asked for."""
        self.resumed: list[bool] = []
        """Of each connection whether its session was resumed."""
        self.failed: list[OSError] = []
        """Handshakes that have failed."""
        super().__init__(handler, **options)

    @property
    def https(self) -> str:
        """Its address with the scheme."""
        return f"https://{self.address}"

    def named(self, name: str) -> str:
        """Its address with a name in place of the IP address."""
        return f"https://{name}:{self.port}"

    def _note_name(self, _socket: object, name: str | None, _context: object) -> None:
        self.names.append(name)

    def _serve(self, connection: Connection) -> None:
        try:
            tls = self.context.wrap_socket(connection.sock, server_side=True, suppress_ragged_eofs=False)
        except OSError as error:
            self.failed.append(error)
            connection.begin()
            connection.finish()
            return
        connection.sock = tls
        self.resumed.append(bool(tls.session_reused))
        super()._serve(connection)


def write_authority(path: Any) -> str:
    """Write the certificate of who signs those of tests; returns the path as text."""
    authority().cert_pem.write_to_path(str(path))
    return str(path)


def write_chain(path: Any, leaf: trustme.LeafCert) -> str:
    """Write a certificate with its chain and its key into one file; returns the path as text."""
    path.write_bytes(chain_of(leaf) + leaf.private_key_pem.bytes())
    return str(path)
