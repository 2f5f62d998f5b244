"""The privileged opener: the one process that stays root, and may do nothing but open what it was told of at the start.

It opens the configuration file, and the access log, the ports, the files of TLS and the storage of ACME that were named
by flags and variables, and those and the error pages that the configuration file names as the opener reads it, where
only root can change that file. An attacker who controls another process of l7 can have these opened and nothing else.
It ends when no process has the other end of its socket.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import signal
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from setproctitle import setproctitle

from l7.acme.storage import open_lock, path_of, write_in
from l7.config.file_content import content_of
from l7.config.generation import Loaded, PackedSources
from l7.config.schema import Config
from l7.config.sections.tls import Acme
from l7.ipc.codec import DecodeError
from l7.ipc.opening import (
    CODEC,
    LONGEST,
    ROOM,
    BindPort,
    ExpectSuccessor,
    NotOpened,
    OpenCertificate,
    OpenConfiguration,
    Opened,
    OpenErrorPage,
    OpeningMessage,
    OpenLog,
    OpenStorageLock,
    OpenStored,
    StartReader,
    WriteStored,
    send,
)
from l7.ipc.rights import ControlMessage, descriptors_in
from l7.master.children.reader import descriptor_of_reader, fork_reader
from l7.master.children.signals import WISHES
from l7.master.opener.trusted_paths import UntrustedPath, open_directory, open_to_append, open_to_read
from l7.master.resources.listening_sockets import bind_tcp
from l7.master.resources.privileges import Identity, give_file
from l7.master.resources.process_attributes import close_all_but, restore_umask
from l7.telemetry.events import Events, named

TITLE = "l7: opener"
_SETTINGS = ("port", "bind", "listeners", "tls", "admin", "access_log")
"""Those that name what it may open."""
_SETTINGS_OF = "l7.config.reading.serving", "settings_of"
_SERVER_TLS_FILES = "l7.config.reading.serving", "server_tls_files"
_ERROR_PAGES = "l7.config.reading.serving", "error_page_files"
_CREDENTIALS = struct.Struct("3i")
_SCM_CREDENTIALS = 2
"""The kind of control message, which `socket` does not name everywhere (unix(7))."""
_IGNORED = (*WISHES, signal.SIGTSTP)
"""What a terminal or a supervisor sends to all processes of l7: it ends with the master."""


@dataclass(frozen=True)
class StartSettings:
    """What was named when l7 started: the configuration file by its full path, and settings, but for backends."""

    file: str | None
    config: Config
    given: frozenset[str]
    """The settings of ``config`` that flags and variables give, so that the file has no say in them."""
    tls_files: frozenset[str] = frozenset()
    """The files of certificates, keys and authorities that flags and variables name."""
    acme: Acme | None = None
    """The settings of ACME, where flags and variables have a part in them."""

    @classmethod
    def of(cls, loaded: Loaded) -> StartSettings:
        """What a start names. A setting of the file has a source with a line number."""
        file = None if loaded.file is None else os.path.abspath(os.path.expanduser(loaded.file))
        sources = {name: loaded.sources.get((name.replace("_", "-"),), ":") for name in _SETTINGS}
        sources["admin"] = loaded.sources.get(("admin", "address"), sources["admin"])
        given = frozenset(name for name, source in sources.items() if ":" not in source)
        tls_files = [
            files
            for setting, files in (("certificates", _certificates), ("client-ca", _authorities))
            if ":" not in loaded.sources.get(("tls", setting), ":")
        ]
        named = frozenset[str]().union(*(files(loaded.config) for files in tls_files))
        top = loaded.sources.top if isinstance(loaded.sources, PackedSources) else loaded.sources
        own = any(path[:2] == ("tls", "acme") and ":" not in source for path, source in top.items())
        acme = loaded.config.tls.acme if own else None
        if acme is not None and acme.ca is not None:
            named |= {os.path.abspath(acme.ca)}
        config = loaded.config.model_copy(update={"backends": {}})
        return cls(file, config, given, named | _of_defaults(loaded), acme)


def _certificates(config: Config) -> frozenset[str]:
    """The files of certificates and keys that a configuration names, by their full paths."""
    names = (name for one in config.tls.certificates for name in (one.cert, one.key) if name is not None)
    return frozenset(map(os.path.abspath, names))


def _authorities(config: Config) -> frozenset[str]:
    """The files of authorities that it names, of client certificates and of ACME, by their full paths."""
    names = [config.tls.client_ca, *(one.tls.client_ca for one in config.listeners if one.tls is not None)]
    names += [] if config.tls.acme is None else [config.tls.acme.ca]
    return frozenset(os.path.abspath(name) for name in names if name is not None)


def _of_defaults(loaded: Loaded) -> frozenset[str]:
    """The files of TLS with servers that flags and variables name, which is for all backends."""
    tls = loaded.config.defaults.tls
    names = {"ca": tls.ca, "cert": tls.cert, "key": tls.key}
    given = [key for key in names if ":" not in loaded.sources.get(("defaults", "tls", key), ":")]
    return frozenset(os.path.abspath(name) for key in given if (name := names[key]) is not None)


def _is_stored(acme: Acme | None, path: str) -> bool:
    """Whether a path is that of a file of the storage."""
    try:
        return acme is not None and path == path_of(acme, os.path.basename(path))
    except ValueError:
        return False


class _RequestRefusedError(Exception):
    """The opener refuses to open a path; the message says why."""


def run(sock: socket.socket, told: int, master: int) -> NoReturn:
    """Run the opener until its socket is closed; called in a new process with signals blocked, and never returns.

    It keeps the rights of root, and gives up all descriptors but the standard ones and ``sock``.

    :param told: a pipe by which the settings of the start come, pickled, with whom the access log is given to; it ends
        at once where that is closed without a word.
    :param master: the process that may ask.
    """
    try:
        signal.set_wakeup_fd(-1)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        setproctitle(TITLE)
        close_all_but(sock.fileno(), told)
        restore_umask()
        with open(told, "rb") as pipe:
            words = pipe.read()
        if words:
            start, identity = pickle.loads(words)  # by who is root as well
            _Opener(start, identity, master).serve(sock)
    except BaseException as fault:  # whatever it was, the process ends here, and must report it
        Events().error(f"privileged opener: failed: {type(fault).__name__}: {fault}")
    finally:
        os._exit(0)


class _Opener:
    """Answers one request after the other."""

    def __init__(self, start: StartSettings, identity: Identity, master: int) -> None:
        self._start = start
        self._identity = identity
        self._askers = {master}
        self._expecting = False
        self._events = Events()
        self._told: dict[str, tuple[int, int, int]] = {}
        self._refused = ""
        self._said: dict[tuple[str, str], tuple[tuple[int, int, int, int], Any]] = {}
        """What functions of the reader have said, and of which file as it was then: one is asked for often."""

    def serve(self, sock: socket.socket) -> None:
        """Answer until the other end of the socket is closed."""
        while True:
            data, control, _, _ = sock.recvmsg(LONGEST, ROOM, socket.MSG_CMSG_CLOEXEC)
            if not data:
                return
            with contextlib.ExitStack() as stack:
                ends = [stack.enter_context(socket.socket(fileno=each)) for each in descriptors_in(control)]
                with contextlib.suppress(OSError):  # who asked has gone
                    for end in ends[:1]:
                        self._answer(data, _sender(control), end)

    def _answer(self, data: bytes, asker: int, end: socket.socket) -> None:
        descriptor = None
        try:
            self._check(asker)
            message = CODEC.decode(data)
            descriptor = self._open(message)
            send(end, Opened(), descriptor)
            if not isinstance(message, StartReader):
                self._refused = ""
        except (_RequestRefusedError, UntrustedPath, DecodeError) as error:
            why = str(error.strerror if isinstance(error, UntrustedPath) else error)
            self._refuse(why, asker)
            send(end, NotOpened(why))
        except OSError as error:
            send(end, NotOpened((error.strerror or str(error)).lower(), error.errno or 0))
        except Exception as bug:  # no request may be the end of what cannot be started again
            self._refuse(f"this is a bug in l7, please report it: {type(bug).__name__}: {bug}", asker)
            send(end, NotOpened(f"{type(bug).__name__}: {bug}"))
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _refuse(self, why: str, asker: int) -> None:
        """Log a refusal, once while the same is asked again and again, as `l7 status` does."""
        if why != self._refused:
            self._refused = why
            self._events.warning(named("opener.refused", f"privileged opener: refused: {why}", asker=asker))

    def _check(self, asker: int) -> None:
        """Answer the master alone, and the next one when it was announced."""
        if asker in self._askers:
            return
        if not self._expecting or _parent(asker) not in self._askers:
            raise _RequestRefusedError(f"process {asker} is not the master")
        self._expecting = False
        self._askers.add(asker)

    def _open(self, message: OpeningMessage) -> int | None:
        if isinstance(message, OpenConfiguration):
            if self._start.file is None:
                raise _RequestRefusedError("no configuration file was named at the start")
            return self._tell(self._start.file, open_to_read(self._start.file), changes=True)
        if isinstance(message, OpenLog):
            return self._open_log(message)
        if isinstance(message, OpenCertificate):
            return self._open_certificate(message)
        if isinstance(message, OpenErrorPage):
            return self._open_error_page(message)
        if isinstance(message, BindPort):
            return self._bind(message)
        if isinstance(message, OpenStored):
            return open_to_read(self._stored(message.path))
        if isinstance(message, (WriteStored, OpenStorageLock)):
            return self._change_storage(message)
        if isinstance(message, StartReader):
            return descriptor_of_reader(self._identity)
        if isinstance(message, ExpectSuccessor):
            self._expecting = True
            return None
        raise _RequestRefusedError(f"{type(message).__name__} is no request")

    def _open_log(self, message: OpenLog) -> int | None:
        path = self._settings("access_log").access_log
        if path in ("-", "off") or os.path.abspath(path) != message.path:
            raise _RequestRefusedError(f"{message.path} is not the access log {self._where()}")
        descriptor = open_to_append(message.path, create=not message.trial)
        if descriptor is not None and not message.trial:
            try:
                give_file(descriptor, self._identity)
            except BaseException:
                os.close(descriptor)
                raise
            self._tell(message.path, descriptor)
        return descriptor

    def _open_certificate(self, message: OpenCertificate) -> int:
        if not self._names_tls_file(message.path):
            raise _RequestRefusedError(f"{message.path} is no file of `tls` {self._where()}")
        return self._tell(message.path, open_to_read(message.path), changes=True)

    def _open_error_page(self, message: OpenErrorPage) -> int:
        if not self._names(_ERROR_PAGES, message.path):
            raise _RequestRefusedError(f"{message.path} is no file of `error-pages` {self._where()}")
        return self._tell(message.path, open_to_read(message.path), changes=True)

    def _names_tls_file(self, path: str) -> bool:
        """Whether `tls`, with clients or with servers, names a file."""
        if path in self._start.tls_files:
            return True
        config = self._settings("tls", "listeners")
        if path in _certificates(config) | _authorities(config):
            return True
        return self._names(_SERVER_TLS_FILES, path)

    def _names(self, function: tuple[str, str], path: str) -> bool:
        """Whether a file is among those that a function of the reader finds in the configuration file."""
        if self._start.file is None:
            return False
        named: list[str] = self._ask_reader(function, self._start.file)
        return path in map(os.path.abspath, named)

    def _stored(self, path: str) -> str:
        """The path of a file of the storage; refuses any other one."""
        if not (_is_stored(self._start.acme, path) or _is_stored(self._settings("tls").tls.acme, path)):
            raise _RequestRefusedError(f"{path} is no file of `tls.acme` {self._where()}")
        return path

    def _change_storage(self, message: WriteStored | OpenStorageLock) -> int | None:
        path = self._stored(message.path)
        folder, name = open_directory(os.path.dirname(path)), os.path.basename(path)
        try:
            if isinstance(message, OpenStorageLock):
                return open_lock(name, folder)
            write_in(folder, name, message.content.encode("utf-8"))
            if name.endswith(".pem"):
                self._events.info(named("opener.opened", f"privileged opener: wrote {path}", what=path))
            return None
        finally:
            os.close(folder)

    def _bind(self, message: BindPort) -> int:
        if (message.host, message.port) not in self._addresses():
            where = f"{message.host} port {message.port}"
            raise _RequestRefusedError(
                f"{where} is no address of `port` and `bind`, `listeners` or `admin` {self._where()}"
            )
        bound = bind_tcp(message.host, message.port, dual=message.dual).detach()
        words = f"privileged opener: bound {message.host} port {message.port}"
        self._events.info(named("opener.opened", words, what=message.port))
        return bound

    def _tell(self, path: str, descriptor: int, *, changes: bool = False) -> int:
        """Log what was opened, once as long as it is the same; ``changes``: and unchanged."""
        found = os.fstat(descriptor)
        what = found.st_dev, found.st_ino, found.st_ctime_ns if changes else 0
        if self._told.get(path) != what:
            self._told[path] = what
            self._events.info(named("opener.opened", f"privileged opener: opened {path}", what=path))
        return descriptor

    def _addresses(self) -> Iterator[tuple[str, int]]:
        short = ("port", "bind")
        config = self._settings(*short, *(() if self._start.given.intersection(short) else ("listeners",)))
        for listener in config.listened_on:
            if listener.address.path is None:
                yield listener.address.host, listener.address.port
        admin = self._settings("admin").admin_address
        if admin is not None and admin.path is None:
            yield admin.host, admin.port

    def _where(self) -> str:
        return f"of {self._start.file}" if self._start.file is not None else "of the start"

    def _settings(self, *names: str) -> Config:
        """Settings as the start gives them, and else the configuration file as it is now; the rest are defaults.

        :raises UntrustedPath: another account could change the file.
        :raises OSError: it cannot be read.
        """
        start = self._start
        if start.file is None or start.given.issuperset(names):
            return start.config
        keys = [name.replace("_", "-") for name in _SETTINGS if name not in start.given]
        found: Config = self._ask_reader(_SETTINGS_OF, start.file, keys)
        return found.model_copy(update={name: getattr(start.config, name) for name in start.given})

    def _ask_reader(self, function: tuple[str, str], file: str, *more: object) -> Any:
        """What a function of the reader says of the configuration file as it is now; raises as `_settings`."""
        descriptor = open_to_read(file)
        try:
            found = os.fstat(descriptor)
            what = found.st_dev, found.st_ino, found.st_ctime_ns, found.st_size
            if self._said.get(function, (None, None))[0] != what:
                text = content_of(descriptor).decode("utf-8-sig")
                self._said[function] = what, fork_reader().call(function, text, file, *more)
            return self._said[function][1]
        except ValueError:
            raise _RequestRefusedError(f"{file} is not valid") from None
        finally:
            os.close(descriptor)


def _sender(control: Iterable[ControlMessage]) -> int:
    """The process that sent a packet, as the system says; 0 where it does not."""
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_SOCKET, _SCM_CREDENTIALS):
            pid: int = _CREDENTIALS.unpack(value[: _CREDENTIALS.size])[0]
            return pid
    return 0


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
