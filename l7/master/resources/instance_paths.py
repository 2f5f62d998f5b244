"""Where the control socket is: found by the running l7 and by the command that looks for it in the same way.

``control`` names it. Else it is beside the pid file; else in the runtime directory, by a name that follows from the
configuration file and from a port that was given beside it, so that any number of l7 can run on a machine. Wherever it
is, it is pointed to from the runtime directory by the name of the file (`l7.master.resources.instance_links`).
"""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

SUFFIX = ".control"
RUN = "/run/l7"
"""Where root keeps them, a directory for each user that l7 runs as."""


@dataclass(frozen=True)
class InstanceKey:
    """What the name follows from. ``port`` is None where the file alone decides about it."""

    control: str = "auto"
    pid_file: str | None = None
    file: str | None = None
    port: int | None = None

    @property
    def path(self) -> str | None:
        """The path that the settings name; None when it is in the runtime directory."""
        if self.control != "auto":
            return os.path.abspath(self.control)
        if self.pid_file is not None:
            return os.path.abspath(self.pid_file).removesuffix(".pid") + SUFFIX
        return None

    @property
    def name(self) -> str:
        """The name in the runtime directory."""
        return self.names[0]

    @property
    def names(self) -> list[str]:
        """All names that an l7 with these signs is found by: that of the file as it is called, and as it really is."""
        port = "" if self.port is None else f"{self.port}"
        if self.file is None:
            return [f"{port or 80}{SUFFIX}"]
        files = dict.fromkeys((os.path.abspath(self.file), os.path.realpath(self.file)))
        return [f"{_key(file)}{port and '-'}{port}{SUFFIX}" for file in files]

    @property
    def patterns(self) -> list[str]:
        """As `names`, for whoever knows of the file but not of a port that was given beside it."""
        if self.file is None or self.port is not None:
            return [f"{glob.escape(name)}*" for name in self.names]
        return [f"{glob.escape(name.removesuffix(SUFFIX))}*{SUFFIX}*" for name in self.names]


def _key(file: str) -> str:
    return f"{PurePath(file).stem[:32]}-{hashlib.sha256(os.fsencode(file)).hexdigest()[:8]}"


def directories(uid: int, environ: Mapping[str, str]) -> Iterator[str]:
    """The runtime directories of somebody, the best first.

    ``/run/l7/UID`` is made by root only; ``RUNTIME_DIRECTORY`` is systemd's, ``XDG_RUNTIME_DIR`` that of a login.
    """
    yield f"{RUN}/{uid}"
    if environ.get("RUNTIME_DIRECTORY"):
        yield environ["RUNTIME_DIRECTORY"].partition(":")[0]
    if environ.get("XDG_RUNTIME_DIR"):
        yield f"{environ['XDG_RUNTIME_DIR']}/l7"
    yield f"/tmp/l7-{uid}"


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
    """Make a directory that nobody else may write to, or see that it is one."""
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


def candidates(instance_key: InstanceKey, uids: Iterator[int], environ: Mapping[str, str]) -> list[str]:
    """Where the socket of an l7 with these signs may be, for whoever it runs as."""
    if instance_key.path is not None:
        return [instance_key.path]
    exact = [f"{directory}/{instance_key.name}" for uid in uids for directory in directories(uid, environ)]
    # Another l7 with the same signs has its process id behind the name.
    more = (path for place in exact for path in glob.glob(f"{glob.escape(place)}.*"))
    return list(dict.fromkeys([*exact, *more]))


def pointed_to(instance_key: InstanceKey, uids: Iterator[int], environ: Mapping[str, str]) -> list[str]:
    """Where else an l7 with the same file may be: by its pointers, whatever its other settings are."""
    if instance_key.file is None:
        return []
    return _present(instance_key.patterns, uids, environ)


def all_there_are(uids: Iterator[int], environ: Mapping[str, str]) -> list[str]:
    """Every control socket in the runtime directories, of anybody's where we may look."""
    return _present([f"*{SUFFIX}*"], uids, environ)


def _present(patterns: list[str], uids: Iterator[int], environ: Mapping[str, str]) -> list[str]:
    """The sockets in all runtime directories, each once, by whatever names it has."""
    places = {directory for uid in uids for directory in directories(uid, environ)} | {RUN, *glob.glob(f"{RUN}/*")}
    paths = sorted(path for place in places for name in patterns for path in glob.glob(f"{glob.escape(place)}/{name}"))
    return list({os.path.realpath(path): path for path in reversed(paths)}.values())
