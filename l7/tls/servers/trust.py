"""The contexts of OpenSSL for TLS with servers: whom l7 believes, and what it shows of itself.

They are made by the master, before it forks, one for all backends of the same settings: one with the authorities of the
system takes some ten milliseconds. A context is of one generation, and so are the sessions that are resumed with it:
OpenSSL does not verify a server again that resumes one.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field

from l7.errors import L7Error
from l7.tls.certificates import Certificate, load_into
from l7.tls.contexts import PROTOCOLS, SUITES

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where systems keep the authorities that they believe: for an OpenSSL that was built to look elsewhere."""


class NoAuthoritiesError(L7Error):
    """The system has no authorities that could be believed."""


@dataclass(frozen=True)
class ServerTrust:
    """What the TLS settings of a backend come to, with what their files hold."""

    verify: bool = True
    ca: str = field(default="", repr=False)
    """The authorities that are believed, as PEM; empty for those of the system."""
    certificate: Certificate | None = field(default=None, repr=False)
    """What is shown to a server that wants a certificate."""


def server_context(trust: ServerTrust) -> ssl.SSLContext:
    """A client's context; raises `NoAuthoritiesError`.

    It is made by the class, and not by ``create_default_context``, which would log keys where the environment says so.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    context.set_alpn_protocols(PROTOCOLS)
    context.hostname_checks_common_name = False
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust.ca:
        context.load_verify_locations(cadata=trust.ca)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # what the file names is believed, root or not
    else:
        _load_system(context)
    if trust.certificate is not None:
        load_into(context, trust.certificate)
    return context


def _load_system(context: ssl.SSLContext) -> None:
    """Believe what the system believes; where ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` is set, what is there."""
    context.set_default_verify_paths()
    paths = ssl.get_default_verify_paths()
    if context.cert_store_stats()["x509"] or _has_files(paths.capath):
        return  # those of a directory are read when they are needed
    named = {paths.openssl_cafile_env, paths.openssl_capath_env} & os.environ.keys()
    bundle = None if named else next(filter(os.path.isfile, BUNDLES), None)
    if bundle is None:
        if named:
            raise NoAuthoritiesError(
                f"no CA certificates are where to look by {' and '.join(sorted(named))}: write ca: FILE"
            )
        raise NoAuthoritiesError(
            "the system has no CA certificates: install them (Debian: apt install ca-certificates), or write ca: FILE"
        )
    context.load_verify_locations(bundle)


def _has_files(directory: str | None) -> bool:
    try:
        return bool(directory and os.listdir(directory))
    except OSError:
        return False
