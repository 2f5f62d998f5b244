"""The files that `tls` of backends names, read and judged as those of listeners are."""

from __future__ import annotations

import dataclasses
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from l7.config.generation import Loaded, Path, problem_at
from l7.config.sections.server_tls import ServerTls
from l7.config.sections.tls import CertificateFiles
from l7.config.values.names import printable
from l7.errors import ConfigError, Problem
from l7.tls.certificate_files import TRIES, Read, TlsFiles, read_authorities, read_pair, read_tls
from l7.tls.certificates import Certificate, CertificateError, CertificateInfo, day
from l7.tls.servers.failures import prepare
from l7.tls.servers.trust import NoAuthoritiesError, ServerTrust, server_context


@dataclass(frozen=True)
class AllTlsFiles(TlsFiles):
    """What all files hold that TLS needs, with clients and with servers."""

    servers: Mapping[str, ServerTrust] = field(default_factory=dict)
    """What TLS with servers goes by, by the routes of backends that have such servers."""
    contexts: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    """The contexts made of that, by the same routes."""

    @property
    def shown(self) -> list[tuple[str, CertificateInfo]]:
        """The certificates that l7 shows to clients and to servers, each once, with what it is called."""
        found = [
            (f"the certificate of {', '.join(one.info.names[:3]) or 'no name'}", one.info) for one in self.certificates
        ]
        told = set()
        for route, trust in self.servers.items():
            if trust.certificate is not None and trust.certificate not in told:
                told.add(trust.certificate)
                found.append((f"the client certificate of backends.{printable(route)}", trust.certificate.info))
        return found


def other_content(old: AllTlsFiles, new: AllTlsFiles) -> list[str]:
    """A line for each file of backends' TLS that has another content in ``new``, whatever it is called."""
    lines = []
    for route, trust in new.servers.items():
        before, name = old.servers.get(route), f"backends.{printable(route)}.tls"
        if before is None or before == trust:
            continue
        if before.ca and trust.ca and before.ca != trust.ca:
            lines.append(f"{name}.ca: other authorities")
        if before.certificate and trust.certificate and before.certificate != trust.certificate:
            lines.append(f"{name}.cert: another certificate, valid until {day(trust.certificate.info.not_after)}")
    return lines


def read_all(loaded: Loaded, read: Read, *, patient: bool = True) -> AllTlsFiles:
    """Read the files of TLS with clients and with servers; raises `ConfigError` with all that is wrong with them.

    :param patient: as for `read_tls`.
    """
    problems: list[Problem] = []
    files = TlsFiles()
    try:
        files = read_tls(loaded, read, patient=patient)
    except ConfigError as error:
        problems += error.problems
    reader = _ServerFiles(loaded, read, TRIES if patient else 1)
    servers = reader.read_backends()
    problems += reader.problems
    if problems:
        raise ConfigError(problems)
    contexts = {route: reader.contexts[trust] for route, trust in servers.items()}
    warnings = (*files.warnings, *reader.warnings)
    return AllTlsFiles(
        files.configured, warnings=warnings, authorities=files.authorities, servers=servers, contexts=contexts
    )


class _ServerFiles:
    """Reads the files of backends, each once, however many name it."""

    def __init__(self, loaded: Loaded, read: Read, tries: int) -> None:
        self._loaded = loaded
        self._read = read
        self._tries = tries
        self._known: dict[tuple[object, ...], ServerTrust | None] = {}
        self.contexts: dict[ServerTrust, ssl.SSLContext] = {}
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def read_backends(self) -> dict[str, ServerTrust]:
        """What the TLS settings of backends come to; what is wrong is in ``problems``."""
        found: dict[str, ServerTrust] = {}
        for route, backend in self._loaded.config.backends.items():
            if not any(server.address.tls for server in backend.servers):
                continue
            tls = backend.tls
            key = (tls.verify, tls.ca, tls.cert, tls.key)
            if key not in self._known:
                self._known[key] = self._trust(tls, ("backends", route, "tls"))
            trust = self._known[key]
            if trust is not None:
                found[route] = trust
        return found

    def _trust(self, tls: ServerTls, path: Path) -> ServerTrust | None:
        ca = self._authorities(tls.ca, path) if tls.verify and tls.ca is not None else ""
        certificate = self._certificate(tls, path) if tls.cert is not None else None
        if ca is None or (tls.cert is not None and certificate is None):
            return None
        trust = ServerTrust(tls.verify, ca, certificate)
        if tls.verify:
            prepare()
        try:
            self.contexts[trust] = self.contexts.get(trust) or server_context(trust)
        except (NoAuthoritiesError, ssl.SSLError) as error:
            self.problems.append(problem_at(self._loaded, path, str(error)))
            return None
        return trust

    def _authorities(self, name: str, path: Path) -> str | None:
        try:
            found, warnings = read_authorities(name, self._read)
        except CertificateError as error:
            self._wrong((*path, "ca"), name, str(error))
            return None
        self.warnings += [self._problem((*path, "ca"), name, words) for words in warnings]
        return found

    def _certificate(self, tls: ServerTls, path: Path) -> Certificate | None:
        files = CertificateFiles.model_construct(cert=tls.cert, key=tls.key)
        try:
            found = read_pair(files, self._read, self._tries)
        except CertificateError as error:
            setting, name = ("key", tls.key) if error.of_key else ("cert", tls.cert)
            self._wrong((*path, setting), str(name), str(error))
            return None
        self.warnings += [self._problem((*path, "cert"), str(tls.cert), words) for words in _warnings(found.info)]
        return dataclasses.replace(found, warnings=())

    def _wrong(self, path: Path, name: str, what: str) -> None:
        self.problems.append(self._problem(path, name, what))

    def _problem(self, path: Path, name: str, what: str) -> Problem:
        return problem_at(self._loaded, path, f"{printable(name, 200)}: {what}")


def _warnings(info: CertificateInfo) -> Iterator[str]:
    """What is wrong with a certificate that l7 shows to servers: it needs no name that servers would look at."""
    now = time.time()
    if info.not_after < now:
        yield f"the certificate has expired on {day(info.not_after)}: servers refuse it"
    elif info.not_before > now:
        yield f"the certificate is not valid before {day(info.not_before, clock=True)}: servers refuse it"
