"""The storage of ACME as the master has it: certificates for those that serve, files for the monitor process."""

from __future__ import annotations

import importlib
import time
from dataclasses import replace

from l7.acme.storage import LOCK, LONGEST, certificate_name, path_of
from l7.config.schema import Config
from l7.errors import ConfigError, Problem
from l7.master.resources.privileged_opener import PrivilegedOpener
from l7.tls.certificate_files import F, TlsFiles, acme_hosts
from l7.tls.certificates import Certificate, CertificateError

SELF_SIGNED_DAYS = 7.0
"""How long the certificate is valid that is shown until there is one of the authority."""


class CertificateStorage:
    """Reads and writes the files below ``tls.acme.storage``; ``opener`` does so where only root may."""

    def __init__(self, opener: PrivilegedOpener) -> None:
        self._opener = opener

    def load(self, config: Config, files: F, present: TlsFiles) -> F:
        """Add the certificates that were obtained, and a self-signed one for each host that has none yet.

        What cannot be read counts as none, and is warned of. A host that has none, as where the authority is another
        one now, goes on with what is shown for it at present. Raises `ConfigError`.
        """
        # Imported by the first who has a certificate: it brings a library of some megabytes.
        from l7.tls.parsing import certificate_of
        from l7.tls.self_signed import make

        _import_client()
        found: list[Certificate] = []
        missing: list[Certificate] = []
        warnings: list[Problem] = []
        shown = present.obtained(time.time())
        for host in acme_hosts(config, files.configured):
            try:
                certificate = self.certificate(config, host)
            except (OSError, CertificateError) as error:
                certificate = None
                warnings.append(Problem("tls.acme", "", f"{host}: {_words(error)}; it is obtained anew"))
            certificate = certificate or shown.get(host)
            if certificate is None:
                missing.append(certificate_of(*make([host], SELF_SIGNED_DAYS)))
            else:
                found.append(certificate)
        return replace(
            files,
            issued=(*found, *missing),
            self_signed=frozenset(name for one in missing for name in one.info.names),
            warnings=(*files.warnings, *warnings),
        )

    def certificate(self, config: Config, host: str) -> Certificate | None:
        """The certificate of a host, None where there is none yet; raises ``OSError`` and `CertificateError`."""
        from l7.tls.parsing import certificate_of

        content = self._read(config, certificate_name(host))
        return certificate_of(content, None) if content else None

    def text(self, config: Config, name: str) -> str:
        """The content of a file; empty for one that is missing. Raises ``OSError``."""
        return self._read(config, name).decode("utf-8", "replace")

    def write(self, config: Config, name: str, content: str) -> None:
        """Replace a file; raises ``OSError``, and ``ValueError`` for what is none of the storage."""
        assert config.tls.acme is not None
        if len(content) > LONGEST:
            raise ValueError(f"{name}: {len(content)} bytes are more than {LONGEST}")
        self._opener.write_stored(path_of(config.tls.acme, name), content)

    def open_lock(self, config: Config) -> int:
        """Open the file that is locked while an order is under way; raises ``OSError``."""
        assert config.tls.acme is not None
        return self._opener.open_storage_lock(path_of(config.tls.acme, LOCK))

    def _read(self, config: Config, name: str) -> bytes:
        assert config.tls.acme is not None
        try:
            return self._opener.read_stored(path_of(config.tls.acme, name))
        except FileNotFoundError:
            return b""


def _import_client() -> None:
    """Import what the monitor process obtains certificates by: its account may be unable to. Raises `ConfigError`."""
    try:
        importlib.import_module("l7.acme.authority")
    except ImportError as error:
        what = f"what it needs cannot be imported ({error}): restart l7, or pip install 'l7[acme]'"
        raise ConfigError([Problem("tls.acme", "", what)]) from None


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"its stored certificate cannot be read: {(error.strerror or str(error)).lower()}"
    return f"its stored certificate cannot be used: {error}"
