"""What one l7 leaves to the next when it is upgraded in place: sockets, files, and a bridge to talk over.

The descriptors keep their numbers over fork and exec; one variable says what each of them is. It is believed only when
the bridge was really made by the process that it names.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import MutableMapping
from dataclasses import astuple, dataclass
from typing import Any

from l7.errors import StartError
from l7.networks import host_port

VARIABLE = "L7_UPGRADE_FDS"

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class ListenerKey:
    """Identifies a listening socket: its address, and whether clients or the admin endpoint use it.

    A reload that asks for an equal key gets the same socket.
    """

    host: str = ""
    """An IP address, or ``*``; empty for a unix socket and for one that was handed down."""
    port: int = 0
    path: str | None = None
    """Of a unix socket."""
    admin: bool = False
    """Whether it is the admin endpoint's, so that no worker has it."""
    handed: int | None = None
    """The number of the descriptor, where a service manager such as systemd handed it down."""

    def __str__(self) -> str:
        """As people write it: ``[::1]:80``, ``*:80``, ``unix:/run/l7.sock``."""
        if self.handed is not None:
            return f"descriptor {self.handed}"
        return f"unix:{self.path}" if self.path is not None else host_port(self.host, self.port)


@dataclass(frozen=True)
class InheritedSocket:
    """A listening socket: its key, and for a unix socket that we made its path and what tells that from another."""

    key: ListenerKey
    descriptor: int
    path: str | None = None
    inode: tuple[int, int] | None = None


@dataclass(frozen=True)
class InheritedResources:
    """What the predecessor hands down at an upgrade. Numbers are descriptors."""

    parent: int
    bridge: int
    generation: int
    output_lock: int
    listeners: tuple[InheritedSocket, ...] = ()
    handed: tuple[InheritedSocket, ...] = ()
    """Listening sockets that systemd gave us."""
    control: tuple[str, int] | None = None
    log: tuple[str, int] | None = None
    pid_file: str | None = None
    opener: tuple[int, int] | None = None
    """The process of the privileged opener, and the socket on which it is asked: -1 where it has ended."""
    state_file: int | None = None
    """What the l7 before knew (`l7.master.upgrade.state_file`)."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All of them."""
        places = [place.descriptor for place in (*self.listeners, *self.handed)]
        pairs = [pair[1] for pair in (self.control, self.log) if pair is not None and pair[1] > 2]
        opener = [] if self.opener is None or self.opener[1] < 0 else [self.opener[1]]
        left = [] if self.state_file is None else [self.state_file]
        return (self.bridge, self.output_lock, *places, *pairs, *opener, *left)

    def variable(self) -> str:
        """The value of the variable that carries it."""
        return json.dumps(
            {
                "parent": self.parent,
                "bridge": self.bridge,
                "generation": self.generation,
                "output-lock": self.output_lock,
                "listeners": [_plain(place) for place in self.listeners],
                "handed": [_plain(place) for place in self.handed],
                "control": self.control,
                "log": self.log,
                "pid-file": self.pid_file,
                "opener": self.opener,
                "state-file": self.state_file,
            }
        )


def inherit(environ: MutableMapping[str, str]) -> InheritedResources | None:
    """Take what was handed down to this process, if anything was, out of the environment.

    :raises StartError: it is meant for us and makes no sense.
    """
    text = environ.pop(VARIABLE, "")
    if not text:
        return None
    try:
        found = _parse(json.loads(text))
        if not _made_by(found.bridge, found.parent):
            return None
        for descriptor in found.descriptors:
            os.set_inheritable(descriptor, False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StartError(f"{VARIABLE}: {type(error).__name__}: {error}") from error
    return found


def _parse(value: dict[str, Any]) -> InheritedResources:
    return InheritedResources(
        parent=int(value["parent"]),
        bridge=int(value["bridge"]),
        generation=int(value["generation"]),
        output_lock=int(value["output-lock"]),
        listeners=tuple(_place(place) for place in value["listeners"]),
        handed=tuple(_place(place) for place in value["handed"]),
        control=_pair(value["control"]),
        log=_pair(value["log"]),
        pid_file=value["pid-file"],
        opener=None if value.get("opener") is None else (int(value["opener"][0]), int(value["opener"][1])),
        state_file=None if value.get("state-file") is None else int(value["state-file"]),
    )


def _plain(place: InheritedSocket) -> list[Any]:
    return [astuple(place.key), place.descriptor, place.path, place.inode]


def _place(value: list[Any]) -> InheritedSocket:
    key, descriptor, path, inode = value
    return InheritedSocket(
        ListenerKey(*key), int(descriptor), path, None if inode is None else (int(inode[0]), int(inode[1]))
    )


def _pair(value: list[Any] | None) -> tuple[str, int] | None:
    return None if value is None else (str(value[0]), int(value[1]))


def _made_by(bridge: int, parent: int) -> bool:
    """Whether a descriptor is a socket whose other end that process has made."""
    try:
        with socket.socket(fileno=os.dup(bridge)) as sock:
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return False
    return bool(_CREDENTIALS.unpack(raw)[0] == parent)
