"""The contexts of OpenSSL: those that seal a listener's tickets, and those with the certificates of a generation.

A *session context* has no certificate. The master makes it before workers are forked and keeps it over reloads, so that
a ticket of one worker is good for all, now and later: OpenSSL opens and seals tickets with the keys of the context that
a connection began with, also when another one with a certificate was switched in. Certificates are never loaded into a
context that was used: each generation has new ones.

Python can neither read nor set the keys of tickets, so that they cannot be passed to a process that runs already. The
session contexts of the next days are made ahead, and each process goes on to the next one by the clock of the machine:
all use the same one at a time, without a word between them.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from l7.tls.certificates import Certificate, load_into
from l7.tls.details import TlsEntrance

SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""Mozilla's intermediate suites for TLS 1.2 (guidelines 6.0); those of TLS 1.3 are all good."""
PROTOCOLS: Final = ["http/1.1"]
SESSION_LIFE = 86400.0
"""Seconds for which a session context seals tickets."""
SESSIONS_AHEAD: Final = 30
"""Session contexts made ahead, of 12 KB each; a worker that outlives them makes its own, with tickets for it alone."""
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {"off": ssl.CERT_NONE, "request": ssl.CERT_OPTIONAL, "require": ssl.CERT_REQUIRED}
NOWHERE: Final = TlsEntrance("")
"""An entrance that no other generation has."""


@dataclass(frozen=True)
class TlsRules:
    """What clients of a listener have to do: a context of another rule knows nothing of this one's tickets."""

    min_version: str = "1.2"
    client_auth: str = "off"
    client_ca: str = field(default="", repr=False)
    """The authorities of client certificates, as PEM."""


def new_context(rules: TlsRules) -> ssl.SSLContext:
    """A server's context without a certificate; raises ``ssl.SSLError`` where the authorities cannot be read.

    It is made by the class, and not by ``create_default_context``, which would log keys where the environment says so.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.options &= ~(ssl.OP_CIPHER_SERVER_PREFERENCE | getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0))
    context.minimum_version = _VERSIONS[rules.min_version]
    context.set_ciphers(SUITES)
    context.set_alpn_protocols(PROTOCOLS)
    if rules.client_auth != "off":
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # who is named is trusted, also below another authority
        context.load_verify_locations(cadata=rules.client_ca)
        context.verify_mode = _VERIFY[rules.client_auth]
    return context


class CertificateContexts:
    """The contexts with certificates of one listener in one generation, by the names of the certificates.

    The first certificate is for clients that name no host, or one that none is for. Certificates of the same names and
    of different kinds of keys are in one context: OpenSSL chooses by what the client can.
    """

    def __init__(self, rules: TlsRules, certificates: Sequence[Certificate]) -> None:
        self._rules = rules
        groups: dict[tuple[str, ...], dict[str, Certificate]] = {}
        for one in certificates:
            groups.setdefault(one.info.names, {}).setdefault(one.info.key_type, one)
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._default: ssl.SSLContext | None = None
        for names, pair in groups.items():
            context = new_context(rules)
            for certificate in pair.values():
                load_into(context, certificate)
            self._default = self._default or context
            for name in names:
                self._by_name.setdefault(name, context)

    def renew(self, certificate: Certificate) -> None:
        """Show a certificate from now on in place of the one of the same names; raises ``ssl.SSLError``.

        Connections keep what they were shown: it is loaded into a context of its own.
        """
        context = new_context(self._rules)
        load_into(context, certificate)
        for name in certificate.info.names:
            if self._default is None or self._default is self._by_name.get(name):
                self._default = context
            self._by_name[name] = context

    def select(self, server_name: str | None) -> ssl.SSLContext | None:
        """The context for the name that a client asks for (SNI): exact, by a wildcard of one label, or the first."""
        if server_name is None:
            return self._default
        name = server_name.lower().removesuffix(".")
        found = self._by_name.get(name)
        if found is None:
            found = self._by_name.get("*." + name.partition(".")[2])
        return self._default if found is None else found


def covers(names: Iterable[str], host: str) -> bool:
    """Whether a certificate of ``names`` is for ``host``, which may be a wildcard itself."""
    known = set(names)
    return host in known or "*." + host.partition(".")[2] in known


class SessionContexts:
    """The session contexts of one listener, a day each: the present one and those that follow it.

    :param now: when the first one begins, by the clock of the machine (`l7.clock.monotonic`).
    """

    def __init__(self, rules: TlsRules, now: float) -> None:
        self.rules = rules
        self._contexts = [new_context(rules)]
        self.until = now + SESSION_LIFE
        """When the present one is over."""

    @property
    def present(self) -> ssl.SSLContext:
        """The one that seals tickets now."""
        return self._contexts[0]

    def advance(self, now: float) -> None:
        """Go on to the one of ``now``; those before it are forgotten, and what they have sealed cannot be opened."""
        while now >= self.until:
            self.until += SESSION_LIFE
            del self._contexts[0]
            if not self._contexts:
                self._contexts.append(new_context(self.rules))

    def make_ahead(self, now: float) -> None:
        """Make those of the next days, for processes that are forked from now on."""
        self.advance(now)
        while len(self._contexts) <= SESSIONS_AHEAD:
            self._contexts.append(new_context(self.rules))


@dataclass(frozen=True)
class ListenerContexts:
    """What a worker needs to speak TLS on a listener."""

    sessions: SessionContexts
    certificates: CertificateContexts
    entrance: TlsEntrance = NOWHERE
    """The same for another generation where who came in here could come in there."""

    @property
    def rules(self) -> TlsRules:
        """What its clients have to do."""
        return self.sessions.rules


def entrance_of(listener: str, rules: TlsRules) -> TlsEntrance:
    """What tells a listener and its rules from others."""
    authorities = hashlib.sha256(rules.client_ca.encode("utf-8")).hexdigest()
    return TlsEntrance(f"{listener} {rules.min_version} {rules.client_auth} {authorities[:32]}")
