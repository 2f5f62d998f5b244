"""What names stand for, as the control worker finds out: remembered, given rows of the ledger, told to everybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from l7.ipc.messages import Resolved, SetMembers
from l7.master.administration import Administration
from l7.master.books import Books
from l7.master.roster import Roster
from l7.master.rows import OutOfRowsError
from l7.telemetry.events import Events

Name = tuple[str, str]
"""Route and address of a server that is given by name."""


class Names:
    """All names that were looked up."""

    def __init__(self, books: Books, administration: Administration, roster: Roster, events: Events) -> None:
        self._books = books
        self._administration = administration
        self._roster = roster
        self._events = events

    def note(self, message: Resolved) -> None:
        """Take what the control worker found out."""
        name = (message.backend, message.server)
        if name not in self._books.rows:
            return  # of a generation that is gone
        self._books.unresolved[name] = message.why
        if message.addresses:
            self._resolve(name, message.addresses)

    def inherit(self, name: Name, found: Sequence[Sequence[Any]]) -> None:
        """Take what the l7 before has found out, where that is better than nothing."""
        if name in self._books.rows and not self._books.resolved.get(name):
            self._resolve(name, found)

    def _resolve(self, name: Name, found: Sequence[Sequence[Any]]) -> None:
        try:
            if self._books.resolve(name, found):
                self._administration.renew()
                self._roster.tell_all(SetMembers(*name, tuple(self._books.resolved[name])))
        except OutOfRowsError as error:
            self._events.error(f"{name[0]}: server {name[1]}: its new addresses are left out: {error}")
