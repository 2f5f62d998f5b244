"""The privileged opener as the master sees it: started before root is given up, asked for what the master may not open.

The master opens by itself what it can. The opener cannot be started again, because no process of l7 is root any more.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from l7.acme.storage import make_folders, open_lock, write_file
from l7.config.file_content import MOST, content_of, read_file, read_regular_file
from l7.config.generation import Loaded
from l7.config.values.answers import LARGEST_PAGE
from l7.errors import StartError
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
from l7.ipc.rights import descriptors_in
from l7.master.resources.privileges import Identity

PATIENCE = 5.0
"""Seconds that an answer may take; a file on a disk that has gone must not hold up the master for ever."""
END_WITHIN = 1.0
"""Seconds to wait for the end of an opener whose socket is closed."""
LARGE = 1000
"""Backends from which on a process that was forked before they were loaded takes less memory than one forked after."""
GONE = "the privileged opener has ended; only a restart brings it back"


RunOpener = Callable[[socket.socket, int, int], NoReturn]
"""What the process of the opener does; it is given its socket, a pipe by which it is told what was named at the start
and whom l7 is about to become, and the process that may ask."""
StartSettingsOf = Callable[[Loaded], object]
"""What of a configuration the opener is told; it is pickled."""


class OpenerRefused(PermissionError):
    """The opener does not open this, or is gone; ``strerror`` says why."""


class PrivilegedOpener:
    """The client; without a process behind it, where l7 was not started as root, it opens what l7 itself may open."""

    def __init__(self, run: RunOpener | None = None, tell: StartSettingsOf | None = None) -> None:
        self._run = run
        self._tell = tell
        self._forked: tuple[int, socket.socket, int] | None = None
        """What `fork_early` has forked: a process, its socket, and the pipe by which it is told what to open."""
        self.pid: int | None = None
        """Its process; None where there is none, and never was one."""
        self._socket: socket.socket | None = None
        self._ours = False
        """Whether it is our child."""
        self.on_release: Callable[[], None] | None = None
        """Called before our end of the socket is closed."""
        self._has_read = False

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._socket is not None

    def fork_early(self) -> None:
        """Fork the opener, where l7 is root, while there is no configuration whose memory it would keep.

        It waits until `start` tells it what to open, or `dismiss` ends it.
        """
        if self._run is not None and os.geteuid() == 0:
            with contextlib.suppress(OSError):  # `start` tries it once more
                self._forked = self._fork(self._run)

    def start(self, loaded: Loaded, identity: Identity) -> None:
        """Start the opener: while this process is root, and before it has threads; raises `StartError`.

        What was forked early serves where the configuration is large. A process that is forked now has more in common
        with the others, as they all have loaded it.

        :param identity: the account that l7 is about to become.
        """
        if self._run is None or self._tell is None:
            return
        if len(loaded.config.backends) < LARGE:
            self.dismiss()
        try:
            self.pid, self._socket, told = self._forked or self._fork(self._run)
            self._ours, self._forked = True, None
            with open(told, "wb") as pipe:
                pipe.write(pickle.dumps((self._tell(loaded), identity)))
        except OSError as error:
            raise StartError(f"privileged-opener: cannot be started: {error.strerror}") from error

    @staticmethod
    def _fork(run: RunOpener) -> tuple[int, socket.socket, int]:
        """Fork a process that runs the opener: its pid, its socket, and the pipe by which it is told what to open."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # before anything is sent
        told, pipe = os.pipe()
        master = os.getpid()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            with theirs:
                pid = os.fork()
                if pid == 0:
                    run(theirs, told, master)
        except OSError:
            ours.close()
            os.close(pipe)
            raise
        finally:
            os.close(told)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid, ours, pipe

    def dismiss(self) -> None:
        """End what was forked early and is not needed."""
        if self._forked is not None:
            pid, ours, pipe = self._forked
            self._forked = None
            os.close(pipe)
            with contextlib.suppress(ChildProcessError):  # whoever ignores SIGCHLD has no children to wait for
                os.waitpid(pid, 0)
            ours.close()

    def adopt(self, pid: int, descriptor: int) -> None:
        """Ask the opener of the l7 before us from now on, -1 if it has ended; raises ``OSError`` if it is no socket."""
        self.pid, self._socket = pid, None if descriptor < 0 else socket.socket(fileno=descriptor)

    def fileno(self) -> int:
        """The descriptor that becomes readable at its end: nothing is ever sent over the socket by itself."""
        return -1 if self._socket is None else self._socket.fileno()

    def status(self) -> dict[str, object] | None:
        """What ``l7 status`` shows of it; None where there never was one."""
        return None if self.pid is None else {"pid": self.pid, "state": "running" if self.alive else "gone"}

    def read(self, path: str) -> bytes:
        """The content of the configuration file ``path``; raises ``OSError``.

        The first time it waits until the writer of a pipe, or of a terminal, has ended.
        """
        try:
            content = read_file(path, wait=not self._has_read)
        except PermissionError:
            if self.pid is None:
                raise
            return self.read_as_root()
        self._has_read = True
        return content

    def read_certificate(self, path: str) -> bytes:
        """The content of the file of a certificate or its key, which the configuration names; raises ``OSError``."""
        try:
            return read_file(path, wait=False)
        except PermissionError:
            if self.pid is None:
                raise
        return self._content(OpenCertificate(os.path.abspath(path)))

    def read_error_page(self, path: str) -> bytes:
        """The content of a file that the configuration names as an error page; raises ``OSError``."""
        try:
            return read_regular_file(path, LARGEST_PAGE)
        except PermissionError:
            if self.pid is None:
                raise
        return self._content(OpenErrorPage(os.path.abspath(path)), LARGEST_PAGE)

    def read_stored(self, path: str) -> bytes:
        """The content of a file of the storage of ACME; raises ``OSError``."""
        try:
            return read_file(path, wait=False)
        except PermissionError:
            if self.pid is None:
                raise
        return self._content(OpenStored(path))

    def write_stored(self, path: str, content: str) -> None:
        """Replace a file of the storage of ACME, which is root's where there is an opener; raises ``OSError``."""
        if self.pid is None:
            write_file(path, content.encode("utf-8"))
        else:
            self._ask(WriteStored(path, content))

    def open_storage_lock(self, path: str) -> int:
        """Open the file of the storage of ACME that is locked, or make it; raises ``OSError``."""
        if self.pid is not None:
            return self._open(OpenStorageLock(path))
        make_folders(path)
        return open_lock(path)

    def read_as_root(self) -> bytes:
        """The content of the configuration file that was named at the start, as root reads it; raises ``OSError``."""
        return self._content(OpenConfiguration())

    def open_log(self, path: str) -> int:
        """Open the access log to append to it, or make it; raises ``OSError``."""
        return self._open(OpenLog(os.path.abspath(path)))

    def try_log(self, path: str) -> None:
        """Raise the ``OSError`` that `open_log` would raise; nothing is made."""
        descriptor = self._ask(OpenLog(os.path.abspath(path), trial=True))
        if descriptor is not None:
            os.close(descriptor)

    def bind(self, host: str, port: int, *, dual: bool) -> socket.socket:
        """A socket that is bound, and does not listen yet; raises ``OSError``."""
        return socket.socket(fileno=self._open(BindPort(host, port, dual)))

    def start_reader(self) -> socket.socket:
        """The socket of a new process that reads the configuration; raises ``OSError``."""
        return socket.socket(fileno=self._open(StartReader()))

    def expect_successor(self) -> tuple[int, int] | None:
        """Let the process that is started next ask, too: what it needs, a pid and a descriptor; None without one.

        The descriptor is -1 where the opener has ended.
        """
        if self.pid is None:
            return None
        try:
            self._ask(ExpectSuccessor())
        except OSError:
            return self.pid, -1
        return self.pid, -1 if self._socket is None else self._socket.fileno()

    def release(self) -> None:
        """Close this process's end of the socket: the opener ends when no process has that end any more."""
        if self._socket is None:
            return
        if self.on_release is not None:
            self.on_release()
        self._socket.close()
        self._socket = None

    def do_without(self) -> None:
        """Close the socket of the predecessor's opener, where `privileged-opener` is off now."""
        self.release()
        self.pid = None

    def close_inherited(self) -> None:
        """Close the socket only: called in a forked child."""
        if self._socket is not None:
            self._socket.close()

    def stop(self) -> None:
        """End the opener and wait for it, because a supervisor takes the end of the master for the end of all.

        No successor may need it any more.
        """
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(END_WITHIN)
            if not self._socket.recv(1) and self._ours and self.pid is not None:
                os.waitpid(self.pid, 0)
        self.release()

    def _content(self, message: OpeningMessage, most: int = MOST) -> bytes:
        descriptor = self._open(message)
        try:
            return content_of(descriptor, most)
        finally:
            os.close(descriptor)

    def _open(self, message: OpeningMessage) -> int:
        descriptor = self._ask(message)
        if descriptor is None:
            raise OpenerRefused(errno.EACCES, "the privileged opener sent no descriptor")
        return descriptor

    def _ask(self, message: OpeningMessage) -> int | None:
        """The descriptor that the opener sends, if any; raises ``OSError``."""
        if self._socket is None:
            raise OpenerRefused(errno.EACCES, f"permission denied, and {GONE}")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                try:
                    send(self._socket, message, theirs.fileno())
                except BrokenPipeError:
                    raise OpenerRefused(errno.EACCES, f"permission denied, and {GONE}") from None
            ours.settimeout(PATIENCE)
            try:
                data, control, _, _ = ours.recvmsg(LONGEST, ROOM, socket.MSG_CMSG_CLOEXEC)
            except TimeoutError:
                raise OpenerRefused(errno.EACCES, "the privileged opener does not answer") from None
        return _opened(data, descriptors_in(control))


def _opened(data: bytes, descriptors: list[int]) -> int | None:
    try:
        answer = CODEC.decode(data) if data else NotOpened(f"permission denied, and {GONE}")
    except DecodeError as error:
        answer = NotOpened(str(error))
    if isinstance(answer, Opened):
        return descriptors[0] if descriptors else None
    for descriptor in descriptors:
        os.close(descriptor)
    if isinstance(answer, NotOpened) and answer.error:
        raise OSError(answer.error, answer.why)
    raise OpenerRefused(errno.EACCES, answer.why if isinstance(answer, NotOpened) else "no answer")
