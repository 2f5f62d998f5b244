"""The control socket: one request a connection (``l7 reload``, ``l7 status``), one line of JSON each way.

Access to the socket is permission to reload, so it is for the account that l7 runs as (and root). No client can hold up
the master: it reads and writes what is possible at once, and closes a connection that takes too long.
"""

from __future__ import annotations

import glob
import json
import os
import socket
from collections.abc import Callable, Mapping

from l7.clock import monotonic
from l7.config.addresses import LONGEST_UNIX_PATH
from l7.errors import StartError
from l7.ipc.codec import DecodeError
from l7.ipc.requests import REQUESTS, Answer, Request, refusal
from l7.master.children.poll import READ, WRITE, Poll
from l7.master.resources.instance_links import InstanceLinks, remove_dead
from l7.master.resources.instance_paths import SUFFIX, InstanceKey, make_directory
from l7.master.resources.privileges import Identity
from l7.master.resources.socket_paths import inode, is_gone, remove_stale

MOST_VISITORS = 32
BACKLOG = 128
PATIENCE = 5.0
"""Seconds that a client has to send its request, and to read an answer that does not fit into the socket."""
LONGEST_QUESTION = 64 * 1024
"""The longest request in bytes: room for a URL and header fields."""


class ControlSocket:
    """The listening control socket, and its path, which is removed in the end."""

    def __init__(self, sock: socket.socket, path: str) -> None:
        self.socket = sock
        self.path = path
        self.pointers: InstanceLinks | None = None
        # The path of an inherited one may have been removed before: then a file there is not ours.
        self._inode: tuple[int, int] | None = inode(path) if os.path.lexists(path) else (0, 0)

    @property
    def is_gone(self) -> bool:
        """Whether its path was removed or replaced, so that clients cannot connect."""
        return is_gone(self.path, self._inode)

    def leave(self) -> None:
        """Keep the path in the end: another process has the socket, too."""
        self._inode = None
        self.pointers = None

    def point(self, instance_key: InstanceKey, identity: Identity | None, environ: Mapping[str, str]) -> None:
        """Prepare links to it in the runtime directory, which are made when it is open."""
        if instance_key.file is None:
            return
        try:
            directory = make_directory(*_owner(identity), environ)
        except OSError:
            return  # there is no runtime directory here
        remove_dead(glob.glob(f"{glob.escape(directory)}/*{SUFFIX}*"))
        self.pointers = InstanceLinks(directory, instance_key.names, self.path)

    def close(self) -> None:
        """Close the socket, and remove the path if it is still ours. Never raises."""
        self.socket.close()
        if self.pointers is not None:
            self.pointers.remove()
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
        return _bind_in_runtime_directory(instance_key, identity, environ)
    except OSError as error:
        where = error.filename or instance_key.path or instance_key.name
        what = f"control: {where}: {(error.strerror or str(error)).lower()}"
        if instance_key.control != "auto":
            raise StartError(what) from error
        warn(f"{what}; `l7 reload` and `l7 status` cannot reach this l7")
        return None


def _bind_in_runtime_directory(
    instance_key: InstanceKey, identity: Identity | None, environ: Mapping[str, str]
) -> ControlSocket:
    directory = make_directory(*_owner(identity), environ)
    for path in glob.glob(f"{glob.escape(directory)}/*{SUFFIX}*"):
        try:
            remove_stale(path)
        except OSError:
            continue  # another process answers there
    path = f"{directory}/{instance_key.name}"
    try:
        return _bind(path, identity)
    except FileExistsError:
        # Another l7 with the same instance key, on other inherited sockets.
        return _bind(f"{path}.{os.getpid()}", identity)


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
        return ControlSocket(sock, path)
    except BaseException:
        sock.close()
        raise


class ControlConnection:
    """One connection to the control socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.deadline: float | None = monotonic() + PATIENCE
        self.read = bytearray()
        self.write = bytearray()
        self.asked = False


class ControlServer:
    """Accepts connections; ``ask`` gets each request, and answers now or later by `answer`."""

    def __init__(
        self, poll: Poll, control: ControlSocket | None, ask: Callable[[ControlConnection, Request], None]
    ) -> None:
        self._poll = poll
        self._control = control
        self._ask = ask
        self._visitors: dict[int, ControlConnection] = {}
        self.is_open = self.is_closed = False
        """Whether it accepts connections, and whether it has stopped for good."""

    def open(self, control: ControlSocket | None = None) -> None:
        """Accept connections, from now on at ``control`` where that is given."""
        if control is not None and self._control is not None:
            self._poll.drop(self._control.socket.fileno())
        self.is_open, self._control = True, control or self._control
        if self._control is not None:
            self._poll.add(self._control.socket.fileno(), self._accept)
            if self._control.pointers is not None:
                self._control.pointers.set()

    def welcome(self, descriptor: int) -> None:
        """Take a connection that was made elsewhere (by the admin endpoint), unless closed."""
        sock = socket.socket(fileno=descriptor)
        if self.is_closed:
            sock.close()
        else:
            self._take(sock)

    def close(self) -> None:
        """Accept no more, and close the connections."""
        self.is_open, self.is_closed = False, True
        if self._control is not None:
            self._poll.drop(self._control.socket.fileno())
            self._control = None
        for visitor in list(self._visitors.values()):
            self._let_go(visitor)

    def release(self) -> None:
        """Close the descriptors only: called in a forked child."""
        for visitor in self._visitors.values():
            visitor.socket.close()

    @property
    def due(self) -> float | None:
        """When the next connection times out."""
        return min((one.deadline for one in self._visitors.values() if one.deadline is not None), default=None)

    def expire(self) -> None:
        """Close the connections whose time is over."""
        now = monotonic()
        for visitor in list(self._visitors.values()):
            if visitor.deadline is not None and visitor.deadline <= now:
                self._let_go(visitor)

    def answer(self, visitor: ControlConnection, answer: Answer) -> None:
        """Send the answer; ignored for a connection that was closed."""
        if visitor.socket.fileno() < 0:
            return
        visitor.write += json.dumps(answer).encode() + b"\n"
        visitor.deadline = monotonic() + PATIENCE
        self._send(visitor)

    def _accept(self) -> None:
        assert self._control is not None
        try:
            sock, _ = self._control.socket.accept()
        except OSError:
            return
        self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if len(self._visitors) >= MOST_VISITORS:
            sock.close()
            return
        visitor = ControlConnection(sock)
        self._visitors[sock.fileno()] = visitor
        self._poll.add(sock.fileno(), lambda: self._receive(visitor))

    def _receive(self, visitor: ControlConnection) -> None:
        if visitor.write:
            self._send(visitor)
            return
        try:
            data = visitor.socket.recv(LONGEST_QUESTION)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        visitor.read += data
        if not data or len(visitor.read) > LONGEST_QUESTION:
            self._let_go(visitor)
        elif b"\n" in data and not visitor.asked:
            visitor.asked, visitor.deadline = True, None
            try:
                self._ask(visitor, REQUESTS.decode(visitor.read))
            except DecodeError as error:
                self.answer(visitor, refusal(f"unknown request: {error}"))
            except Exception as error:  # a request must never be the end of a master that serves
                self.answer(visitor, refusal(f"{type(error).__name__}: {error}"))

    def _send(self, visitor: ControlConnection) -> None:
        try:
            sent = visitor.socket.send(visitor.write)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._let_go(visitor)
            return
        del visitor.write[:sent]
        if visitor.write:
            self._poll.want(visitor.socket.fileno(), WRITE | READ)
        else:
            self._let_go(visitor)

    def _let_go(self, visitor: ControlConnection) -> None:
        descriptor = visitor.socket.fileno()
        if self._visitors.pop(descriptor, None) is not None:
            self._poll.drop(descriptor)
            visitor.socket.close()
