"""What names stand for, as the control worker finds out: remembered, given rows of the ledger, told to everybody."""

from __future__ import annotations

from typing import Any

from l7.clock import monotonic
from l7.master.administration import Administration
from l7.master.books import Books
from l7.master.handles import Message
from l7.master.roster import Roster
from l7.master.rows import OutOfRowsError
from l7.telemetry.events import Events

AGAIN = 0.05
"""Seconds until a process is told again that did not listen."""

Name = tuple[str, str]
"""Route and address of a server that is given by name."""


class Names:
    """All names that were looked up."""

    def __init__(self, books: Books, administration: Administration, roster: Roster, events: Events) -> None:
        self._books = books
        self._administration = administration
        self._roster = roster
        self._events = events
        self._owed: dict[int, dict[Name, None]] = {}
        """Who is still to be told of which names, by process."""

    def note(self, message: Message) -> None:
        """Take what the control worker found out."""
        name = (str(message["backend"]), str(message["server"]))
        if name not in self._books.rows:
            return  # of a generation that is gone
        self._books.unresolved[name] = str(message["why"])
        if message["addresses"]:
            self._resolve(name, message["addresses"])

    def inherit(self, name: Name, found: list[Any]) -> None:
        """Take what the l7 before has found out, where that is better than nothing."""
        if name in self._books.rows and not self._books.resolved.get(name):
            self._resolve(name, found)

    def _resolve(self, name: Name, found: list[Any]) -> None:
        try:
            if self._books.resolve(name, found):
                self._administration.renew()
                for handle in self._roster.handles.values():
                    self._owed.setdefault(handle.pid, {})[name] = None
                self.look()
        except OutOfRowsError as error:
            self._events.error(f"{name[0]}: server {name[1]}: its new addresses are left out: {error}")

    @property
    def due(self) -> float | None:
        """When to look again."""
        return monotonic() + AGAIN if self._owed else None

    def look(self) -> None:
        """Tell whoever is still to be told, as far as they listen."""
        handles = {handle.pid: handle for handle in self._roster.handles.values()}
        for pid, names in list(self._owed.items()):
            handle = handles.get(pid)
            while handle is not None and handle.open and names:
                name = next(iter(names))
                if name in self._books.resolved and not handle.tell(self._members(name)):
                    break
                del names[name]
            if handle is None or not handle.open or not names:
                del self._owed[pid]

    def _members(self, name: Name) -> dict[str, Any]:
        route, server = name
        return {"do": "members", "backend": route, "server": server, "members": self._books.resolved[name]}
