"""The access log's file as the master holds it: opened with the rights of the start, for workers that may not open it.

Whether the file at a path is the one that is held is told by device and inode, never by the name: logrotate renames
the file, and a new one of the same name may belong to another account.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from l7.errors import StartError
from l7.master.resources.privileged_opener import OpenerRefused, PrivilegedOpener
from l7.master.resources.privileges import Identity, account, give_file
from l7.telemetry.log_rotation import rotation_of
from l7.telemetry.shared_output import descriptor_of, open_for_lines

NO_FILE = frozenset({"-", "off"})
"""Access logs that have no path."""


@dataclass(frozen=True)
class LogOpenResult:
    """What became of an attempt to open the log again."""

    anew: bool = False
    """Whether lines go into another file from now on."""
    trouble: str = ""
    """Why they do not, although there is another file; what to do."""


class AccessLogFile:
    """The access log; ``held`` is its path and descriptor, None where it has no path or is turned off."""

    def __init__(self, opener: PrivilegedOpener | None = None) -> None:
        self.held: tuple[str, int] | None = None
        self._opener = opener or PrivilegedOpener()

    def open(self, path: str, identity: Identity | None = None) -> LogOpenResult:
        """Open the log at ``path``; where it is the path that is held and cannot be opened, keep what is held.

        :param identity: the account that l7 will become; the file is made ready for it.
        :raises StartError: it cannot be opened, and nothing of that path is held.
        """
        try:
            return self._replace(self._open(path, identity))
        except StartError as error:
            if self.held is None or self.held[0] != path:
                raise
            return LogOpenResult(trouble=_trouble(path, self.held[1], str(error)))

    def _open(self, path: str, identity: Identity | None) -> tuple[str, int] | None:
        try:
            return open_log_file(path, identity)
        except StartError as error:
            if self._opener.pid is None or not isinstance(error.__cause__, PermissionError):
                raise
            try:
                return path, self._opener.open_log(path)
            except OSError as why:
                raise StartError(f"{error}; {why.strerror}") from why

    def _replace(self, opened: tuple[str, int] | None) -> LogOpenResult:
        before, self.held = self.held, opened
        same_path = before is not None and opened is not None and before[0] == opened[0]
        anew = bool(same_path and before and opened and _identity(before[1]) != _identity(opened[1]))
        if before is not None and before[1] > 2:
            os.close(before[1])
        return LogOpenResult(anew)

    @property
    def may_be_rotated(self) -> bool:
        """Whether it is a regular file that has its path as a name: no standard descriptor, FIFO or device."""
        return self.held is not None and rotation_of(*self.held) is not None

    def close(self) -> None:
        """Close it: called in a forked child that does not write it."""
        if self.held is not None and self.held[1] > 2:
            os.close(self.held[1])

    def try_out(self, path: str) -> str:
        """Why `open` would fail; nothing is made, and nothing is said where it would not."""
        if path in NO_FILE or descriptor_of(path) is not None or (self.held is not None and self.held[0] == path):
            return ""
        try:
            try:
                _try_out(path)
            except PermissionError:
                if self._opener.pid is None:
                    raise
                self._opener.try_log(path)
        except OSError as error:
            return str(_error(path, error))
        return ""


def open_log_file(path: str, identity: Identity | None) -> tuple[str, int] | None:
    """Open the access log, so that workers will be able to write it; None where it has no path.

    As root, a file that is missing is made and a regular file is given to ``identity``. Symbolic and hard links are
    left alone, because the owner of the directory could point them anywhere: what is behind a link is opened when root
    is given up. A path that is a descriptor of this process is that descriptor, and a pipe, terminal or device that
    standard output or error is, too, is that one.

    :raises StartError: it cannot be written.
    """
    if path in NO_FILE:
        return None
    number = _standard(path) or descriptor_of(path)
    try:
        if number is not None:
            return path, number if number in (1, 2) else os.dup(number)
        if identity is not None and os.path.islink(path):
            return None
        descriptor = open_for_lines(path, os.O_NOFOLLOW if identity is not None else 0)
    except OSError as error:
        raise _error(path, error) from error
    try:
        if identity is not None:
            give_file(descriptor, identity)
    except OSError as error:
        os.close(descriptor)
        raise _error(path, error) from error
    return path, descriptor


def _try_out(path: str) -> None:
    """Raise the ``OSError`` that opening would raise; nothing is made."""
    folder = os.path.dirname(path) or "."
    try:
        os.close(open_for_lines(path, create=False))
    except FileNotFoundError:
        os.stat(folder)  # it says more where there is no such directory
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "permission denied") from None


def _error(path: str, error: OSError) -> StartError:
    words = error.strerror or str(error)
    return StartError(f"access-log: {path}: {words if isinstance(error, OpenerRefused) else words.lower()}")


def _standard(path: str) -> int | None:
    """The standard descriptor that is open on what ``path`` leads to, unless that is a file, which may be rotated."""
    try:
        there = os.stat(path)
        for number in (1, 2):
            if not stat.S_ISREG(there.st_mode) and os.path.samestat(there, os.fstat(number)):
                return number
    except (OSError, ValueError):
        return None
    return None


def _trouble(path: str, held: int, why: str) -> str:
    """What to say when ``path`` cannot be opened: nothing where it still is what is held."""
    found = os.fstat(held)
    try:
        there = os.stat(path)
        if os.path.samestat(there, found):
            return ""
    except FileNotFoundError:
        pass
    except OSError:  # it cannot be seen: by the name that the system knows the open file by
        if found.st_nlink and _name(held) == os.path.abspath(path):
            return ""
    where = f"{_name(held)}" if found.st_nlink else "a file that was removed, where nobody can read them"
    who, why = account(), why.removeprefix(f"access-log: {path}: ")
    return (
        f"access-log: {path} cannot be opened anew by {who} ({why}): lines go on into {where}; "
        f"let logrotate `create 640 {who}` or `copytruncate`, or let {who} make files in the directory"
    )


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _name(descriptor: int) -> str:
    """The name that an open file has now; the one before it was renamed means nothing any more."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return "the file as it was"
