"""The control socket: its path, its permissions, and the removal of its path at the end.

Access to the socket is permission to reload, so it is for the account that l7 runs as (and root).
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import socket
from collections.abc import Callable, Iterator, Mapping

from l7.config.values.addresses import LONGEST_UNIX_PATH
from l7.errors import StartError
from l7.master.resources.instance_registry import CONTROL_SUFFIX, InstanceKey, InstanceRegistryWriter, remove_dead
from l7.master.resources.listening_sockets import inode, is_gone, remove_stale
from l7.master.resources.privileges import Identity
from l7.master.resources.runtime_directory import make_directory

BACKLOG = 128
MOST_OF_ONE_NUMBER = 100
"""The most l7 with the same process number (in containers) whose sockets may be in one directory."""


class ControlSocket:
    """The listening control socket, and its path, which is removed in the end."""

    def __init__(self, sock: socket.socket, path: str, made: tuple[int, int] | None) -> None:
        self.socket = sock
        self.path = path
        self.registration: InstanceRegistryWriter | None = None
        self._inode = made

    @classmethod
    def of(cls, sock: socket.socket, path: str) -> ControlSocket:
        """The one that ``sock`` is bound to; where the path was removed, a file there is not ours."""
        return cls(sock, path, inode(path) if os.path.lexists(path) else (0, 0))

    @property
    def is_gone(self) -> bool:
        """Whether its path was removed or replaced, so that clients cannot connect."""
        return is_gone(self.path, self._inode)

    def leave(self) -> None:
        """Keep the path in the end: another process has the socket, too."""
        self._inode = None
        self.registration = None

    def register(self, instance_key: InstanceKey, identity: Identity | None, environ: Mapping[str, str]) -> None:
        """Prepare its entry in the registry of running instances, which is written when it is open."""
        try:
            directory = make_directory(*_owner(identity), environ)
        except OSError:
            return  # there is no runtime directory here
        remove_dead(directory)
        self.registration = InstanceRegistryWriter(directory, instance_key, self.path)

    def close(self) -> None:
        """Close the socket, and remove the path if it is still ours. Never raises."""
        self.socket.close()
        if self.registration is not None:
            self.registration.remove()
        try:
            if self._inode is not None and inode(self.path) == self._inode:
                os.unlink(self.path)
        except OSError:
            return  # the next one that starts replaces it


def open_control(
    instance_key: InstanceKey, identity: Identity | None, environ: Mapping[str, str], warn: Callable[[str], None]
) -> ControlSocket | None:
    """Make the control socket, before the privileges are dropped.

    A failure at a default path does not keep l7 from starting: there is a warning instead.

    :raises StartError: ``control`` names a path where it cannot be.
    """
    if instance_key.control == "off":
        return None
    try:
        if instance_key.path is not None:
            return _bind(instance_key.path, identity)
        return _bind_in_runtime_directory(identity, environ)
    except OSError as error:
        where = error.filename or instance_key.path or "the runtime directory"
        what = f"control: {where}: {(error.strerror or str(error)).lower()}"
        if instance_key.control != "auto":
            raise StartError(what) from error
        warn(f"{what}; `l7 reload` and `l7 status` cannot reach this l7")
        return None


def _bind_in_runtime_directory(identity: Identity | None, environ: Mapping[str, str]) -> ControlSocket:
    directory = make_directory(*_owner(identity), environ)
    with _alone_in(directory):
        return _bind_in(directory, identity)


@contextlib.contextmanager
def _alone_in(directory: str) -> Iterator[None]:
    """Be the only l7 that makes a socket there: between `bind` and `listen` one looks as if its l7 had died."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _bind_in(directory: str, identity: Identity | None) -> ControlSocket:
    for path in glob.glob(f"{glob.escape(directory)}/*{CONTROL_SUFFIX}"):
        try:
            remove_stale(path)
        except OSError:
            continue  # another process answers there
    # An upgraded l7 keeps the name of the first one, and containers that share the directory have the same numbers.
    for more in range(MOST_OF_ONE_NUMBER):
        try:
            return _bind(f"{directory}/{os.getpid()}{f'-{more}' if more else ''}{CONTROL_SUFFIX}", identity)
        except FileExistsError as error:
            taken = error
    raise taken


def _owner(identity: Identity | None) -> tuple[int, int]:
    return (identity.uid, identity.gid) if identity else (os.geteuid(), os.getegid())


def _bind(path: str, identity: Identity | None) -> ControlSocket:
    if len(os.fsencode(path)) > LONGEST_UNIX_PATH:
        raise OSError(36, f"the path of a socket may have at most {LONGEST_UNIX_PATH} bytes", path)
    try:
        remove_stale(path)
    except OSError as error:
        raise FileExistsError(17, "another l7 answers there, or it is no socket", path) from error
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            sock.bind(path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error
        finally:
            os.umask(before)
        if identity is not None:
            os.chown(path, identity.uid, identity.gid, follow_symlinks=False)
        sock.listen(BACKLOG)
        sock.setblocking(False)
        return ControlSocket.of(sock, path)
    except BaseException:
        sock.close()
        raise
