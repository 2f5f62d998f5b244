"""A certificate on its way from the master to the processes that show it, or tell of it."""

from __future__ import annotations

from collections.abc import Iterable

from l7.ipc.messages import UseCertificate
from l7.tls.certificates import Certificate, CertificateInfo
from l7.tls.contexts import ListenerContexts


def message_of(certificate: Certificate) -> UseCertificate:
    """What is sent."""
    info = certificate.info
    return UseCertificate(
        info.names, info.issuer, info.not_before, info.not_after, info.serial, info.key_type, certificate.chain,
        certificate.key,
    )  # fmt: skip


def certificate_in(message: UseCertificate) -> Certificate:
    """What was sent."""
    info = CertificateInfo(
        message.names, message.issuer, message.not_before, message.not_after, message.serial, message.key_type
    )
    return Certificate(info, message.chain, message.key)


def show(message: UseCertificate, listeners: Iterable[ListenerContexts]) -> None:
    """Show what was sent from now on in place of the certificate of the same names; raises ``ssl.SSLError``."""
    certificate = certificate_in(message)
    for contexts in {id(one.certificates): one.certificates for one in listeners}.values():
        contexts.renew(certificate)


def renewed(known: Iterable[CertificateInfo], new: CertificateInfo) -> list[CertificateInfo]:
    """The certificates that are shown, with the new one in place of that of the same names."""
    return [new if one.names == new.names else one for one in known]
