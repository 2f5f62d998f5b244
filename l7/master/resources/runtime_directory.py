"""The runtime directory: for control sockets without a path of their own, and the registry of running instances."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Mapping

RUN = "/run/l7"
"""Root's place for runtime directories: one for each user that l7 runs as."""


def directories(uid: int, environ: Mapping[str, str]) -> Iterator[str]:
    """The runtime directories of an account, the best first.

    ``/run/l7/UID`` is made by root only; ``RUNTIME_DIRECTORY`` is systemd's, ``XDG_RUNTIME_DIR`` that of a login.
    """
    yield f"{RUN}/{uid}"
    if environ.get("RUNTIME_DIRECTORY"):
        yield environ["RUNTIME_DIRECTORY"].partition(":")[0]
    if environ.get("XDG_RUNTIME_DIR"):
        yield f"{environ['XDG_RUNTIME_DIR']}/l7"
    yield f"/tmp/l7-{uid}"


def all_directories(uids: Iterable[int], environ: Mapping[str, str]) -> list[str]:
    """The runtime directories that exist: those of these accounts, and all below ``/run/l7``."""
    own = (directory for uid in uids for directory in directories(uid, environ))
    return [path for path in dict.fromkeys([*own, RUN, *sorted(glob.glob(f"{RUN}/*"))]) if os.path.isdir(path)]


def make_directory(uid: int, gid: int, environ: Mapping[str, str]) -> str:
    """Make the first runtime directory that can be made; raises ``OSError`` when none can."""
    failure: OSError | None = None
    for path in directories(uid, environ):
        if path.startswith(RUN) and os.geteuid() != 0 and not os.path.isdir(path):
            continue
        try:
            if path.startswith(RUN) and os.geteuid() == 0:
                os.makedirs(RUN, 0o755, exist_ok=True)
            _make_own(path, uid, gid)
            return path
        except OSError as error:
            failure = error
    raise failure or FileNotFoundError("no runtime directory")


def _make_own(path: str, uid: int, gid: int) -> None:
    """Make a directory that no other account may write to, or see that it is one; raises ``OSError``."""
    try:
        os.mkdir(path, 0o700)
        if os.geteuid() == 0:
            os.chown(path, uid, gid, follow_symlinks=False)
    except FileExistsError:
        there = os.lstat(path)
        if not stat.S_ISDIR(there.st_mode) or there.st_uid not in (uid, os.geteuid()) or there.st_mode & 0o022:
            raise PermissionError(1, f"{path} is not a directory of our own") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(1, f"{path} cannot be written to")
