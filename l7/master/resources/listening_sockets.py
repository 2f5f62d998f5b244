"""Sockets that listen: how they are made, which path of one is stale, and what tells one from another of its name."""

from __future__ import annotations

import errno
import os
import socket
import stat

SOCKET_MODE = 0o666
"""The mode of a unix socket: each account that may enter its directory may connect, as to a TCP port."""


def bind_tcp(host: str, port: int, *, dual: bool) -> socket.socket:
    """A socket that is bound, and does not listen yet; raises ``OSError``.

    :param host: an IP address, or ``*`` for all.
    :param dual: whether ``::`` takes IPv4, too.
    """
    if host != "*":
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return _bound(family, host, port, dual=dual)
    try:
        return _bound(socket.AF_INET6, "::", port, dual=dual)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT):
            raise
        return _bound(socket.AF_INET, "0.0.0.0", port, dual=dual)


def _bound(family: int, host: str, port: int, *, dual: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Before it listens: connections have it from their listener, and those that come before the workers are ready
        # would wait for an acknowledgement before each last small piece, for as long as they live.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            # `::` is both families, as `*` is, unless IPv4 is asked for beside it; any other is IPv6 alone.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" and dual else 1)
        sock.bind(_sockaddr(host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _sockaddr(host: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    address, percent, zone = host.partition("%")
    if not percent:
        return address, port
    return address, port, 0, int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)


def listen_unix(path: str) -> socket.socket:
    """A socket that listens at a path, in place of one on which no process listens any more; raises ``OSError``."""
    remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o777 & ~SOCKET_MODE)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
    except BaseException:
        sock.close()
        raise
    return listening(sock)


def try_unix(path: str) -> None:
    """Raise the ``OSError`` that `listen_unix` would raise; nothing is made."""
    is_stale(path)
    if not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK):
        os.stat(os.path.dirname(path) or ".")  # it says more where there is no such directory
        raise PermissionError(errno.EACCES, "permission denied")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        # No path can be made to see whether it is too long; an attempt to connect tells, and no process is there.
        try:
            sock.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return


def listening(sock: socket.socket) -> socket.socket:
    """Let a bound socket listen, and never wait; closes it and raises ``OSError`` where it cannot."""
    try:
        sock.listen(_backlog())
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def words_of(error: OSError) -> str:
    """What the system says, as a part of a sentence."""
    return (error.strerror or str(error)).lower()


def _backlog() -> int:
    try:
        with open("/proc/sys/net/core/somaxconn", encoding="utf-8") as file:
            return max(socket.SOMAXCONN, int(file.read()))
    except (OSError, ValueError):
        return 4096


def inode(path: str) -> tuple[int, int]:
    """What tells one file from another of the same name; raises ``OSError``."""
    there = os.lstat(path)
    return there.st_dev, there.st_ino


def is_gone(path: str, made: tuple[int, int] | None) -> bool:
    """Whether there is nothing any more at a path where a socket was made, or something else than that socket."""
    try:
        return made is not None and inode(path) != made
    except FileNotFoundError:
        return True
    except OSError:  # it cannot be looked at
        return False


def remove_stale(path: str) -> None:
    """Remove a socket on which no process listens; raises ``OSError`` when one does, or it is no socket."""
    if is_stale(path):
        os.unlink(path)


def is_stale(path: str) -> bool:
    """Whether there is a socket on which no process listens; raises ``OSError`` when one does, or it is no socket."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "there is something else than a socket")
    except FileNotFoundError:
        return False
    if listens(path):
        raise OSError(errno.EADDRINUSE, "in use")
    return True


def listens(path: str) -> bool:
    """Whether a process listens on a unix socket; raises ``OSError`` where this account may not connect to it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # with a full backlog, a process listens, too
        try:
            probe.connect(path)
        except BlockingIOError:
            return True
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True
