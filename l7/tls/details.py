"""What a client and l7 have agreed on in TLS."""

from __future__ import annotations

import json
from typing import NamedTuple


class TlsDetails(NamedTuple):
    """One connection's TLS, for the log and for servers: texts, so that another process can be told of it."""

    version: str
    """``1.3`` or ``1.2``."""
    cipher: str
    server_name: str
    """The name that the client asked for (SNI); empty for none."""
    resumed: bool
    client_verified: str = ""
    """``ok``, or ``none`` of a client without a certificate; empty where none is asked for."""
    client_subject: str = ""
    """Of its certificate, as RFC 4514 writes it, in visible ASCII."""
    client_fingerprint: str = ""
    """SHA-256 of its certificate, 64 lower-case hexadecimal digits."""

    def text(self) -> str:
        """All of it as text, for `from_text` in another process."""
        return json.dumps(self)


class TlsEntrance(NamedTuple):
    """Where a client's TLS is spoken; beside `TlsDetails`, for who hands the connection over."""

    listener: str
    """The listener, and the rules by which it let the client in (`ListenerContexts.entrance`)."""
    relay: int = 0
    """The process that encrypts and decrypts for the one that serves; 0: they are the same."""


def from_text(text: str) -> TlsDetails:
    """What `TlsDetails.text` has written."""
    return TlsDetails(*json.loads(text))
