"""What a client and l7 have agreed on in TLS."""

from __future__ import annotations

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
