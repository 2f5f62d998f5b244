"""Obtains certificates by ACME and renews them, one after the other, in a greenlet of the monitor process.

No request passes through here, and no start waits for it. Files are read and written by the master, which shows what
was obtained. What a try came to is on the disk before the next one: back-off outlives a restart, and an order whose
certificate may have been issued is gone on with.
"""

from __future__ import annotations

import fcntl
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import gevent
from gevent.event import AsyncResult

from l7 import __version__
from l7.acme import schedule
from l7.acme.records import Account, HostRecord, record_of
from l7.acme.storage import ACCOUNT, certificate_name, record_name
from l7.config.sections.tls import Acme
from l7.errors import L7Error
from l7.ipc.messages import FileStored, LoadStorage, Message, StorageLoaded, StoredFile, StoreFile
from l7.sharedmem.challenges import ChallengeTable
from l7.telemetry.events import Events, named
from l7.tls.certificates import CertificateError, CertificateInfo, day
from l7.units import show_duration

if TYPE_CHECKING:
    from l7.acme.authority import Authority

ORDER_WITHIN = 600.0
"""Seconds that an order may take, whatever the authority does."""
LOOK = 3600.0
"""Seconds after which the storage is looked at again: another l7 may have written there."""
LOCK_PAUSE = 1.0
"""Seconds between two tries to lock the storage, while another l7 has an order under way."""
MASTER_WITHIN = 60.0
"""Seconds that the master may take to read or write."""
STORAGE_PAUSE = 600.0
"""Seconds to wait after the storage could not be read or written."""


class StorageError(L7Error):
    """The storage cannot be read or written; it says why."""


@dataclass
class HostState:
    """What is known of one host: its certificate, as PEM and as what it says, and what was tried."""

    certificate: bytes = b""
    info: CertificateInfo | None = None
    record: HostRecord = field(default_factory=HostRecord)
    self_signed: bool = False
    """Whether a certificate of our own is shown."""


class CertificateRenewer:
    """Keeps the certificates of ``tls.acme`` valid.

    :param issuers: those that the authority's own certificate is verified by, as PEM; empty for those of the system.
    :param lock: the open file that is locked while an order is under way; None where there is none.
    :param challenges: what workers answer to the authority.
    :param send: sends a message to the master.
    """

    def __init__(
        self, settings: Acme, issuers: str, lock: int | None, challenges: ChallengeTable,
        send: Callable[[Message], None], events: Events,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._issuers = issuers
        self._lock = lock
        self._challenges = challenges
        self._send = send
        self._events = events
        self._account = Account()
        self._hosts: dict[str, HostState] = {}
        self._pauses: dict[str, float] = {}
        """Until when hosts are left alone whose record could not be written."""
        self._answer: AsyncResult[str] | None = None
        self._self_signed: set[str] = set()
        """The hosts of which it was said that they have no certificate yet."""

    def start(self) -> None:
        """Begin."""
        if self._lock is not None:  # else the master has said why
            gevent.spawn(self._run)

    def take(self, message: StoredFile | StorageLoaded | FileStored) -> None:
        """Take an answer of the master."""
        if isinstance(message, StoredFile):
            self._take_file(message)
        elif self._answer is not None:
            self._answer.set(message.why)

    def _run(self) -> None:
        self._challenges.put({})
        while True:
            try:
                pause = self._turn()
            except StorageError as error:
                words = f"tls.acme.storage: {self._settings.storage}: {error}; no certificate is obtained"
                self._events.error(named("acme.storage", words, reason=str(error)))
                pause = STORAGE_PAUSE
            except Exception as bug:  # the process has other work, which is not to end with this
                words = f"tls.acme: this is a bug in l7, please report it: {type(bug).__name__}: {bug}"
                self._events.error(named("acme.storage", words, reason=type(bug).__name__))
                pause = STORAGE_PAUSE
            gevent.sleep(pause)

    def _turn(self) -> float:
        """Do what is due for the host whose turn it is; returns for how many seconds nothing is due."""
        self._load()
        while True:
            at, host = min(((self._due(host), host) for host in self._hosts), default=(time.time() + LOOK, ""))
            now = time.time()
            if at > now:
                return min(at - now, LOOK)
            with self._locked():
                self._load(host)  # another l7 may have been here
                _, step = schedule.next_step(self._hosts[host].record, self._hosts[host].info)
                if self._due(host) <= time.time():
                    self._ask(host) if step == "ask" else self._order(host)

    def _due(self, host: str) -> float:
        state = self._hosts[host]
        at, _ = schedule.next_step(state.record, state.info)
        return max(at, self._pauses.get(host, 0.0), self._account.quiet_until)

    # --- one host -----------------------------------------------------------------------------------------------------

    def _order(self, host: str) -> None:
        # The master has imported it, where ACME is wanted: it is not installed elsewhere.
        from l7.acme.authority import AuthorityError

        try:
            with gevent.Timeout(ORDER_WITHIN, AuthorityError(f"not done within {show_duration(ORDER_WITHIN)}")):
                chain, key = self._obtain(host)
            self._store(certificate_name(host), (chain + key).decode("ascii"))
            info = _info(chain)
        except (AuthorityError, CertificateError, StorageError) as error:
            self._failed(host, str(error), getattr(error, "retry_after", 0.0))
            return
        finally:
            self._challenges.put({})
        self._note(host, schedule.obtained(info, time.time()))
        self._hosts[host] = HostState(chain, info, self._hosts[host].record)
        self._self_signed.discard(host)
        words = f"tls: certificate of {host}: obtained, valid until {day(info.not_after)}"
        self._events.info(named("acme.obtained", words, host=host))

    def _obtain(self, host: str) -> tuple[bytes, bytes]:
        from l7.acme.authority import AuthorityError

        try:
            return self._obtain_once(host, self._connected())
        except AuthorityError as error:
            if not error.forgotten:
                raise
            # It knows our account no more, as one that was set up anew: the certificate needs another one.
            self._account = Account()
            return self._obtain_once(host, self._connected())

    def _obtain_once(self, host: str, authority: Authority) -> tuple[bytes, bytes]:
        state = self._hosts[host]
        if state.record.order:
            key = state.record.key.encode("ascii")
            chain = authority.resume(host, state.record.order, key)
            if chain is not None:
                return chain, key
            self._note(host, replace(state.record, order="", key=""))
        return authority.obtain(host, _Steps(self, host), state.certificate or None)

    def _connected(self) -> Authority:
        from l7.acme.authority import Authority

        authority = Authority(self._settings, self._issuers, self._account, f"l7/{__version__}")
        account = authority.connect()
        if account != self._account:
            self._store(ACCOUNT, account.text())
            self._account = account
        return authority

    def _ask(self, host: str) -> None:
        """Ask the authority when it wants the certificate to be renewed; no answer changes nothing."""
        from l7.acme.authority import AuthorityError

        state = self._hosts[host]
        assert state.info is not None
        window, again = None, schedule.ASK_AGAIN
        try:
            with gevent.Timeout(ORDER_WITHIN, AuthorityError("no answer")):
                window, again = self._connected().renewal_window(state.certificate)
        except AuthorityError as error:
            self._events.debug(f"tls.acme: {host}: when to renew is not known: {error}")
        self._note(host, schedule.asked(state.record, state.info, time.time(), random.random(), window, again))

    def _failed(self, host: str, why: str, retry_after: float) -> None:
        now = time.time()
        record = schedule.failed(self._hosts[host].record, why, now, random.random(), retry_after)
        seconds = round(record.not_before - now)
        words = f"tls.acme: no certificate for {host}: {why}; it is tried again in {show_duration(float(seconds))}"
        facts = {"host": host, "failures": record.failures, "seconds": seconds}
        self._pauses[host] = record.not_before
        try:
            self._note(host, record)
            if retry_after:
                self._account = replace(self._account, quiet_until=now + min(retry_after, schedule.QUIET))
                self._store(ACCOUNT, self._account.text())
        finally:
            self._events.warning(named("acme.failed", words, **facts))

    def publish(self, token: str, answer: str) -> None:
        """Have all workers answer a challenge."""
        self._challenges.put({token: answer})

    def remember(self, host: str, url: str, key: bytes) -> None:
        """Keep an order whose certificate is about to be issued."""
        self._note(host, replace(self._hosts[host].record, order=url, key=key.decode("ascii")))

    # --- the storage, which the master has ----------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other l7 with the same storage from ordering meanwhile."""
        assert self._lock is not None
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                gevent.sleep(LOCK_PAUSE)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _load(self, host: str = "") -> None:
        """Read what is stored for a host, or all of it; raises `StorageError`."""
        self._asked(LoadStorage(host))
        for each, state in self._hosts.items():
            if state.self_signed and each not in self._self_signed:
                self._self_signed.add(each)
                words = f"tls: a self-signed certificate is shown for {each} until the authority has given one"
                self._events.warning(named("acme.self-signed", words, host=each))

    def _note(self, host: str, record: HostRecord) -> None:
        """Keep what was tried for a host; raises `StorageError`."""
        self._hosts[host].record = record
        self._store(record_name(host), record.text())

    def _store(self, name: str, content: str) -> None:
        self._asked(StoreFile(name, content))

    def _asked(self, message: LoadStorage | StoreFile) -> None:
        self._answer = AsyncResult()
        self._send(message)
        try:
            why = self._answer.get(timeout=MASTER_WITHIN)
        except gevent.Timeout:
            why = "the master does not answer"
        finally:
            self._answer = None
        if why:
            raise StorageError(why)

    def _take_file(self, message: StoredFile) -> None:
        name, content = message.name, message.content
        if name == ACCOUNT:
            self._account = schedule.believed_account(record_of(Account, content), time.time())
            return
        host, _, kind = name.rpartition(".")
        state = self._hosts.setdefault(host, HostState())
        if kind == "json":
            state.record = schedule.believed(record_of(HostRecord, content), time.time())
            return
        state.certificate, state.info = content.encode("ascii", "replace"), None
        state.self_signed = message.self_signed
        if content:
            state.info = _info(state.certificate)


class _Steps:
    """What is done between the steps of one host's order."""

    def __init__(self, renewer: CertificateRenewer, host: str) -> None:
        self._renewer = renewer
        self._host = host

    def publish(self, token: str, answer: str) -> None:
        """Have all workers answer a challenge."""
        self._renewer.publish(token, answer)

    def remember(self, url: str, key: bytes) -> None:
        """Keep the order."""
        self._renewer.remember(self._host, url, key)


def _info(chain: bytes) -> CertificateInfo:
    # Imported by the first who has a certificate: it brings a library of some megabytes.
    from l7.tls.parsing import info_in

    return info_in(chain)
