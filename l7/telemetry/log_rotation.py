"""Finds out that the file of a log was renamed, removed or replaced: by device and inode, never by the name alone."""

from __future__ import annotations

import os
import stat

from l7.telemetry.shared_output import descriptor_of


class LogRotation:
    """Compares the file that is open with the one at its path; to be asked about once a second.

    A path where there is no file counts at the second look in a row: between its rename and its ``create`` logrotate
    is not to find a new file there. Where the path may not be looked at, the name that the system knows the open file
    by counts; it may have been renamed before it came here.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        name = _name(descriptor)
        self._name = name if os.path.basename(name) == os.path.basename(path) else os.path.abspath(path)
        self._missing = False

    def is_due(self) -> bool:
        """Whether the log has to be opened anew."""
        try:
            there = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return self._is_still_missing(True)
        except OSError:
            return self._is_still_missing(_name(self._descriptor) != self._name)
        self._missing = False
        return not os.path.samestat(there, os.fstat(self._descriptor))

    def _is_still_missing(self, missing: bool) -> bool:
        before, self._missing = self._missing, missing
        return before and missing


def rotation_of(path: str, descriptor: int) -> LogRotation | None:
    """What watches the log at ``path``; None where its path is no name of a regular file: standard output, a FIFO."""
    if descriptor <= 2 or descriptor_of(path) is not None or not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    return LogRotation(path, descriptor)


def _name(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""
