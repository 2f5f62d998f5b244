"""TLS with a server that failed, in words: what its certificate says is read by ``cryptography``.

`ssl` shows none that it refuses, and has no words for its dates and names.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from l7.tls.failures import CLOSED, TlsFailure
from l7.tls.servers.failure_numbers import LOST, NOT_TLS, OTHER, REJECTED, describe, refusal_number

REJECTED_LABEL: Final = "certificate_rejected"
"""The label of the alerts by which a peer says that it does not take our certificate, or wants one."""
_NOT_TLS: Final = frozenset(("wrong version number", "packet length too long", "http request"))
"""OpenSSL's words for an answer that is of another protocol."""
_DER = 2


class ServerTlsFailure(TlsFailure):
    """TLS with a server failed; ``number`` is one of `l7.tls.servers.failure_numbers`."""

    def __init__(self, words: str, number: int) -> None:
        super().__init__(words)
        self.number = number


def prepare() -> None:
    """Import what reads refused certificates, before a process is forked that needs it and may not enter where it is.

    Without it what is told of them has neither names nor dates.
    """
    with suppress(ImportError):
        import_module("l7.tls.servers.verification")


def server_failure(failure: TlsFailure, ssl_object: ssl.SSLObject, name: str) -> ServerTlsFailure:
    """What ``failure`` of a handshake with a server means, which was verified by ``name``."""
    if failure.code:
        words, moment = _refusal(failure, ssl_object, name)
        return ServerTlsFailure(words, refusal_number(failure.code, moment))
    if failure.label == CLOSED:
        return ServerTlsFailure(describe(LOST), LOST)
    words = str(failure).removeprefix("TLS: ")
    if words in _NOT_TLS:
        return ServerTlsFailure(describe(NOT_TLS), NOT_TLS)
    return ServerTlsFailure(words, REJECTED if failure.label == REJECTED_LABEL else OTHER)


def _refusal(failure: TlsFailure, ssl_object: ssl.SSLObject, name: str) -> tuple[str, float]:
    """Why a certificate was refused, and the moment that counts, 0 for none."""
    try:
        from l7.tls.servers.verification import explain_refusal
    except ImportError:  # `prepare` was not called while it could be
        return describe(failure.code), 0.0
    words, moment = explain_refusal(failure.code, _shown_by(ssl_object), name)
    return words or describe(failure.code), moment


def _shown_by(ssl_object: Any) -> Sequence[bytes]:
    """The certificates that a server has shown, refused or not, as DER."""
    if hasattr(ssl_object, "get_unverified_chain"):  # since 3.13
        return list(ssl_object.get_unverified_chain())
    return [one.public_bytes(_DER) for one in ssl_object._sslobj.get_unverified_chain() or ()]
