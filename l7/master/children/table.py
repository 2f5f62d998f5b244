"""The live children: their processes, their channels, and the messages that come over these."""

from __future__ import annotations

import signal
from typing import Protocol

from l7.ipc.channel import Received
from l7.ipc.messages import Message
from l7.master.children.handle import ChildProcess
from l7.master.children.poll import Poll, PolledChannel


class ChildOwner(Protocol):
    """A part of the master that has started a child."""

    def note(self, handle: ChildProcess, received: Received) -> None:
        """Take a message of the child; its descriptor is the owner's to close."""

    def gone(self, handle: ChildProcess, status: int) -> None:
        """Take the end of the child, with its wait status, after its last messages."""


class ChildTable:
    """Every child that has not been reaped, by slot."""

    def __init__(self, poll: Poll) -> None:
        self.handles: dict[int, ChildProcess] = {}
        self._poll = poll
        self._owners: dict[int, ChildOwner] = {}
        self._polled: dict[int, PolledChannel] = {}
        self._muted: set[int] = set()

    def add(self, handle: ChildProcess, owner: ChildOwner) -> None:
        """Add a new child and read from its channel."""
        self.handles[handle.slot] = handle
        self._owners[handle.slot] = owner
        self._polled[handle.slot] = PolledChannel(self._poll, handle.channel, lambda: self._hear(handle))

    def get(self, slot: int) -> ChildProcess | None:
        """The child in a slot, if there is one."""
        return self.handles.get(slot)

    def of(self, owner: ChildOwner) -> list[ChildProcess]:
        """The children of one owner."""
        return [handle for slot, handle in self.handles.items() if self._owners[slot] is owner]

    def pids(self) -> set[int]:
        """The processes of all children."""
        return {handle.pid for handle in self.handles.values()}

    def tell(self, slot: int, message: Message) -> None:
        """Send a message to a child, in order and as soon as it reads; dropped when the child has exited."""
        handle = self.handles.get(slot)
        if handle is not None:
            handle.channel.send(message)

    def tell_all(self, message: Message) -> None:
        """Send a message to every child."""
        for handle in self.handles.values():
            handle.channel.send(message)

    def signal(self, slot: int, *numbers: signal.Signals) -> None:
        """Send signals to a child, if it has not been reaped."""
        handle = self.handles.get(slot)
        if handle is not None:
            for number in numbers:
                handle.signal(number)

    def mute(self, handle: ChildProcess) -> None:
        """Stop reading from a child's channel, so that its handovers pause, until `unmute`."""
        if handle.slot not in self._muted and not handle.channel.closed:
            self._muted.add(handle.slot)
            self._polled[handle.slot].pause(True)

    def unmute(self) -> None:
        """Read from all channels again."""
        for slot in self._muted:
            self._polled[slot].pause(False)
        self._muted.clear()

    def reap(self) -> None:
        """Reap the children that have ended, each by its pid, and tell their owners."""
        for handle in list(self.handles.values()):
            status = handle.reap()
            if status is None:
                continue
            # Read all of it, muted or not: closing the channel would close the connections that are still in it.
            owner = self._owners[handle.slot]
            for received in handle.channel.receive():
                owner.note(handle, received)
            self._muted.discard(handle.slot)
            self._polled.pop(handle.slot).drop()
            del self.handles[handle.slot], self._owners[handle.slot]
            handle.channel.close()
            owner.gone(handle, status)

    def release(self) -> None:
        """Close all channels: called in a forked child."""
        for handle in self.handles.values():
            handle.channel.close()

    def _hear(self, handle: ChildProcess) -> None:
        for received in handle.channel.receive():
            self._owners[handle.slot].note(handle, received)
            if handle.slot in self._muted:
                return
        if handle.channel.closed:
            # The channel is at its end; whether the process has exited is found by `reap`.
            self._polled[handle.slot].drop()
