"""The handshake of TLS: what a server is told of it, and the greenlet of a client that waits for it."""

from __future__ import annotations

import ssl
from typing import Protocol

from l7.clock import monotonic
from l7.tls.failures import TlsFailure
from l7.workers.transport.stream import Stream


class TlsState(ssl.SSLObject):
    """The TLS state of a server's connection, with what its client named: set as ``sslobject_class`` of a context."""

    server_name: str | None = None
    """The name by which the client asked (SNI)."""


class ShakingTransport(Protocol):
    """A transport whose handshake is under way."""

    established: bool
    """Whether the handshake is complete."""
    clear_text: bytes
    """What came of a client that does not speak TLS, but something that looks like HTTP."""
    ssl_object: ssl.SSLObject

    def proceed(self) -> None:
        """Send the first message of a client, or see what came of the others. Raises `TlsFailure`."""


class HandshakeObserver(Protocol):
    """What is told of the handshake of a server's connection."""

    def may_step(self, transport: ShakingTransport) -> bool:
        """Whether the handshake may go on now; where not, it is asked again in the loop's next turn."""

    def established(self, transport: ShakingTransport) -> None:
        """The handshake is complete."""

    def failed(self, transport: ShakingTransport, failure: TlsFailure) -> None:
        """The handshake has failed; called once."""


def handshake(stream: Stream, transport: ShakingTransport, seconds: float) -> None:
    """Shake hands as a client on ``stream``, whose transport is ``transport``.

    Raises `TlsFailure`, `StreamLost`, or `StreamTimeout` after ``seconds`` in all.
    """
    before = stream.deadline
    stream.deadline = monotonic() + seconds
    try:
        transport.proceed()
        while not transport.established:
            stream.wait()
            transport.proceed()
            stream.watch()
    finally:
        stream.deadline = before
