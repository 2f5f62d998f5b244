"""Listening sockets: bound once by the master, kept for as long as a generation wants them, inherited by workers.

A listener is known by its `ListenerKey`: what the configuration says of where it is. A reload asks for
keys; those that are bound already are the same sockets, so that no connection waiting in them is ever lost. Sockets
that were handed down by systemd (``LISTEN_FDS``) take the place of ``bind`` and ``port`` altogether; each of them has
to be at an address of ``listeners``, where these say what clients do there.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, replace

from l7.config.schema import Config
from l7.config.sections.listeners import ListenerConfig
from l7.config.values.addresses import Address
from l7.errors import StartError
from l7.master.resources.inherited import InheritedSocket, ListenerKey
from l7.master.resources.listening_sockets import (
    bind_tcp,
    inode,
    is_gone,
    listen_unix,
    listening,
    try_unix,
    words_of,
)
from l7.master.resources.privileged_opener import OpenerRefused, PrivilegedOpener
from l7.master.resources.privileges import Identity, first_unprivileged_port
from l7.networks import host_port
from l7.telemetry.events import named

TRIES = 17
"""How often an address in use is tried at a start: a predecessor's workers may be just letting go of it."""
PAUSE = 0.25
"""Seconds between two tries."""
FIRST_INHERITED = 3
"""Where the descriptors of ``LISTEN_FDS`` begin (sd_listen_fds(3))."""


def _silent(_: str) -> None:
    """Write no event."""


Pause = Callable[[float], bool]
"""Waits for a number of seconds; returns False when a signal has told l7 to stop."""


@dataclass
class Listener:
    """One listening socket; ``path`` and ``inode`` are set for a unix socket that we made."""

    key: ListenerKey
    socket: socket.socket
    path: str | None = None
    inode: tuple[int, int] | None = None

    def __str__(self) -> str:
        return show(self.socket)

    @property
    def name(self) -> str:
        """What it was asked to be, also when it is closed."""
        return str(self.key)

    def close(self) -> None:
        """Let go of the socket, and remove the path if it is still ours."""
        self.socket.close()
        if self.path is None:
            return
        try:
            if inode(self.path) == self.inode:
                os.unlink(self.path)
        except OSError:
            return  # the next start replaces a path on which no process listens


def show(sock: socket.socket) -> str:
    """An address as people write it: ``[::]:80``, ``127.0.0.1:80``, ``unix:/run/l7.sock``."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name if isinstance(name, str) else os.fsdecode(name)}"
    return host_port(name[0], name[1])


def key_of(listener: ListenerConfig) -> ListenerKey:
    """What the socket of a listener is known by."""
    return ListenerKey(listener.address.host, listener.address.port, listener.address.path)


class Listeners:
    """All listening sockets of the master."""

    def __init__(self, opener: PrivilegedOpener | None = None, report: Callable[[str], None] = _silent) -> None:
        self._opener = opener or PrivilegedOpener()
        self._report = report
        self._bound: dict[ListenerKey, Listener] = {}
        self._inherited: list[Listener] = []
        self._replaced: list[Listener] = []
        """Those whose path is gone and was made anew for a generation that is not settled yet."""
        self.renewed: list[str] = []
        """What the last `take` has made anew."""
        self.troubles: list[str] = []
        """What it could not."""

    @property
    def inherited(self) -> bool:
        """Whether the sockets came from outside, so that ``bind`` and ``port`` mean nothing."""
        return bool(self._inherited)

    def inherit(self, environ: MutableMapping[str, str]) -> None:
        """Take the sockets that systemd handed down, and the variables that name them out of the environment.

        :raises StartError: they are meant for this process and are not listening stream sockets.
        """
        described = {name: environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")}
        if described["LISTEN_PID"] != str(os.getpid()):
            return
        count = described["LISTEN_FDS"]
        if not count.isdecimal():
            raise StartError(f"LISTEN_FDS is {count!r}, not a number")
        names = described["LISTEN_FDNAMES"].split(":")
        for place in range(int(count)):
            name = names[place] if place < len(names) else ""
            self._inherited.append(_adopt(FIRST_INHERITED + place, name))

    def adopt(self, listeners: Iterable[InheritedSocket], handed: Iterable[InheritedSocket]) -> None:
        """Take the sockets of the l7 before us; raises ``OSError`` where one is none."""
        self._inherited = [_reopen(place) for place in handed]
        self._bound = {place.key: _reopen(place) for place in listeners}

    def places(self) -> tuple[tuple[InheritedSocket, ...], tuple[InheritedSocket, ...]]:
        """Our sockets as the next l7 finds them: those that were bound, and those that were handed down."""
        bound = (InheritedSocket(one.key, one.socket.fileno(), one.path, one.inode) for one in self._bound.values())
        return tuple(bound), tuple(InheritedSocket(one.key, one.socket.fileno()) for one in self._inherited)

    def leave_paths(self) -> None:
        """Leave the paths of unix sockets to another process, which has the sockets too."""
        for listener in self._bound.values():
            listener.path = None

    def take(self, wanted: Sequence[ListenerConfig], pause: Pause | None = None) -> list[Listener]:
        """The listeners for a configuration; those that are new are bound, or none of them.

        A unix socket whose path was removed is made anew where that is possible.

        :param pause: how to wait for an address in use to become free; without it that is an error at once.
        :raises StartError: one cannot be bound; the message says what to do.
        """
        self.renewed, self.troubles = [], []
        if self._inherited:
            return list(self._inherited)
        keys = [key_of(one) for one in wanted]
        new: list[Listener] = []
        try:
            for key in keys:
                if key not in self._bound:
                    new.append(self._bind(key, pause, dual=_takes_ipv4(key, keys)))
        except BaseException:
            for listener in new:
                listener.close()
            raise
        for key in keys:
            self._renew(key)
        self._bound.update((listener.key, listener) for listener in new)
        return [self._bound[key] for key in keys]

    def _bind(self, key: ListenerKey, pause: Pause | None, *, dual: bool) -> Listener:
        for left in reversed(range(TRIES)):
            try:
                if key.path is not None:
                    return Listener(key, listen_unix(key.path), key.path, inode(key.path))
                return Listener(key, listening(self._bind_tcp(key, dual=dual)))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not left or pause is None:
                    raise StartError(_explain(key, error)) from error
                if left == TRIES - 1:
                    seconds = left * PAUSE
                    words = f"{key} is in use; l7 waits for it, {seconds:g} s at most"
                    self._report(named("address.awaited", words, address=key, seconds=seconds))
                if not pause(PAUSE):
                    raise StartError(_explain(key, error)) from error
        raise AssertionError("the last try returns or raises")

    def _bind_tcp(self, key: ListenerKey, *, dual: bool) -> socket.socket:
        """A socket that is bound, by us or by the privileged opener, and does not listen yet."""
        try:
            return bind_tcp(key.host, key.port, dual=dual)
        except PermissionError:
            if self._opener.pid is None:
                raise
        return self._opener.bind(key.host, key.port, dual=dual)

    def _renew(self, key: ListenerKey) -> None:
        """Bind a unix socket again whose path is gone; the one before stays with those who have it until `keep`."""
        before = self._bound.get(key)
        if before is None or before.path is None or not is_gone(before.path, before.inode):
            return
        try:
            new = self._bind(key, None, dual=True)
        except StartError as error:
            self.troubles.append(f"{error}: its path was removed and cannot be made anew; no client can connect there")
            return
        self._replaced.append(before)
        self._bound[key] = new
        self.renewed.append(f"bind: {new.name}: its path was gone and is made anew")

    def take_admin(self, address: Address | None, pause: Pause | None = None) -> Listener | None:
        """The listener of the admin endpoint, where there is to be one; as `take`."""
        if address is None:
            return None
        key = _admin_key(address)
        if replace(key, admin=False) in self._bound:
            raise StartError(f"admin: {address} is where requests are taken; choose another port")
        if key not in self._bound:
            try:
                self._bound[key] = self._bind(key, pause, dual=True)
            except StartError as error:
                raise StartError(f"admin: {error}") from error
        self._renew(key)
        return self._bound[key]

    def try_out(self, wanted: Sequence[ListenerConfig], admin: Address | None) -> list[str]:
        """Why a configuration's listeners could not be bound: they are bound without a backlog, and closed again."""
        keys = [] if self._inherited else [key_of(one) for one in wanted]
        problems = [self._try_out(key, dual=_takes_ipv4(key, keys)) for key in keys if key not in self._bound]
        if admin is not None and (key := _admin_key(admin)) not in self._bound:
            problem = self._try_out(key, dual=True)
            problems.append(problem and f"admin: {problem}")
        return [problem for problem in problems if problem]

    def _try_out(self, key: ListenerKey, *, dual: bool) -> str:
        try:
            if key.path is not None:
                try_unix(key.path)
            else:
                self._bind_tcp(key, dual=dual).close()
        except OSError as error:
            return _explain(key, error)
        return ""

    def keep(self, listeners: Iterable[Listener]) -> list[Listener]:
        """Close all others; returns those that are listened on no more."""
        kept = {id(listener) for listener in listeners}
        everything = [*self._bound.values(), *self._replaced]
        self._bound = {listener.key: listener for listener in everything if id(listener) in kept}
        self._replaced = []
        gone = [listener for listener in everything if id(listener) not in kept]
        for listener in gone:
            listener.close()
        return [listener for listener in gone if listener.key not in self._bound]

    def everything(self) -> list[Listener]:
        """All that are open."""
        return [*self._inherited, *self._bound.values(), *self._replaced]

    def close(self) -> None:
        """Close all of them."""
        self.keep(())
        for listener in self._inherited:
            listener.socket.close()
        self._inherited.clear()

    def hand_over(self, identity: Identity) -> None:
        """Give unix sockets to the account that l7 is about to become."""
        for listener in self._bound.values():
            if listener.path is not None:
                os.chown(listener.path, identity.uid, identity.gid, follow_symlinks=False)


def config_of(listener: Listener, config: Config) -> ListenerConfig:
    """What clients do on a listener, as a configuration says it.

    :raises StartError: the socket was handed down and stands at no address of ``listeners``.
    """
    if listener.key.handed is None:
        return next(one for one in config.listened_on if key_of(one) == listener.key)
    if not config.listeners:
        return config.listened_on[0]  # the short form says the same of all its addresses
    fits = [one for one in config.listeners if _is_at(listener.socket, one.address)]
    if not fits:
        raise StartError(f"LISTEN_FDS: {listener} is no address of `listeners`; add it there")
    return min(fits, key=lambda one: (one.address.host == "*", one.address.port == 0))


def _is_at(sock: socket.socket, address: Address) -> bool:
    """Whether a socket is bound to an address, or to a part of it."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return address.path is not None and address.path == os.fsdecode(name)
    hosts = ("*", name[0])
    return address.path is None and address.host in hosts and address.port in (0, name[1])


def _takes_ipv4(key: ListenerKey, keys: Sequence[ListenerKey]) -> bool:
    """Whether ``::`` takes IPv4, too: unless that has a listener of its own on the same port."""
    return ListenerKey("0.0.0.0", key.port) not in keys


def _admin_key(address: Address) -> ListenerKey:
    return ListenerKey(address.host, address.port, address.path, admin=True)


def _reopen(place: InheritedSocket) -> Listener:
    sock = socket.socket(fileno=place.descriptor)
    sock.setblocking(False)
    return Listener(place.key, sock, place.path, place.inode)


def _adopt(descriptor: int, name: str) -> Listener:
    called = f"LISTEN_FDS: descriptor {descriptor}" + (f" ({name})" if name else "")
    try:
        sock = socket.socket(fileno=descriptor)
        listens = sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise StartError(f"{called} is not a socket: {words_of(error)}") from error
    if not listens:
        raise StartError(f"{called} is not a listening stream socket")
    os.set_inheritable(descriptor, False)
    sock.setblocking(False)
    return Listener(ListenerKey(handed=descriptor), sock)


def _explain(key: ListenerKey, error: OSError) -> str:
    host, port = key.host, key.port
    if key.path is not None:
        return f"bind: {key}: {words_of(error)}"
    if isinstance(error, OpenerRefused):
        return f"port {port}: {error.strerror}"
    if error.errno == errno.EACCES:
        return (
            f"port {port}: permission denied; run as root or give CAP_NET_BIND_SERVICE, or choose a port above"
            f" {first_unprivileged_port() - 1}"
        )
    if error.errno == errno.EADDRINUSE:
        return f"port {port}: address {host} is in use by another program; stop that, or choose another port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"bind: {host} is not an address of this machine"
    return f"bind: {host} port {port}: {words_of(error)}"


def describe(listeners: Iterable[Listener]) -> str:
    """The addresses in one line, with the ports that they really have."""
    return ", ".join(str(listener) for listener in listeners)
