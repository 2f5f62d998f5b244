"""The certificates that a configuration names, read and judged: each problem with the place of its setting."""

from __future__ import annotations

import errno
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from l7.config.file_content import why_unreadable
from l7.config.generation import Loaded, Path, problem_at
from l7.config.schema import Config
from l7.config.sections.listeners import CHALLENGE_PORT
from l7.config.sections.tls import CertificateFiles
from l7.config.values.acme import is_certifiable
from l7.config.values.names import printable
from l7.config.values.routekeys import routes_of
from l7.errors import ConfigError, Problem
from l7.tls.certificates import Certificate, CertificateError, day
from l7.tls.contexts import covers

TRIES = 4
PAUSE = 0.3
"""Seconds between two tries to read a pair that does not fit: a renewal replaces its files one by one."""

Read = Callable[[str], bytes]
"""Gives the content of a file; raises ``OSError``."""


F = TypeVar("F", bound="TlsFiles")


@dataclass(frozen=True)
class TlsFiles:
    """What the files hold that the TLS of a configuration names."""

    configured: tuple[Certificate, ...] = ()
    """Those of ``tls.certificates``."""
    issued: tuple[Certificate, ...] = ()
    """Those that ACME has obtained, and the self-signed ones in place of those that it has not yet."""
    self_signed: frozenset[str] = frozenset()
    """The hosts that have a self-signed one."""
    warnings: tuple[Problem, ...] = ()
    authorities: Mapping[str, str] = field(default_factory=dict)
    """Those whose client certificates are valid, and those of ``tls.acme.ca``, as PEM, by the name of their file."""

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """All that can be shown; the first one is shown where no other one is meant."""
        return (*self.configured, *self.issued)

    def renewed(self: F, certificate: Certificate) -> F:
        """The same with this one in place of the issued one of the same names; itself where there is no such one."""
        names = certificate.info.names
        if not any(one.info.names == names for one in self.issued):
            return self
        issued = tuple(certificate if one.info.names == names else one for one in self.issued)
        return replace(self, issued=issued, self_signed=self.self_signed.difference(names))

    def obtained(self, now: float) -> dict[str, Certificate]:
        """What ACME has obtained and is still valid, by host."""
        valid = ((one.info.names[0], one) for one in self.issued if one.info.not_after > now)
        return {host: one for host, one in valid if host not in self.self_signed}


def renewals(old: TlsFiles, new: TlsFiles) -> list[str]:
    """A line for each certificate of ``new`` that ``old`` has not."""
    known = {(one.info.issuer, one.info.serial) for one in old.certificates}
    return [
        f"tls: certificate of {', '.join(one.info.names[:3]) or 'no name'}: new, valid until {day(one.info.not_after)}"
        for one in new.certificates
        if (one.info.issuer, one.info.serial) not in known
    ]


def read_tls(loaded: Loaded, read: Read, *, patient: bool = True) -> TlsFiles:
    """Read the certificates of a configuration; raises `ConfigError` with all that is wrong with them.

    :param patient: whether to wait for a moment for a pair that does not fit, or a file that is missing.
    """
    config = loaded.config
    if not config.tls.has_certificates:
        return TlsFiles()
    loaded = replace(loaded, sources=dict(loaded.sources.items()))  # looked at often below
    found: list[Certificate] = []
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for index, files in enumerate(config.tls.certificates):
        path: Path = ("tls", "certificates", index)
        try:
            certificate = read_pair(files, read, TRIES if patient else 1)
        except CertificateError as error:
            key = "key" if error.of_key else "cert"
            name = files.key if error.of_key else files.cert
            problems.append(problem_at(loaded, (*path, key), f"{printable(str(name), 200)}: {error}"))
        else:
            found.append(certificate)
            name = printable(files.cert, 200)
            warnings += [problem_at(loaded, (*path, "cert"), f"{name}: {words}") for words in certificate.warnings]
    authorities: dict[str, str] = {}
    for path, name in _named_authorities(loaded):
        try:
            authorities[name], words = read_authorities(name, read)
        except CertificateError as error:
            problems.append(problem_at(loaded, path, f"{printable(name, 200)}: {error}"))
        else:
            warnings += [problem_at(loaded, path, f"{printable(name, 200)}: {one}") for one in words]
    hosts = acme_hosts(config, found)
    if config.tls.acme is not None:
        problems += _wrong_with_acme(loaded, hosts, found)
        warnings += _weak_with_acme(loaded, hosts)
    if problems:
        raise ConfigError(problems)
    if any(one.tls for one in config.listened_on):
        warnings += _uncovered(loaded, [*(one.info.names for one in found), *((host,) for host in hosts)])
    else:
        what = "no listener has tls, so that no certificate is shown; write tls: true below one of listeners"
        warnings.append(problem_at(loaded, ("tls",), what))
    return TlsFiles(tuple(found), warnings=tuple(warnings), authorities=authorities)


def acme_hosts(config: Config, configured: Sequence[Certificate]) -> list[str]:
    """The hosts that certificates are obtained for by ACME; ``configured`` are the certificates that there are."""
    acme = config.tls.acme
    if acme is None:
        return []
    if acme.hosts:
        return list(acme.hosts)
    names = [name for one in configured for name in one.info.names]
    return [host for _, host in _hosts(config) if is_certifiable(host) and not covers(names, host)]


def _wrong_with_acme(loaded: Loaded, hosts: Sequence[str], configured: Sequence[Certificate]) -> Iterator[Problem]:
    path: Path = ("tls", "acme")
    if importlib.util.find_spec("acme") is None:
        yield problem_at(loaded, path, "it needs a package that is not installed: pip install 'l7[acme]'")
    if not hosts and not configured:
        what = (
            "there is no host that a certificate can be obtained for (no wildcard, no IP address): name some by hosts"
        )
        yield problem_at(loaded, path, what)
    names = {name for one in configured for name in one.info.names}
    for host in filter(names.__contains__, hosts):
        what = f"{host} is in a certificate of tls.certificates, too; only one can be shown: leave the other out"
        yield problem_at(loaded, (*path, "hosts"), what)


def _weak_with_acme(loaded: Loaded, hosts: Sequence[str]) -> Iterator[Problem]:
    ports = [one.address.port for one in loaded.config.listened_on if one.tls is None]
    if hosts and CHALLENGE_PORT not in ports:
        what = f"challenges come to port {CHALLENGE_PORT}, where l7 does not listen: something has to lead them here"
        yield problem_at(loaded, ("tls", "acme"), what)


def _named_authorities(loaded: Loaded) -> Iterator[tuple[Path, str]]:
    """The files of authorities that are in use, each once, with the setting that names it."""
    config = loaded.config
    found: dict[str, Path] = {}
    for index, one in enumerate(config.listened_on):
        tls = config.tls_of(one)
        if one.tls is not None and tls is not None and tls.client_auth != "off" and tls.client_ca is not None:
            own = one.tls.client_ca is not None
            found.setdefault(tls.client_ca, ("listeners", index, "tls", "client-ca") if own else ("tls", "client-ca"))
    if config.tls.acme is not None and config.tls.acme.ca is not None:
        found.setdefault(config.tls.acme.ca, ("tls", "acme", "ca"))
    return ((path, name) for name, path in found.items())


def read_authorities(name: str, read: Read) -> tuple[str, list[str]]:
    """Read a file of authorities: what it holds, as PEM, and warnings; raises `CertificateError`."""
    from l7.tls.parsing import authorities_of  # as in `read_pair`

    return authorities_of(read_content(name, read))


def read_pair(files: CertificateFiles, read: Read, tries: int) -> Certificate:
    """Read a certificate and its key, again after a moment where they do not fit; raises `CertificateError`."""
    # Imported by the first who has a certificate: it brings a library of some megabytes.
    from l7.tls.parsing import certificate_of

    while True:
        tries -= 1
        try:
            cert = read_content(files.cert, read)
            return certificate_of(cert, None if files.key is None else read_content(files.key, read, of_key=True))
        except CertificateError as error:
            if not error.passing or tries <= 0:
                raise
        time.sleep(PAUSE)


def read_content(path: str, read: Read, *, of_key: bool = False) -> bytes:
    """The content of a file; raises `CertificateError` with the words for why it cannot be read."""
    try:
        return read(path)
    except OSError as error:
        words = why_unreadable(path, error)
        raise CertificateError(words, of_key=of_key, passing=error.errno == errno.ENOENT) from None


def _uncovered(loaded: Loaded, certificates: Sequence[Sequence[str]]) -> Iterator[Problem]:
    """The hosts that no certificate is for; these are given by their names."""
    names = [name for one in certificates for name in one]
    for key, host in _hosts(loaded.config):
        if not covers(names, host):
            shown = ", ".join(certificates[0][:3]) or "no name"
            what = f"no certificate is for {printable(host)}: clients are shown the first one (of {printable(shown)})"
            yield problem_at(loaded, ("backends", key), what)


def _hosts(config: Config) -> Iterator[tuple[str, str]]:
    """The hosts of backends that a certificate can be for, each once, with the key of the backend."""
    seen = set()
    for key in config.backends:
        for route in routes_of(key):
            host = route.partition("/")[0]
            if host != "*" and host not in seen:
                seen.add(host)
                yield key, host.strip("[]")
