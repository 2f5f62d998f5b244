"""The contexts of TLS: loaded with each generation, but for those that seal tickets, which live with their listener."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from l7.clock import monotonic
from l7.config.generation import Loaded, Reference
from l7.config.schema import Config
from l7.errors import ConfigError, Problem
from l7.master.resources.inherited import ListenerKey
from l7.master.resources.listeners import Listener, config_of
from l7.master.resources.privileged_opener import PrivilegedOpener
from l7.master.state.certificate_storage import CertificateStorage
from l7.master.state.config_source import ConfigSource
from l7.rules.answers.error_pages import Pages
from l7.rules.answers.named_files import read_named_files
from l7.rules.answers.page_files import changed_pages
from l7.tls.certificate_files import TlsFiles
from l7.tls.contexts import CertificateContexts, ListenerContexts, SessionContexts, TlsRules, entrance_of
from l7.tls.servers.files import AllTlsFiles

Contexts = Mapping[ListenerKey, ListenerContexts]
NO_FILES = TlsFiles()


class TlsContexts:
    """Loads configurations with the files that they name, and makes contexts of the certificates.

    :param source: flags, environment and file.
    :param opener: opens what only root may read.
    """

    def __init__(self, source: ConfigSource, opener: PrivilegedOpener) -> None:
        self.source = source
        self._opener = opener
        self.storage = CertificateStorage(opener)
        """The certificates of ACME."""
        self._sessions: dict[ListenerKey, SessionContexts] = {}
        self.files = AllTlsFiles()
        """What `load` has read last."""
        self.pages: Pages = {}
        """The error pages that it has read with it."""

    def load(
        self,
        reference: Reference | None = None,
        present: TlsFiles = NO_FILES,
        shown: Pages | None = None,
        *,
        trial: bool = False,
    ) -> Loaded:
        """Read the configuration and the files that it names; raises `ConfigError`.

        :param reference: what the result is compared with.
        :param present: the certificates that are shown now.
        :param shown: the error pages that are shown now: those that have changed are changes of the result.
        :param trial: ``files`` is to stay as it is.
        """
        loaded = self.source.load(self._opener, reference)
        opener = self._opener
        files, pages, warnings = read_named_files(
            loaded, opener.read_certificate, opener.read_error_page, patient=not trial
        )
        if loaded.config.tls.acme is not None:
            files = self.storage.load(loaded.config, files, present)
        if not trial:
            self.files, self.pages = files, pages
        changes = (*loaded.changes, *changed_pages(shown or {}, pages))
        return dataclasses.replace(loaded, changes=changes, warnings=(*loaded.warnings, *files.warnings, *warnings))

    def contexts(self, config: Config, listeners: Sequence[Listener]) -> Contexts:
        """The contexts of the listeners that speak TLS, with the certificates that were read last."""
        made: dict[TlsRules, CertificateContexts] = {}
        found: dict[ListenerKey, ListenerContexts] = {}
        for listener in listeners:
            tls = config.tls_of(config_of(listener, config))
            if tls is None:
                continue
            if not self.files.certificates:
                raise ConfigError([Problem(str(listener), "tls", "there are no certificates")])
            authorities = self.files.authorities[tls.client_ca] if tls.client_ca and tls.client_auth != "off" else ""
            rules = TlsRules(tls.min_version or "1.2", tls.client_auth or "off", authorities)
            if rules not in made:
                made[rules] = CertificateContexts(rules, self.files.certificates)
            entrance = entrance_of(str(listener), rules)
            found[listener.key] = ListenerContexts(self._sessions_of(listener.key, rules), made[rules], entrance)
        return found

    def settle(self, contexts: Contexts) -> None:
        """Keep the keys of tickets of these listeners alone: those of the generation that a reload has ended with."""
        self._sessions = {key: one.sessions for key, one in contexts.items()}

    @property
    def renewal_due(self) -> float:
        """When the day of some keys of tickets is over."""
        return min((one.until for one in self._sessions.values()), default=math.inf)

    def renew_sessions(self) -> None:
        """Forget the keys of tickets whose day is over, and make those of more days for workers that come."""
        for one in self._sessions.values():
            one.make_ahead(monotonic())

    def _sessions_of(self, key: ListenerKey, rules: TlsRules) -> SessionContexts:
        """The contexts that seal a listener's tickets: others where the rules are others.

        OpenSSL does not look at a client again when it resumes: an old ticket would let in who is shut out now.
        """
        found = self._sessions.get(key)
        if found is None or found.rules != rules:
            found = self._sessions[key] = SessionContexts(rules, monotonic())
        found.make_ahead(monotonic())
        return found
