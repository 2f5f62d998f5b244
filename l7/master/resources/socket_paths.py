"""Paths of unix sockets: what is stale, and what tells one from another of the same name."""

from __future__ import annotations

import errno
import os
import socket
import stat


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
    except OSError:  # it cannot be seen: nobody knows
        return False


def remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on; raises ``OSError`` when somebody does, or it is no socket."""
    if is_stale(path):
        os.unlink(path)


def is_stale(path: str) -> bool:
    """Whether there is a socket that nobody listens on; raises ``OSError`` when somebody does, or it is no socket."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "there is something else than a socket")
    except FileNotFoundError:
        return False
    if listens(path):
        raise OSError(errno.EADDRINUSE, "in use")
    return True


def listens(path: str) -> bool:
    """Whether somebody listens on a unix socket; raises ``OSError`` where that is not known: we may not connect."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full queue is somebody, too
        try:
            probe.connect(path)
        except BlockingIOError:
            return True
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True
