"""The workers that live: their processes, their channels, and what comes over these."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

from l7.master.handles import Handle, Letter, Message
from l7.master.polling import READ, Poll

Note = Callable[[Handle, Letter], None]


class Roster:
    """Every child that has not been reaped, by slot; ``note`` is called with what each says."""

    def __init__(self, poll: Poll, note: Note) -> None:
        self.handles: dict[int, Handle] = {}
        self._poll = poll
        self._note = note
        self._muted: set[int] = set()

    def add(self, handle: Handle) -> None:
        """Listen to a new worker."""
        self.handles[handle.slot] = handle
        self._poll.add(handle.channel.fileno(), lambda: self._hear(handle))

    def get(self, slot: int) -> Handle | None:
        """The worker in a slot, if there is one."""
        return self.handles.get(slot)

    def tell(self, slot: int, message: Message) -> None:
        """Send a message; one that nobody takes is lost."""
        handle = self.handles.get(slot)
        if handle is not None:
            handle.tell(message)

    def signal(self, slot: int, *numbers: signal.Signals) -> None:
        """Send signals to a worker."""
        handle = self.handles.get(slot)
        if handle is not None:
            for number in numbers:
                handle.signal(number)

    def mute(self, handle: Handle) -> None:
        """Leave what a worker sends in its channel for a while: it notices, and holds back."""
        if handle.slot not in self._muted and handle.open:
            self._muted.add(handle.slot)
            self._poll.want(handle.channel.fileno(), 0)

    def unmute(self) -> None:
        """Listen to everybody again."""
        for slot in self._muted:
            handle = self.handles.get(slot)
            if handle is not None and handle.open:
                self._poll.want(handle.channel.fileno(), READ)
        self._muted.clear()

    def reap(self) -> Iterator[tuple[Handle, int]]:
        """Take leave of own children only, each by its pid.

        Yields each worker that has ended, with its wait status, when all that it had to say was heard.
        """
        for handle in list(self.handles.values()):
            status = handle.reap()
            if status is None:
                continue
            # All of it, muted or not: with the channel go the connections that still lie in it.
            for letter in handle.hear():
                self._note(handle, letter)
            self._muted.discard(handle.slot)
            self._poll.drop(handle.channel.fileno())
            del self.handles[handle.slot]
            handle.close()
            yield handle, status

    def release(self) -> None:
        """Close all channels: what a child does with what it inherited."""
        for handle in self.handles.values():
            handle.close()

    def _hear(self, handle: Handle) -> None:
        for letter in handle.hear():
            self._note(handle, letter)
            if handle.slot in self._muted:
                return
        if not handle.open:
            # It will not speak again; whether it lives is for the reaper to see.
            self._poll.drop(handle.channel.fileno())
