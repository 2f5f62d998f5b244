"""What a client and l7 have agreed on in TLS."""

from __future__ import annotations

from typing import NamedTuple


class TlsDetails(NamedTuple):
    """One connection's TLS, for the log."""

    version: str
    """``1.3`` or ``1.2``."""
    cipher: str
    server_name: str
    """The name that the client asked for (SNI); empty for none."""
    resumed: bool
