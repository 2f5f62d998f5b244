"""One ``poll`` for everything the master listens to: who is ready is called, and what waits for room is sent."""

from __future__ import annotations

import select
from collections.abc import Callable

from l7.clock import monotonic
from l7.ipc.channel import Channel

READ = select.POLLIN
WRITE = select.POLLOUT

Call = Callable[[], None]


class Poll:
    """Descriptors and what to do when one is ready. A descriptor is dropped before it is closed."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Call] = {}

    def add(self, descriptor: int, call: Call, events: int = READ) -> None:
        """Call ``call`` whenever the descriptor is ready, until it is dropped."""
        self._calls[descriptor] = call
        self._poll.register(descriptor, events)

    def want(self, descriptor: int, events: int) -> None:
        """Wait for other events from now on; 0 waits for the other end's departure only."""
        if descriptor in self._calls:
            self._poll.modify(descriptor, events)

    def drop(self, descriptor: int) -> None:
        """Forget a descriptor; nothing happens where it is not known."""
        if self._calls.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def wait(self, until: float | None) -> None:
        """Sleep until something is ready or the clock shows ``until``, and call."""
        # One millisecond more than asked for: a poll that returns too early would turn in circles until it is time.
        timeout = None if until is None else max(0.0, until - monotonic()) * 1000 + 1
        for descriptor, _ in self._poll.poll(timeout):
            call = self._calls.get(descriptor)
            if call is not None:  # else it was dropped by one that was called before it
                call()


class PolledChannel:
    """A channel in the poll: ``call`` is called when something has come, what waits is sent when there is room."""

    def __init__(self, poll: Poll, channel: Channel, call: Call) -> None:
        self._poll = poll
        self._channel = channel
        self._call = call
        self._paused = False
        poll.add(channel.fileno(), self._ready)
        channel.on_wants_write = self._want

    def pause(self, paused: bool) -> None:
        """Leave in the channel what comes, or take it again."""
        if paused is not self._paused:
            self._paused = paused
            self._want(self._channel.wants_write)

    def drop(self) -> None:
        """Take the channel out of the poll, before it is closed."""
        self._poll.drop(self._channel.fileno())

    def _ready(self) -> None:
        self._channel.flush()
        self._call()

    def _want(self, write: bool) -> None:
        self._poll.want(self._channel.fileno(), (0 if self._paused else READ) | (WRITE if write else 0))
