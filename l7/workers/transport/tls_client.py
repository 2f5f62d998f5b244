"""TLS to one server under one name: its context, the name, and the session that the next connection resumes."""

from __future__ import annotations

import ssl

from l7.clock import monotonic
from l7.tls.failures import TlsFailure
from l7.tls.servers.failure_numbers import WRONG_NAME
from l7.tls.servers.failures import ServerTlsFailure, server_failure
from l7.workers.transport.stream import Stream
from l7.workers.transport.tls import TlsTransport
from l7.workers.transport.tls_handshake import handshake

RESUMES_FOR = 600.0
"""Seconds for which sessions of a server are resumed after it was verified: OpenSSL does not verify it again then, and
its certificate may have expired, or be another one, meanwhile."""


class TlsClient:
    """Makes a new connection one with TLS.

    :param context: what the server is verified by (`l7.tls.servers.trust`).
    :param name: the name that it is asked for (SNI) and verified by; an IP address is not asked for.
    :param resumes: whether the session of a connection before is resumed.
    """

    __slots__ = ("_context", "_last", "_resumes", "_until", "name")

    def __init__(self, context: ssl.SSLContext, name: str, *, resumes: bool = True) -> None:
        self._context = context
        self.name = name
        self._resumes = resumes
        self._last: ssl.SSLObject | None = None
        """The TLS of the connection that was opened last: its tickets come with the first answer."""
        self._until = 0.0
        """When the server is to be verified anew."""

    def open(self, stream: Stream, seconds: float) -> None:
        """Shake hands on a connection of which nothing was read yet.

        Raises `ServerTlsFailure`, `StreamLost`, or `StreamTimeout` after ``seconds``.
        """
        last = self._last if monotonic() < self._until else None
        session = None if last is None else last.session
        if not self.name and self._context.check_hostname:  # OpenSSL would take a certificate for any name
            raise ServerTlsFailure("there is no name to verify it by", WRONG_NAME)
        try:
            transport = TlsTransport(stream.socket, self._context, server_name=self.name or None, session=session)
        except ValueError:  # it is of a form that no certificate can have
            raise ServerTlsFailure(f"no certificate can be for {self.name!r}", WRONG_NAME) from None
        stream.transport = transport
        try:
            handshake(stream, transport, seconds)
        except TlsFailure as failure:
            self._last = None
            raise server_failure(failure, transport.ssl_object, self.name) from None
        if self._resumes:
            self._last = transport.ssl_object
            if not self._last.session_reused:
                self._until = monotonic() + RESUMES_FOR
