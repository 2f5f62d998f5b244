"""The addresses of names as the monitor process resolves them: kept, given rows of the shared memory, sent to all
workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from l7.ipc.messages import Resolved, SetMembers
from l7.master.children.table import ChildTable
from l7.master.state.overrides import ServerOverrides
from l7.master.state.rows import OutOfRowsError
from l7.master.state.shared_state import SharedMemoryOwner
from l7.telemetry.events import Events

Name = tuple[str, str]
"""Route and address of a server that is given by name."""


class DnsResultPublisher:
    """Takes the results of look-ups and sends them to workers."""

    def __init__(
        self, shared_state: SharedMemoryOwner, administration: ServerOverrides, children: ChildTable, events: Events
    ) -> None:
        self._shared_state = shared_state
        self._administration = administration
        self._children = children
        self._events = events

    def note(self, message: Resolved) -> None:
        """Take the result of a look-up by the monitor process."""
        name = (message.backend, message.server)
        if name not in self._shared_state.rows:
            return  # of a generation that is not served any more
        self._shared_state.unresolved[name] = message.why
        if message.addresses:
            self._resolve(name, message.addresses)

    def inherit(self, name: Name, found: Sequence[Sequence[Any]]) -> None:
        """Take the addresses that the predecessor found, where this l7 has none."""
        if name in self._shared_state.rows and not self._shared_state.resolved.get(name):
            self._resolve(name, found)

    def _resolve(self, name: Name, found: Sequence[Sequence[Any]]) -> None:
        try:
            if self._shared_state.resolve(name, found):
                self._administration.renew()
                self._children.tell_all(SetMembers(*name, tuple(self._shared_state.resolved[name])))
        except OutOfRowsError as error:
            self._events.error(f"{name[0]}: server {name[1]}: its new addresses are left out: {error}")
