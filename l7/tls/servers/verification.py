"""Why a server's certificate was refused, read from the certificate.

This module is imported when the first one is refused: it brings ``cryptography``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from cryptography import x509

from l7.config.values.names import printable
from l7.tls.certificates import CertificateError, day
from l7.tls.parsing import UNREADABLE, info_of
from l7.tls.servers.failure_numbers import (
    EXPIRED,
    NO_ISSUER,
    NOT_YET,
    SELF_SIGNED_AUTHORITY,
    UNKNOWN_ISSUER,
    WRONG_ADDRESS,
    WRONG_NAME,
)

MOST_NAMES = 3
"""The most names of a certificate that are shown."""


def explain_refusal(code: int, shown: Sequence[bytes], name: str) -> tuple[str, float]:
    """Why a server's certificate was refused: in words, and the moment that counts; empty and 0 for no better words.

    :param code: of OpenSSL (``X509_V_ERR_...``).
    :param shown: what the server has shown, as DER, its own certificate first.
    :param name: what it had to be for.
    """
    try:
        chain = [x509.load_der_x509_certificate(one) for one in shown]
        return _explained(code, chain, name) if chain else ("", 0.0)
    except (*UNREADABLE, CertificateError):
        return "", 0.0


def _explained(code: int, chain: Sequence[x509.Certificate], name: str) -> tuple[str, float]:
    now = time.time()
    if code == EXPIRED:
        for one in chain:
            if (end := info_of(one).not_after) < now:
                return f"{_which(one, chain)} has expired on {day(end)}", end
    elif code == NOT_YET:
        for one in chain:
            if (begin := info_of(one).not_before) > now:
                return f"{_which(one, chain)} is not valid before {day(begin, clock=True)}", begin
    elif code in (WRONG_NAME, WRONG_ADDRESS):
        return f"certificate is for {_names(chain[0])}, not for {name}", 0.0
    elif code in (UNKNOWN_ISSUER, NO_ISSUER, SELF_SIGNED_AUTHORITY):
        return f"certificate is of an unknown authority ({_shown(chain[-1].issuer)})", 0.0
    return "", 0.0


def _which(one: x509.Certificate, chain: Sequence[x509.Certificate]) -> str:
    return "certificate" if one is chain[0] else f"certificate of its authority ({_shown(one.subject)})"


def _shown(name: x509.Name) -> str:
    return printable(name.rfc4514_string(), 200)


def _names(leaf: x509.Certificate) -> str:
    names = info_of(leaf).names
    more = len(names) - MOST_NAMES
    return printable(", ".join(names[:MOST_NAMES]), 200) + (f" and {more} more" if more > 0 else "") or "no name"
