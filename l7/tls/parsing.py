"""What the files of a certificate say, and what is wrong with them.

`ssl` tells nothing of a certificate before a client has verified it, so ``cryptography`` reads it. This module is
imported when the first certificate is read: who has none pays nothing.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator, Sequence
from datetime import timezone
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from l7.tls.certificates import Certificate, CertificateError, CertificateInfo, day, load_into

_KEY = re.compile(rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
UNREADABLE: Final = (
    ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType
)  # fmt: skip
"""What ``cryptography`` raises for what it cannot read in a certificate."""


def certificate_of(cert: bytes, key: bytes | None) -> Certificate:
    """The certificate of the content of one file or of two; raises `CertificateError`."""
    chain = _CERTIFICATE.findall(cert)
    if not chain:
        raise CertificateError("there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)", passing=True)
    certificates = [_parsed(one) for one in chain]
    block = _KEY.search(cert if key is None else key)
    if block is None:
        where = "there is no private key in it" if key is not None else "there is no private key beside it; write key:"
        raise CertificateError(f"{where} (PEM, -----BEGIN PRIVATE KEY-----)", of_key=key is not None, passing=True)
    private = _private_key(block.group(), of_key=key is not None)
    _check_fit(certificates, private, of_key=key is not None)
    info = info_of(certificates[0])
    found = Certificate(info, b"\n".join(chain) + b"\n", block.group() + b"\n", tuple(_warnings(certificates, info)))
    try:
        load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), found)
    except (ssl.SSLError, ValueError) as error:
        reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
        raise CertificateError(f"OpenSSL does not take it: {reason}") from None
    return found


def authorities_of(content: bytes) -> tuple[str, list[str]]:
    """The authorities in a file, as PEM, and what is to be warned of; raises `CertificateError`."""
    found = _CERTIFICATE.findall(content)
    if not found:
        raise CertificateError("there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)")
    pem = b"\n".join(found).decode("ascii", "replace") + "\n"
    certificates = [_parsed(one) for one in found]
    try:
        words = list(_warnings_of_authorities(certificates))
    except UNREADABLE as error:
        raise CertificateError(f"a certificate in it cannot be read: {_short(error)}") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
        raise CertificateError(f"OpenSSL does not take it: {reason}") from None
    return pem, words


def _warnings_of_authorities(certificates: Sequence[x509.Certificate]) -> Iterator[str]:
    for place, one in enumerate(certificates):
        number = f"certificate number {place + 1} in the file"
        until = _seconds(one, "not_valid_after")
        if until < time.time():
            yield f"{number} has expired on {day(until)}: nothing that it has signed is valid"
        constraints = [each.value for each in one.extensions if isinstance(each.value, x509.BasicConstraints)]
        if not (constraints[0].ca if constraints else one.issuer == one.subject):  # the oldest say nothing of it
            yield f"{number} is no authority: by it only the very same certificate is valid"


def info_in(cert: bytes) -> CertificateInfo:
    """What the first certificate of a chain says, as PEM; raises `CertificateError`."""
    chain = _CERTIFICATE.findall(cert)
    if not chain:
        raise CertificateError("there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)", passing=True)
    return info_of(_parsed(chain[0]))


def _parsed(pem: bytes) -> x509.Certificate:

    try:
        return x509.load_pem_x509_certificate(pem)
    except UNREADABLE as error:
        raise CertificateError(f"a certificate in it cannot be read: {_short(error)}", passing=True) from None


def _private_key(pem: bytes, *, of_key: bool) -> PrivateKeyTypes:

    try:
        return load_pem_private_key(pem, None)
    except TypeError:
        words = "the private key is encrypted; l7 never asks for a password: write it without one (openssl pkey)"
        raise CertificateError(words, of_key=of_key) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        words = f"the private key cannot be read: {_short(error)}"
        raise CertificateError(words, of_key=of_key, passing=True) from None


def _check_fit(certificates: Sequence[x509.Certificate], private: PrivateKeyTypes, *, of_key: bool) -> None:
    own = _public_bytes(private)
    try:
        fitting = [index for index, one in enumerate(certificates) if _public_bytes(one) == own]
    except UNREADABLE as error:
        raise CertificateError(f"a certificate in it cannot be read: {_short(error)}") from None
    if not fitting:
        words = "the private key does not fit the certificate: they are not of one pair"
        raise CertificateError(words, of_key=of_key, passing=True)
    if fitting[0] != 0:
        words = f"the certificate of the key is number {fitting[0] + 1} in the file: it has to be the first"
        raise CertificateError(words, passing=True)


def _public_bytes(holder: x509.Certificate | PrivateKeyTypes) -> bytes:

    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def info_of(leaf: x509.Certificate) -> CertificateInfo:
    """What a certificate says of itself; raises `CertificateError`."""
    try:
        key, issuer = leaf.public_key(), leaf.issuer.rfc4514_string()
    except UNREADABLE as error:
        raise CertificateError(f"a certificate in it cannot be read: {_short(error)}") from None
    kind = "RSA" if isinstance(key, rsa.RSAPublicKey) else "EC" if isinstance(key, ec.EllipticCurvePublicKey) else ""
    return CertificateInfo(
        names=tuple(dict.fromkeys(_names(leaf))),
        issuer=issuer,
        not_before=_seconds(leaf, "not_valid_before"),
        not_after=_seconds(leaf, "not_valid_after"),
        serial=leaf.serial_number,
        key_type=kind or type(key).__name__,
    )


def _seconds(leaf: x509.Certificate, name: str) -> float:
    """A time of a certificate, of which older versions of ``cryptography`` tell without its zone."""
    if hasattr(leaf, f"{name}_utc"):
        return float(getattr(leaf, f"{name}_utc").timestamp())
    return float(getattr(leaf, name).replace(tzinfo=timezone.utc).timestamp())


def _names(leaf: x509.Certificate) -> Iterator[str]:

    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    except UNREADABLE as error:
        raise CertificateError(f"its names cannot be read: {_short(error)}") from None
    yield from (name.lower() for name in found.get_values_for_type(x509.DNSName))
    yield from (str(address) for address in found.get_values_for_type(x509.IPAddress))


def _warnings(certificates: Sequence[x509.Certificate], info: CertificateInfo) -> Iterator[str]:

    now = time.time()
    if info.not_after < now:
        yield f"the certificate has expired on {day(info.not_after)}: clients refuse it"
    elif info.not_before > now:
        when = day(info.not_before, clock=True)
        yield f"the certificate is not valid before {when}; is the clock of the machine right?"
    if not info.names:
        yield "the certificate has no names (subjectAltName): clients refuse it"
    for place, (one, following) in enumerate(pairwise(certificates)):
        if one.issuer != following.subject:
            yield f"certificate number {place + 2} in the file did not sign the one before it: clients may refuse that"
    extensions = certificates[0].extensions
    if len(certificates) == 1 and certificates[0].issuer != certificates[0].subject:
        told = [one for one in extensions if isinstance(one.value, x509.AuthorityInformationAccess)]
        if told:
            yield (
                f"the certificate of its issuer ({info.issuer}) is missing in the file: clients that do not know it "
                "refuse it; use the full chain"
            )
    if any(isinstance(one.value, x509.TLSFeature) for one in extensions):
        yield "the certificate wants OCSP stapling (must-staple), which l7 does not do: some clients refuse it"


def _short(error: Exception) -> str:
    """The first words of an error of another library, of one line."""
    return " ".join(str(error).split())[:120] or type(error).__name__
