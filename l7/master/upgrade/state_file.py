"""The state that an l7 hands to its successor, which need not find it out anew.

What administrators want, what names stand for, what checks have found, what cookies are signed with, and how reloads
went. Counters begin anew. It is handed down as an anonymous file, because it may be larger than a variable of the
environment can be, and is written twice: when the next l7 is started, and when that takes over.
"""

from __future__ import annotations

import json
import os
from typing import Any

from l7.master.control.reload_tracker import ReloadTracker
from l7.master.state.dns_results import DnsResultPublisher
from l7.master.state.overrides import ServerOverrides
from l7.master.state.rows import OutOfRowsError
from l7.master.state.shared_state import SharedMemoryOwner
from l7.sharedmem import layout
from l7.sharedmem.memory import MONITOR

_HEALTH = (layout.HEALTH, layout.HEALTH_SINCE, layout.HEALTH_WHY)


class StateFile:
    """The file that this l7 leaves its successor, or has from its predecessor; there is one at a time, or none."""

    def __init__(
        self,
        shared_state: SharedMemoryOwner,
        overrides: ServerOverrides,
        names: DnsResultPublisher,
        reload_tracker: ReloadTracker,
    ) -> None:
        self._reload_tracker = reload_tracker
        self._shared_state = shared_state
        self._overrides = overrides
        self._names = names
        self.descriptor = -1
        """-1 when there is none."""

    def create(self) -> None:
        """Make a new file, and write the present state."""
        self.close()
        self.descriptor = os.memfd_create("l7-state", os.MFD_CLOEXEC)
        self.write()

    def write(self) -> None:
        """Write the present state, in place of the one that was written before."""
        shared_state = self._shared_state
        known = {
            "orders": self._overrides.plain(),
            "names": [
                [*name, [[one.host, one.port, one.weight, one.reserve] for one in found]]
                for name, found in shared_state.resolved.items()
            ],
            "health": [[list(key), *health] for key in shared_state.rows if (health := _health(shared_state, key))[0]],
            "reloads": self._reload_tracker.history,
            "cookie-key": shared_state.cookie_key.hex(),
        }
        os.ftruncate(self.descriptor, 0)
        with os.fdopen(os.dup(self.descriptor), "wb") as file:
            file.seek(0)
            file.write(json.dumps(known).encode())

    def take(self, descriptor: int) -> None:
        """Take over the state that this configuration has use for, before the first fork. The file stays open."""
        self.descriptor = descriptor
        known, shared_state = self._read(), self._shared_state
        monitor = shared_state.shared_memory.writer(MONITOR)  # there is no monitor process yet
        shared_state.cookie_key = bytes.fromhex(known["cookie-key"])
        for route, address, found in known["names"]:
            _take_name(shared_state, (str(route), str(address)), found)
        for key, *health in known["health"]:
            server = tuple(map(str, key))
            if server in shared_state.rows:
                for cell, value in zip(_HEALTH, health, strict=True):
                    monitor.put(layout.place(shared_state.rows[server], cell), int(value))
        self._overrides.adopt(known["orders"])
        self._reload_tracker.adopt(known.get("reloads", []))  # an older l7 does not tell

    def take_rest(self) -> None:
        """Take over what the predecessor found out while this l7 booted, and close the file, if there is one.

        That is what names stand for: what is checked is checked by this one too, and overrides are refused meanwhile.
        """
        if self.descriptor < 0:
            return
        try:
            known = self._read()
        except ValueError:
            return  # the predecessor was killed while it wrote; what was taken at first is all there is
        finally:
            self.close()
        for route, address, found in known["names"]:
            self._names.inherit((str(route), str(address)), found)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _read(self) -> dict[str, Any]:
        with os.fdopen(os.dup(self.descriptor), "rb") as file:
            file.seek(0)
            known: dict[str, Any] = json.loads(file.read())
            return known


def _take_name(shared_state: SharedMemoryOwner, name: tuple[str, str], found: list[Any]) -> None:
    try:
        if name in shared_state.rows:
            shared_state.resolve(name, found)
    except OutOfRowsError:
        return  # they are looked up again, and that is told


def _health(shared_state: SharedMemoryOwner, key: tuple[str, ...]) -> list[int]:
    return [shared_state.writer.read(MONITOR, layout.place(shared_state.rows[key], cell)) for cell in _HEALTH]
