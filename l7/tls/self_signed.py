"""A certificate that is its own issuer: for the demo, and until an authority has given a real one.

Nobody trusts it. This module is imported where one is made: ``cryptography`` is of some megabytes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LONGEST_COMMON_NAME = 64
"""Characters (RFC 5280, appendix A: ub-common-name)."""
EARLIER = timedelta(hours=1)
"""How long it has been valid when it is made: clocks of clients may be slow."""


def make(names: Sequence[str], days: float) -> tuple[bytes, bytes]:
    """A new certificate for ``names``, at least one, and its key (P-256), both as PEM.

    :param names: host names, wildcards and IP addresses; a host name is written in ASCII, else ``ValueError``.
    :param days: how long it is valid from now on.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    common = next((name for name in names if len(name) <= LONGEST_COMMON_NAME), "l7")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    public = key.public_key()
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
