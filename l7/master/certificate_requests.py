"""What the monitor process asks of the storage of ACME; a certificate that it has obtained is shown from then on."""

from __future__ import annotations

import ssl

from l7.acme.storage import ACCOUNT, certificate_name, record_name
from l7.ipc.messages import FileStored, LoadStorage, StorageLoaded, StoredFile, StoreFile, shortened
from l7.master.children.handle import ChildProcess
from l7.master.context import MasterContext
from l7.master.state.generations import BoundGeneration
from l7.telemetry.events import named
from l7.tls.certificate_files import acme_hosts
from l7.tls.certificates import Certificate, CertificateError, CertificateInfo, first_certificate
from l7.tls.renewal import message_of


class CertificateRequests:
    """Reads and writes for the monitor process what only the master, or its opener, may."""

    def __init__(self, context: MasterContext) -> None:
        self._context = context
        self._generations = context.generations
        self._storage = context.generations.storage

    def open_lock(self, served: BoundGeneration) -> int | None:
        """The file that is locked while an order is under way; None where it cannot be opened, or there is no ACME."""
        config = served.generation.config
        if config.tls.acme is None:
            return None
        try:
            return self._storage.open_lock(config)
        except OSError as error:
            why = _words(error)
            words = f"tls.acme.storage: {config.tls.acme.storage}: cannot be used: {why}; no certificate is obtained"
            self._context.events.error(named("acme.storage", words, reason=why))
            return None

    def note(self, handle: ChildProcess, message: LoadStorage | StoreFile) -> None:
        """Do what a monitor process asks, by the configuration of its own generation, and answer it.

        One of a generation that is not served any more is about to be stopped, and gets no answer.
        """
        served = self._generations.find(handle.generation)
        if served is None:
            return
        if isinstance(message, LoadStorage):
            self._load(handle, served, message.host)
        else:
            handle.channel.send(FileStored(message.name, shortened(self._store(served, message))))

    def _load(self, handle: ChildProcess, served: BoundGeneration, host: str) -> None:
        config = served.generation.config
        shown = {one.info.names: one.info for one in served.files.issued}
        try:
            handle.channel.send(StoredFile(ACCOUNT, self._storage.text(config, ACCOUNT)))
            for each in acme_hosts(config, served.files.configured):
                if host in ("", each):
                    self._send_host(handle, served, each, shown.get((each,)))
        except (OSError, ssl.SSLError) as error:
            handle.channel.send(StorageLoaded(shortened(_words(error))))
        else:
            handle.channel.send(StorageLoaded())

    def _send_host(
        self, handle: ChildProcess, served: BoundGeneration, host: str, shown: CertificateInfo | None
    ) -> None:
        """Send what is stored for a host, and show it where another l7 has stored it; raises ``OSError``."""
        config = served.generation.config
        try:
            stored = self._storage.certificate(config, host)
        except CertificateError:
            stored = None  # it was warned of, and is obtained anew
        chain = b"" if stored is None else first_certificate(stored.chain)
        self_signed = stored is None and host in served.files.self_signed
        handle.channel.send(StoredFile(certificate_name(host), chain.decode("ascii"), self_signed))
        handle.channel.send(StoredFile(record_name(host), self._storage.text(config, record_name(host))))
        if stored is not None and shown is not None and stored.info != shown:
            self._show(stored)

    def _store(self, served: BoundGeneration, message: StoreFile) -> str:
        """Write a file; returns why that cannot be, or nothing."""
        # Imported by the first who has a certificate: it brings a library of some megabytes.
        from l7.tls.parsing import certificate_of

        config = served.generation.config
        hosts = acme_hosts(config, served.files.configured)
        host = next((one for one in hosts if certificate_name(one) == message.name), None)
        try:
            certificate = None if host is None else certificate_of(message.content.encode("utf-8"), None)
            if certificate is not None and certificate.info.names != (host,):
                return f"the certificate is not for {host}, but for {', '.join(certificate.info.names) or 'no name'}"
            self._storage.write(config, message.name, message.content)
            if certificate is not None:
                self._show(certificate)
        except OSError as error:
            return f"it cannot be written: {_words(error)}"
        except (CertificateError, ssl.SSLError, ValueError) as error:
            return str(error)
        return ""

    def _show(self, certificate: Certificate) -> None:
        """Have it shown by the workers that there are and those to come; raises ``ssl.SSLError``."""
        self._generations.use_certificate(certificate)
        self._context.children.tell_all(message_of(certificate))


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
