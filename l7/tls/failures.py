"""How TLS fails, in our words and as the labels of a figure: what is left of `ssl.SSLError` above the transport."""

from __future__ import annotations

import ssl
from typing import Final

CLOSED: Final = "closed"
HTTP: Final = "http_request"
NOT_TLS: Final = "not_tls"
OVERLOADED: Final = "overloaded"
TIMEOUT: Final = "timeout"
OTHER: Final = "other"

LABELS: Final = {
    "NO_SHARED_CIPHER": "no_shared_cipher",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no_shared_cipher",
    "NO_SUITABLE_KEY_SHARE": "no_shared_group",
    "NO_SHARED_GROUPS": "no_shared_group",
    "UNSUPPORTED_PROTOCOL": "unsupported_protocol",
    "VERSION_TOO_LOW": "unsupported_protocol",
    "WRONG_VERSION_NUMBER": "unsupported_protocol",
    "TLSV1_ALERT_PROTOCOL_VERSION": "unsupported_protocol",
    "NO_PROTOCOLS_AVAILABLE": "unsupported_protocol",
    "TLSV1_ALERT_UNKNOWN_CA": "certificate_rejected",
    "SSLV3_ALERT_BAD_CERTIFICATE": "certificate_rejected",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "certificate_rejected",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "certificate_rejected",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "certificate_rejected",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "certificate_rejected",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "certificate_rejected",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "client_certificate_missing",
    "CERTIFICATE_VERIFY_FAILED": "client_certificate_invalid",
    "HTTP_REQUEST": HTTP,
    "UNEXPECTED_EOF_WHILE_READING": CLOSED,
}
"""OpenSSL's reasons that have a label of their own; the alerts among them came from the peer."""

EXPIRED: Final = "client_certificate_expired"
UNKNOWN_CA: Final = "client_certificate_unknown_ca"
_VERIFIED = {9: EXPIRED, 10: EXPIRED, 2: UNKNOWN_CA, 18: UNKNOWN_CA, 19: UNKNOWN_CA, 20: UNKNOWN_CA, 21: UNKNOWN_CA}
"""Labels by the code of a failed verification (``X509_V_ERR_...``)."""

ALL_LABELS: Final = tuple(dict.fromkeys((*LABELS.values(), EXPIRED, UNKNOWN_CA, NOT_TLS, OVERLOADED, TIMEOUT, OTHER)))


class TlsFailure(OSError):
    """The TLS of a connection failed; it says why in words, ``label`` why in one word of a known few.

    ``code`` is what a verification ended with (``X509_V_ERR_...``), 0 where it is none that failed.
    """

    def __init__(self, words: str, label: str = OTHER, code: int = 0) -> None:
        super().__init__(words)
        self.label = label
        self.code = code


def failure_of(error: ssl.SSLError) -> TlsFailure:
    """``error`` in our words, without its traceback."""
    if isinstance(error, ssl.SSLEOFError):
        return TlsFailure("the connection was cut off without close_notify", CLOSED)
    code = getattr(error, "verify_code", 0)
    label = LABELS.get(error.reason or "", OTHER)
    if code:
        return TlsFailure(f"TLS: {error.verify_message}", _VERIFIED.get(code, label), code)  # type: ignore[attr-defined]
    return TlsFailure(f"TLS: {words_of(error.reason)}", label)


def words_of(reason: str | None) -> str:
    """OpenSSL's ``reason`` for people: ``TLSV1_ALERT_UNKNOWN_CA`` is ``the peer says: unknown ca``."""
    words = (reason or "failed").lower()
    before, alert, name = words.partition("_alert_")
    return f"the peer says: {(name if alert else before).replace('_', ' ')}" if alert else before.replace("_", " ")
