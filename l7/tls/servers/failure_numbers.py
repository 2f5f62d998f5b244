"""Why TLS with a server failed, as a number that fits into a cell of shared memory.

The number of a verification that failed is OpenSSL's (``X509_V_ERR_...``), and, where a date of a certificate is at
fault, the day that counts.
"""

from __future__ import annotations

from typing import Final

from l7.tls.certificates import DAY, day

NOT_YET, EXPIRED = 9, 10
SELF_SIGNED, SELF_SIGNED_AUTHORITY, UNKNOWN_ISSUER, NO_ISSUER = 18, 19, 20, 21
WRONG_NAME, WRONG_ADDRESS = 62, 64
LATE, LOST, REJECTED, OTHER, NOT_TLS = 250, 251, 252, 253, 254
"""Numbers of what is no verification: OpenSSL's own stay below."""
_CODE, _DAY_AT, _DAYS = 0xFF, 8, 0xFFFF

_WORDS: Final = {
    2: "certificate is of an unknown authority",
    7: "certificate is signed wrongly",
    NOT_YET: "certificate is not valid yet",
    EXPIRED: "certificate has expired",
    SELF_SIGNED: "certificate is self-signed",
    SELF_SIGNED_AUTHORITY: "certificate is of an unknown authority",
    UNKNOWN_ISSUER: "certificate is of an unknown authority",
    NO_ISSUER: "certificate is of an unknown authority",
    23: "certificate was revoked",
    26: "certificate is not for servers",
    WRONG_NAME: "certificate is for another name",
    WRONG_ADDRESS: "certificate is for another address",
    66: "key of the certificate is too weak",
    67: "key of the certificate's authority is too weak",
    68: "certificate is signed with a digest that is too weak",
    LATE: "no TLS handshake in time",
    LOST: "closed within the TLS handshake",
    REJECTED: "it refuses our certificate",
    OTHER: "no TLS handshake",
    NOT_TLS: "it does not speak TLS at this port",
}


def refusal_number(code: int, moment: float = 0.0) -> int:
    """The number of a verification that ended with ``code``; ``moment`` is the date that counts, 0 for none.

    A day before 1970 or after 2149 does not fit, and is left out.
    """
    days = int(moment // DAY)
    return min(code, LATE - 1) | (days if 0 < days <= _DAYS else 0) << _DAY_AT


def describe(number: int) -> str:
    """A number in words, as in ``certificate has expired on 2026-11-01``."""
    code, days = number & _CODE, number >> _DAY_AT
    words = _WORDS.get(code, f"certificate is refused (X509 error {code} of OpenSSL)")
    if not days:
        return words
    return f"{words}: only from {day(days * DAY)}" if code == NOT_YET else f"{words} on {day(days * DAY)}"


def is_lost(number: int) -> bool:
    """Whether the connection was lost within its handshake: another try may go well."""
    return number & _CODE == LOST


def is_of_name(number: int) -> bool:
    """Whether a certificate was for another name than the one that was asked for."""
    return number & _CODE in (WRONG_NAME, WRONG_ADDRESS)
