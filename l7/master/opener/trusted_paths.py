"""Paths that nobody but root can change: each component is looked at on the way, and links are followed by hand.

A path is walked from the root by descriptors, so that what was looked at is what is opened. Another account can change
a path where a component, or a symbolic link on the way, belongs to it, or where it may write to one: a directory whose
sticky bit is set (``/tmp``) may be written by anybody, because nobody can rename there what is root's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import deque

from l7.telemetry.shared_output import open_for_lines

MOST_LINKS = 40
"""Symbolic links on the way, as the kernel counts them."""
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class UntrustedPath(PermissionError):
    """Another account than root could change a part of the path; the message names that part."""


def why_untrusted(found: os.stat_result) -> str:
    """How another account than root could change a file or directory; empty where none could."""
    if found.st_uid != 0:
        return f"belongs to account {found.st_uid}"
    if stat.S_ISLNK(found.st_mode) or (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
        return ""
    if found.st_mode & _OTHERS:
        return f"may be written by {'others' if found.st_mode & stat.S_IWOTH else f'group {found.st_gid}'}"
    return ""


def open_folder(path: str, *, log: bool = False) -> tuple[int, str]:
    """Walk to the folder of an absolute path: its descriptor, and the name that the path has there in the end.

    The last component is not looked at, unless it is a link: then it is followed, but for a log.

    :param log: directories may be changed by others; only links have to be root's.
    :raises UntrustedPath: another account could change a component.
    :raises OSError: a component is missing, or no directory.
    """
    parts = deque(_split(path))
    folder, where, links = os.open("/", _LOOK | os.O_DIRECTORY), "/", 0
    try:
        while True:
            name = parts.popleft() if parts else "."
            if not parts and (log or not _is_link(name, folder)):
                return folder, name
            at = os.path.normpath(os.path.join(where, name))
            component = os.open(name, _LOOK, dir_fd=folder)
            try:
                found = os.fstat(component)
                is_link = stat.S_ISLNK(found.st_mode)
                if (why := why_untrusted(found)) and (is_link or not log):
                    raise UntrustedPath(errno.EPERM, f"{at} {why}, who could change what is opened")
                if not is_link:
                    os.close(folder)
                    folder, component, where = component, -1, at
                    continue
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = os.readlink("", dir_fd=component)
            finally:
                if component >= 0:
                    os.close(component)
            if target.startswith("/"):
                os.close(folder)
                folder, where = os.open("/", _LOOK | os.O_DIRECTORY), "/"
            parts.extendleft(reversed(_split(target)))
    except BaseException:
        os.close(folder)
        raise


def open_to_read(path: str) -> int:
    """Open a regular file that only root can change; raises as `open_folder`."""
    folder, name = open_folder(path)
    try:
        at = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)
        shared = bool(os.fstat(folder).st_mode & _OTHERS)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UntrustedPath(errno.EPERM, f"{at} is no regular file")
        if why := why_untrusted(found):
            raise UntrustedPath(errno.EPERM, f"{at} {why}, who could change what is opened")
        if shared and found.st_nlink > 1:  # where others may make links to what they may not read
            raise UntrustedPath(errno.EPERM, f"{at} has other names, and its directory may be written by others")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_directory(path: str) -> int:
    """Open a directory that only root can change, or make it, with those above it; raises as `open_folder`."""
    try:
        folder, name = open_folder(path)
    except FileNotFoundError:
        above = open_directory(os.path.dirname(path))
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.basename(path), 0o700, dir_fd=above)
        finally:
            os.close(above)
        folder, name = open_folder(path)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    if why := why_untrusted(os.fstat(descriptor)):
        os.close(descriptor)
        raise UntrustedPath(errno.EPERM, f"{path} {why}, who could change what is opened")
    return descriptor


def open_to_append(path: str, *, create: bool = True) -> int | None:
    """Open a log, or make it: a regular file of one name, by a path whose links are all root's.

    :param create: whether to make a file that is missing; else that is None, where its directory is there.
    :raises UntrustedPath: a link belongs to another account, or it is no such file.
    :raises OSError: it cannot be opened.
    """
    folder, name = open_folder(path, log=True)
    try:
        descriptor = open_for_lines(name, os.O_NOFOLLOW, folder, create=create)
    except FileNotFoundError:
        if create:
            raise
        return None
    finally:
        os.close(folder)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise UntrustedPath(errno.EPERM, f"{path} is no regular file of one name")
    return descriptor


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _split(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
