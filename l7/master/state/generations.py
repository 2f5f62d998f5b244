"""The configurations that were loaded, by number, each with the listeners it is served on."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from l7.acme.storage import folder_of
from l7.config.comparison import with_other_servers
from l7.config.generation import ConfigDump, Generation, Loaded, Reference
from l7.config.schema import Backend, Config
from l7.config.values.names import printable
from l7.errors import ConfigError, L7Error, StartError
from l7.master.resources.listeners import Listener, config_of, describe
from l7.master.resources.privileges import account, first_unprivileged_port, may_bind_any_port
from l7.master.resources.startup import MasterResources
from l7.master.state.certificate_storage import CertificateStorage
from l7.master.state.cpus import usable_cpus
from l7.master.state.overrides import ServerOverrides
from l7.master.state.server_entries import has_usable_server
from l7.master.state.shared_state import SharedMemoryOwner
from l7.master.state.tls_contexts import Contexts, TlsContexts
from l7.master.supervision.events import GenerationPlan
from l7.rules.answers.error_pages import Pages
from l7.telemetry.events import Events, named, prefixed
from l7.tls.certificate_files import renewals
from l7.tls.certificates import Certificate
from l7.tls.servers.files import AllTlsFiles, other_content
from l7.workers.downstream.bound_listener import BoundListener
from l7.workers.monitor.name_lookup import prepare
from l7.workers.monitor.process import needs_monitor, watched_backends
from l7.workers.upstream.preflight import PreflightSpec

SLOTS = 4096
"""The most workers at a time: four times the most that can be configured, for those that drain."""


class ReloadRefused(L7Error):
    """A reload that is refused; ``lines`` are the reasons."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(lines)
        self.lines = lines


@dataclass(frozen=True)
class BoundGeneration:
    """A generation with its bound listeners."""

    generation: Generation
    listeners: tuple[Listener, ...]
    file: str | None = None
    changes: tuple[str, ...] = ()
    """The differences to the generation before, as text."""
    troubles: tuple[str, ...] = ()
    """Problems found when it was loaded that do not prevent serving it."""
    admin: Listener | None = None
    """The listener of the admin endpoint."""
    loaded: float = field(default_factory=time.time)
    """When it was loaded, as seconds since 1970."""
    contexts: Contexts = field(default_factory=dict)
    """What is needed to speak TLS, of the listeners where that is done."""
    files: AllTlsFiles = field(default_factory=AllTlsFiles)
    """Its certificates, and the contexts for TLS with servers."""
    pages: Pages = field(default_factory=dict)
    """Its error pages."""

    def __post_init__(self) -> None:
        prepare(self.generation.config)

    @property
    def sockets(self) -> tuple[Listener, ...]:
        """All its listeners."""
        return self.listeners if self.admin is None else (*self.listeners, self.admin)

    @cached_property
    def watched(self) -> Mapping[str, Backend]:
        """The backends that a monitor process watches: found once, and before it is forked."""
        return watched_backends(self.generation.config)

    def bound(self) -> list[BoundListener]:
        """What its workers accept on."""
        config = self.generation.config
        return [BoundListener(one.socket, config_of(one, config), self.contexts.get(one.key)) for one in self.listeners]

    def plan(self) -> GenerationPlan:
        """The values that the supervision needs of it."""
        config = self.generation.config
        workers = usable_cpus() if config.workers == "auto" else config.workers
        return GenerationPlan(
            self.generation.number,
            workers,
            config.graceful_timeout,
            config.drain_timeout,
            config.worker_timeout,
            config.canary_time,
            config.preflight,
            needs_monitor(config),
            self.admin is not None or config.tracing is not None,
        )


class Generations:
    """The generations that are served: the present one and, during a reload, the next one."""

    def __init__(
        self,
        tls: TlsContexts,
        resources: MasterResources,
        loaded: Loaded,
        listeners: list[Listener],
        events: Events,
        first: int = 1,
    ) -> None:
        self.tls = tls
        self._resources = resources
        self._events = events
        self.last = first
        """The highest number so far."""
        self._unreadable = ""
        self._warned: list[str] = []
        self.shared_state = SharedMemoryOwner(loaded.config)
        self.administration = ServerOverrides(self.shared_state, events)
        admin = resources.listeners.take_admin(loaded.config.admin_address)
        contexts = tls.contexts(loaded.config, listeners)
        self.current = BoundGeneration(
            loaded.generation(first), tuple(listeners), loaded.file, admin=admin, contexts=contexts, files=tls.files,
            pages=tls.pages,
        )  # fmt: skip
        self._served = {first: self.current}
        self._warn(loaded)
        self._warn_of_unreadable(loaded)

    @property
    def instance(self) -> str:
        """What tells this l7 from another one: its configuration file, else the first address that it listens on."""
        file, listeners = self.current.file, self.current.listeners
        return printable(file) if file is not None else str(listeners[0]) if listeners else "no listener"

    def get(self, number: int) -> BoundGeneration:
        """A generation that is served."""
        return self._served[number]

    def find(self, number: int) -> BoundGeneration | None:
        """A generation, where it is still served."""
        return self._served.get(number)

    def load(self) -> BoundGeneration:
        """Read the configuration again and bind new listeners; raises `ReloadRefused`."""
        try:
            loaded = self._load()
            self._check(loaded)
            self.shared_state.extend(loaded.config)
            listeners = self._take_listeners(loaded.config)
            admin = self._resources.listeners.take_admin(loaded.config.admin_address)
            log = self._resources.log.open(loaded.config.access_log)
            contexts = self.tls.contexts(loaded.config, listeners)
        except ConfigError as error:
            unread = any("cannot be read" in problem.what for problem in error.problems)
            hints = [*self._rights(), *self._working_directory()] if unread else []
            raise ReloadRefused([*map(str, error.problems), *hints]) from error
        except ReloadRefused:
            raise
        except StartError as error:
            self._resources.listeners.keep(self.current.sockets)
            raise ReloadRefused([str(error)]) from error
        except (Exception, SystemExit) as error:  # a reload must never be the end of a master that serves
            self._resources.listeners.keep(self.current.sockets)
            raise ReloadRefused([f"reload: {type(error).__name__}: {error}"]) from error
        self.last += 1
        lines = self._differences(loaded)
        if log.anew:
            lines.append(
                named(
                    "log.reopened", f"access-log: {loaded.config.access_log}: opened anew", log=loaded.config.access_log
                )
            )
        lines += self._resources.listeners.renewed
        troubles = [*self._resources.listeners.troubles, *([log.trouble] if log.trouble else [])]
        served = BoundGeneration(
            loaded.generation(self.last), tuple(listeners), loaded.file, tuple(lines), tuple(troubles), admin,
            contexts=contexts, files=self.tls.files, pages=self.tls.pages,
        )  # fmt: skip
        self._served[self.last] = served
        self._warn(loaded)
        self._tell_changes(served)
        return served

    @property
    def storage(self) -> CertificateStorage:
        """The certificates of ACME."""
        return self.tls.storage

    def use_certificate(self, certificate: Certificate) -> None:
        """Have a certificate of ACME shown by workers to come; raises ``ssl.SSLError``."""
        for number, served in self._served.items():
            files = served.files.renewed(certificate)
            if files is not served.files:
                for contexts in {id(one.certificates): one.certificates for one in served.contexts.values()}.values():
                    contexts.renew(certificate)
                self._served[number] = replace(served, files=files)
        self.current = self._served[self.current.generation.number]

    def entrances(self, number: int) -> list[str]:
        """The listeners in TLS of a generation that is served, each with its rules; of another one none."""
        served = self._served.get(number)
        return [] if served is None else [one.entrance.listener for one in served.contexts.values()]

    def works_now(self, route: str) -> bool:
        """Whether the present configuration has a server for a route that can be used."""
        return has_usable_server(route, self.current.generation.config, self.shared_state)

    def preflight(self, served: BoundGeneration, seconds: float) -> PreflightSpec | None:
        """What the first worker of a generation has to look at before it accepts: what the present one has not."""
        backends = with_other_servers(self.current.generation.config, served.generation.config) if seconds else ()
        return PreflightSpec(seconds, backends) if backends else None

    def preview(self, *, try_out: bool = False) -> tuple[list[str], list[str], str]:
        """What a reload would change, why it would be refused, and the digest of what would be loaded.

        :param try_out: find out, too, whether addresses could be bound and the access log be opened.
        """
        try:
            loaded = self._load(trial=True)
            self._check(loaded)
        except ConfigError as error:
            return [], [str(problem) for problem in error.problems], ""
        except ReloadRefused as refusal:
            return list(loaded.changes), refusal.lines, ""
        except (Exception, SystemExit) as error:  # a question must never be the end of a master that serves
            return [], [f"{type(error).__name__}: {error}"], ""
        problems = self._try_out(loaded.config) if try_out else []
        return list(loaded.changes), problems, loaded.digest

    def _try_out(self, new: Config) -> list[str]:
        problems = self._resources.listeners.try_out(new.listened_on, new.admin_address)
        log = self._resources.log.try_out(new.access_log)
        return [*problems, log] if log else problems

    def settle(self, number: int) -> None:
        """Make one generation the present one and forget the others."""
        self.current = self._served[number]
        self._served = {number: self.current}
        self.shared_state.settle([self.current.generation.config])
        self.administration.settle()
        self.tls.settle(self.current.contexts)
        self._events.generation = number
        self._events.level = self.current.generation.config.log_level
        gone = self._resources.listeners.keep(self.current.sockets)
        if gone:
            self._events.info(f"listening no more on {', '.join(listener.name for listener in gone)}")

    def dump(self, workers: list[str]) -> ConfigDump:
        """The present configuration, as `USR1` shows it; ``workers`` are a line each. Raises `StartError`."""
        lines = [*workers, *self.administration.lines()]
        return self.tls.source.dump(self._resources.opener, self.current.generation, lines)

    def _load(self, *, trial: bool = False) -> Loaded:
        """Read the configuration again, and compare it with the present one."""
        reference = Reference(
            self.current.generation.config, self._resources.listeners.inherited,
            may_bind_any_port() or self._resources.opener.alive, first_unprivileged_port(),
        )  # fmt: skip
        return self.tls.load(reference, self.current.files, self.current.pages, trial=trial)

    def _differences(self, loaded: Loaded) -> list[str]:
        """What is different to the present generation, in settings and in the files that they name, as text."""
        before, after = self.current.files, self.tls.files
        return [*loaded.changes, *renewals(before, after), *other_content(before, after)]

    def _check(self, loaded: Loaded) -> None:
        """Refuse by name what only a start can change; raises `ReloadRefused`."""
        if loaded.needs_restart:
            raise ReloadRefused([f"{line}: needs a restart" for line in loaded.needs_restart])

    def _take_listeners(self, new: Config) -> list[Listener]:
        """Bind what is new; raises `StartError`. Nothing is bound for what cannot be served."""
        self._try_storage(new)
        return self._resources.take_listeners(new)

    def _try_storage(self, new: Config) -> None:
        """Refuse a storage of ACME that is named anew and cannot be written; raises `StartError`.

        The one that there is may have become unusable meanwhile: that is no reason to change nothing else.
        """
        acme, present = new.tls.acme, self.current.generation.config.tls.acme
        if acme is not None and (present is None or folder_of(acme) != folder_of(present)):
            self._resources.try_storage(acme)

    def _tell_changes(self, served: BoundGeneration) -> None:
        number = served.generation.number
        for line in served.troubles:
            self._events.write("warning", line, number)
        for line in served.changes or ([] if served.troubles else ["nothing changed"]):
            self._events.write("info", prefixed("reload: ", line), number)
        added = [listener for listener in served.sockets if listener not in self.current.sockets]
        if added:
            self._events.write("info", f"reload: listening on {describe(added)}", number)

    def _warn(self, loaded: Loaded) -> None:
        """Log the warnings about the configuration; a reload repeats only new ones."""
        warnings = [str(warning) for warning in loaded.warnings]
        for warning in warnings:
            if warning not in self._warned:
                self._events.warning(warning)
        self._warned = warnings

    def _warn_of_unreadable(self, loaded: Loaded) -> None:
        """Warn of files that root could read but the account that l7 runs as cannot: a reload would fail."""
        if loaded.file is None or os.access(loaded.file, os.R_OK):
            return
        self._unreadable = loaded.file
        try:
            self._resources.opener.read(os.path.expanduser(loaded.file))
        except OSError as error:
            why = f"; {error.strerror}" if self._resources.opener.pid is not None else ""
            self._events.warning(f"reloads will be refused: {self._rights()[0]}{why}")

    def _working_directory(self) -> list[str]:
        """Advice where the working directory was removed, so that a relative path fails; else nothing."""
        try:
            os.getcwd()
        except OSError:
            return ["the working directory of l7 is gone: start it with full paths, or in a directory that stays"]
        return []

    def _rights(self) -> list[str]:
        """Advice where a file cannot be read any more with the account's rights; else nothing."""
        if not self._unreadable or os.access(self._unreadable, os.R_OK):
            return []
        who = self._resources.run_as or account()
        return [f"{self._unreadable}: {who} may not read it; let its group, or choose another run-as"]
