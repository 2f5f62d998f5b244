"""One ``poll`` for all descriptors of the master: callbacks run when one is ready, queued messages are sent."""

from __future__ import annotations

import select
from collections.abc import Callable

from l7.clock import monotonic
from l7.ipc.channel import Channel

READ = select.POLLIN
WRITE = select.POLLOUT

Call = Callable[[], None]


class Poll:
    """Descriptors and their callbacks. A descriptor has to be dropped before it is closed."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Call] = {}

    def add(self, descriptor: int, call: Call, events: int = READ) -> None:
        """Run ``call`` whenever the descriptor is ready, until it is dropped."""
        self._calls[descriptor] = call
        self._poll.register(descriptor, events)

    def wake(self, descriptor: int) -> None:
        """End `wait` when the descriptor is readable; nothing is called for it."""
        self.add(descriptor, _nothing)

    def want(self, descriptor: int, events: int) -> None:
        """Wait for other events from now on; 0 waits for the peer's hang-up only."""
        if descriptor in self._calls:
            self._poll.modify(descriptor, events)

    def drop(self, descriptor: int) -> None:
        """Stop polling a descriptor; does nothing for an unknown one."""
        if self._calls.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def wait(self, until: float | None) -> None:
        """Sleep until a descriptor is ready or the clock reaches ``until``, then run the callbacks."""
        # One millisecond more than asked for: a poll that returns too early would spin until it is time.
        timeout = None if until is None else max(0.0, until - monotonic()) * 1000 + 1
        for descriptor, _ in self._poll.poll(timeout):
            call = self._calls.get(descriptor)
            if call is not None:  # else a callback before it has dropped it
                call()


def _nothing() -> None:
    """Do nothing: `wait` has ended, which was the aim."""


class PolledChannel:
    """A channel in the poll: ``call`` runs when a message has come; queued messages are sent when there is room."""

    def __init__(self, poll: Poll, channel: Channel, call: Call) -> None:
        self._poll = poll
        self._channel = channel
        self._call = call
        self._paused = False
        poll.add(channel.fileno(), self._ready)
        channel.on_wants_write = self._want

    def pause(self, paused: bool) -> None:
        """Stop reading from the channel, or read again."""
        if paused is not self._paused:
            self._paused = paused
            self._want(self._channel.wants_write)

    def drop(self) -> None:
        """Remove the channel from the poll, before it is closed."""
        self._poll.drop(self._channel.fileno())

    def _ready(self) -> None:
        self._channel.flush()
        self._call()

    def _want(self, write: bool) -> None:
        self._poll.want(self._channel.fileno(), (0 if self._paused else READ) | (WRITE if write else 0))
