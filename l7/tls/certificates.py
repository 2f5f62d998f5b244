"""A certificate with its chain and its key, as the rest of l7 knows it; `l7.tls.parsing` makes it of files."""

from __future__ import annotations

import os
import ssl
import time
from dataclasses import dataclass

from l7.errors import L7Error

DAY = 86400
SHORT_LIVED = 10 * DAY
"""Certificates that live for less are renewed at half of their life, others when a third is left."""


class CertificateError(L7Error):
    """A certificate that cannot be used; ``of_key`` says that the file of the key is at fault.

    ``passing`` says that it may be otherwise in a moment: a renewal replaces one file after the other.
    """

    def __init__(self, words: str, *, of_key: bool = False, passing: bool = False) -> None:
        super().__init__(words)
        self.of_key = of_key
        self.passing = passing


@dataclass(frozen=True)
class CertificateInfo:
    """What a certificate says of itself; times are seconds since 1970."""

    names: tuple[str, ...]
    """Host names and addresses in lower case, wildcards among them."""
    issuer: str
    """Who signed it, as RFC 4514 writes it."""
    not_before: float
    not_after: float
    serial: int = 0
    key_type: str = "RSA"
    """``RSA``, ``EC`` or what else the key is."""

    @property
    def days_left(self) -> int:
        """Whole days until it ends; negative for one that has ended."""
        return int((self.not_after - time.time()) // DAY)

    @property
    def renewal_time(self) -> float:
        """When it should be renewed: a third of its life is left, of a short-lived one a half."""
        life = self.not_after - self.not_before
        return self.not_after - life / (2 if life < SHORT_LIVED else 3)

    def is_renewal_due(self, now: float) -> bool:
        """Whether it should have been renewed."""
        return now > self.renewal_time

    def entry(self) -> dict[str, object]:
        """What ``l7 status`` shows of it."""
        return {
            "names": list(self.names),
            "issuer": self.issuer,
            "not_after": day(self.not_after, clock=True),
            "days_left": self.days_left,
        }


@dataclass(frozen=True)
class Certificate:
    """A certificate that can be used: the chain as it is sent, and the key, both as PEM."""

    info: CertificateInfo
    chain: bytes
    key: bytes
    warnings: tuple[str, ...] = ()


def day(moment: float, *, clock: bool = False) -> str:
    """The day of a moment, as in ``2026-11-01``; with ``clock`` as ISO 8601, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ" if clock else "%Y-%m-%d", time.gmtime(moment))


def load_into(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Load a certificate into a context; raises ``ssl.SSLError``. `ssl` takes paths only: one in memory."""
    descriptor = os.memfd_create("l7-certificate", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(certificate.chain + certificate.key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    finally:
        os.close(descriptor)


def first_certificate(pem: bytes) -> bytes:
    """The first certificate of a chain, as PEM; empty where there is none."""
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    at = pem.find(begin)
    until = pem.find(end, at)
    return pem[at : until + len(end)] + b"\n" if 0 <= at < until else b""


def _no_password() -> str:
    raise ValueError("the key is encrypted")
