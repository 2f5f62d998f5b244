"""Pointers to the control socket of an l7, by the name of its configuration file, for who knows nothing but that.

A pointer is a symbolic link in the runtime directory, so that `l7 reload -c FILE` finds the l7 that runs also when FILE
says no longer where it listens, or says nothing at all. Without one the options have to be given: no failure here is
worth a word.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from l7.master.resources.listening_sockets import listens


class InstanceLinks:
    """The pointers of one l7 to ``target``."""

    def __init__(self, directory: str, names: Iterable[str], target: str) -> None:
        self._target = target
        self._paths = [path for name in names if (path := f"{directory}/{name}") != target]

    def set(self) -> None:
        """Make them, or leave them as they are; the place of another l7 that runs is left to it."""
        for path in self._paths:
            try:
                self._point(path if self._is_free(path) else f"{path}.{os.getpid()}")
            except OSError:
                continue

    def remove(self) -> None:
        """Remove those that still are ours."""
        for path in self._paths:
            for mine in (path, f"{path}.{os.getpid()}"):
                try:
                    if os.readlink(mine) == self._target:
                        os.unlink(mine)
                except OSError:
                    continue

    def _point(self, path: str) -> None:
        new = f"{path}.new{os.getpid()}"
        os.symlink(self._target, new)
        os.replace(new, path)

    def _is_free(self, path: str) -> bool:
        try:
            return os.readlink(path) == self._target or not answers(path)
        except OSError:
            return not answers(path)


def answers(path: str) -> bool:
    """Whether an l7 listens on a control socket, or may: nobody can see whether one does whose socket is not for us."""
    try:
        return listens(path)
    except PermissionError:
        return True
    except OSError:
        return False


def remove_dead(paths: Iterable[str]) -> None:
    """Remove pointers that an l7 has left that was killed."""
    for path in paths:
        try:
            if os.path.islink(path) and not answers(path):
                os.unlink(path)
        except OSError:
            continue
