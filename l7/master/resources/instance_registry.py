"""The registry of running instances: one entry for each l7, by which commands find its control socket.

An entry is a file in the runtime directory (`l7.master.resources.runtime_directory`). It names the control socket,
wherever that is, and what this l7 was started with. Its own name follows from the socket's path, so that an upgraded l7
replaces the entry of the former one. An entry on whose socket no process listens is that of a dead l7: commands
pass it over, and the next l7 that starts removes it.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from l7.master.resources.listening_sockets import listens

SUFFIX = ".json"
CONTROL_SUFFIX = ".control"
_LONGEST = 64 * 1024


@dataclass(frozen=True)
class InstanceKey:
    """What tells one running l7 from another: settings of its start, or those that a command is given."""

    control: str = "auto"
    pid_file: str | None = None
    file: str | None = None
    port: int | None = None

    @property
    def path(self) -> str | None:
        """The path of the control socket that follows from the settings; None when it is in the runtime directory."""
        if self.control != "auto":
            return os.path.abspath(self.control)
        if self.pid_file is not None:
            return os.path.abspath(self.pid_file).removesuffix(".pid") + CONTROL_SUFFIX
        return None

    @property
    def files(self) -> tuple[str, ...]:
        """The configuration file as it is called, and as it really is."""
        if self.file is None:
            return ()
        return tuple(dict.fromkeys((os.path.abspath(self.file), os.path.realpath(self.file))))


@dataclass(frozen=True)
class InstanceEntry:
    """What the registry says of one running l7."""

    socket: str
    pid: int
    files: tuple[str, ...]
    port: int | None
    pid_file: str | None

    def matches(self, key: InstanceKey) -> bool:
        """Whether nothing that ``key`` names is another than this one's."""
        return (
            (key.file is None or not set(key.files).isdisjoint(self.files))
            and (key.port is None or key.port == self.port)
            and (key.pid_file is None or os.path.abspath(key.pid_file) == self.pid_file)
        )

    def __str__(self) -> str:
        """The instance in words, for the choice among several."""
        return f"{self.socket} (pid {self.pid}, port {self.port}" + (f", -c {self.files[0]})" if self.files else ")")


class InstanceRegistryWriter:
    """The entry of this process in a runtime directory. Without one the options have to be given: nothing is raised."""

    def __init__(self, directory: str, key: InstanceKey, socket_path: str) -> None:
        self._directory = directory
        self._key = key
        self._socket = socket_path

    @property
    def path(self) -> str:
        """Where the entry is."""
        return f"{self._directory}/{hashlib.sha256(os.fsencode(self._socket)).hexdigest()[:16]}{SUFFIX}"

    def write(self) -> None:
        """Make the entry, or make it anew."""
        key = self._key
        pid_file = None if key.pid_file is None else os.path.abspath(key.pid_file)
        entry = InstanceEntry(self._socket, os.getpid(), key.files, key.port, pid_file)
        new = f"{self.path}.new"
        with contextlib.suppress(OSError):
            # "x": never through a link that another account has put there.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)
            with open(new, "x", encoding="utf-8") as file:
                json.dump(asdict(entry), file)
            os.replace(new, self.path)

    def remove(self) -> None:
        """Remove the entry, if it still is this process's."""
        entry = _read(self.path)
        if entry is not None and entry.pid == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def registered(directories: Iterable[str]) -> Iterator[InstanceEntry]:
    """All entries, those of dead ones included; each socket once."""
    seen = set()
    for path in _entries(directories):
        entry = _read(path)
        if entry is not None and (socket := os.path.realpath(entry.socket)) not in seen:
            seen.add(socket)
            yield entry


def remove_dead(directory: str) -> None:
    """Remove the entries that an l7 has left that was killed."""
    for path in _entries([directory]):
        entry = _read(path)
        if entry is None or not answers(entry.socket):
            with contextlib.suppress(OSError):
                os.unlink(path)


def answers(path: str) -> bool:
    """Whether an l7 listens on a control socket, or may: without the right to connect it cannot be tried."""
    try:
        return listens(path)
    except PermissionError:
        return True
    except OSError:
        return False


def _entries(directories: Iterable[str]) -> list[str]:
    return [path for one in directories for path in sorted(glob.glob(f"{glob.escape(one)}/*{SUFFIX}"))]


def _read(path: str) -> InstanceEntry | None:
    """The entry at a path; None where there is none that can be understood."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            said = json.loads(file.read(_LONGEST))
            return InstanceEntry(
                str(said["socket"]), int(said["pid"]), tuple(map(str, said["files"])), said["port"], said["pid_file"]
            )
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
